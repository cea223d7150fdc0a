"""Looking at a model without leaving a trace in it.

In: a model. Out: blocks at whose end the model's modes and gradients, and the caller's random streams,
are what they were at the beginning, also when something raises inside.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from lenetscope import rng


def device_of(model: nn.Module) -> torch.device:
    """Return where the model's weights are; the CPU if it has none."""
    return next((tensor.device for tensor in model.parameters()), torch.device("cpu"))


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put every module into one mode, and each back into its own mode at the end."""
    with _restored_modes(model):
        model.train(training)
        yield


def eval_mode(model: nn.Module) -> AbstractContextManager[None]:
    """Put every module into evaluation mode, and each back into its own mode at the end."""
    return in_mode(model, training=False)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back modes, gradients of parameters and random streams at the end; begin with no change.

    Weights and running statistics are not looked at: in evaluation mode nothing changes them.
    """
    with _restored_modes(model), restored_gradients(model), rng.isolated():
        yield


@contextmanager
def restored_gradients(model: nn.Module) -> Iterator[None]:
    """Give each parameter the gradient back that it had, bit for bit, or none."""
    # clones, because backward adds to a gradient in place
    before = [(p, p.grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    try:
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
