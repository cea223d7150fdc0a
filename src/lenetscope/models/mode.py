"""Looking at a model without leaving a trace in it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put every module into one mode, and each back into its own mode at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def eval_mode(model: nn.Module) -> AbstractContextManager[None]:
    """Put every module into evaluation mode, and each back into its own mode at the end."""
    return in_mode(model, training=False)
