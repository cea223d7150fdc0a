"""Blocks at whose end a model, and the caller's random streams, are as they were at the beginning."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from lenetscope import rng
from lenetscope.arguments import require_model


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's weights; the CPU if it has none."""
    return next((tensor.device for tensor in model.parameters()), torch.device("cpu"))


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put every module into one mode for the block, then each back into its own."""
    with _restored_modes(model):
        model.train(training)
        yield


def eval_mode(model: nn.Module) -> AbstractContextManager[None]:
    """Put every module into evaluation mode for the block, then each back into its own."""
    return in_mode(model, training=False)


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Restore modes, gradients of parameters and random streams at the end of the block.

    Weights and running statistics are not looked at: in evaluation mode nothing changes them.
    """
    # clones, because backward adds to a gradient in place
    parameters = require_model(model).parameters()
    before = [(p, p.grad, None if p.grad is None else p.grad.clone()) for p in parameters]
    try:
        with _restored_modes(model), rng.isolated():
            yield
    finally:
        for parameter, gradient, values in before:
            if gradient is not None and values is not None:
                gradient.data.copy_(values)
            parameter.grad = gradient


@contextmanager
def _restored_modes(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
