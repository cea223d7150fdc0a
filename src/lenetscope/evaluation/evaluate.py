"""Evaluation: one pass over a loader that counts each sample once and changes nothing.

Of P processes each takes every P-th batch, so that no sample is padded or counted twice, and the sums
are added up at the end.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.arguments import pairs
from lenetscope.evaluation.outputs import loss_of
from lenetscope.evaluation.tally import Tally
from lenetscope.restore import eval_mode


def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: Callable[..., Tensor],
    *,
    forward: Callable[[Any], Any] | None = None,
    device: torch.device | str = "cpu",
    rank: int = 0,
    processes: int = 1,
    reduce: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> Tally:
    """Evaluate a model on a loader, in evaluation mode and without gradients.

    Args:
        model: its modes are as before when this returns or raises.
        loader: yields (inputs, labels).
        loss_fn: of (outputs, labels), a mean over the batch; a module is put into evaluation mode.
        forward: what to call in place of ``model``, such as the engine's wrapper around it.
        device: where inputs and labels are sent.
        rank: number of this process, from 0.
        processes: how many share the work; each must see the same batches.
        reduce: adds a tensor up over the processes.

    Raises:
        UsageError, DataError: see `pairs` and `loss_of`.
    """
    tally = Tally()
    call = forward or model
    loss_mode = eval_mode(loss_fn) if isinstance(loss_fn, nn.Module) else nullcontext()
    with eval_mode(model), loss_mode, torch.no_grad():
        for number, (inputs, labels) in enumerate(pairs(loader)):
            if number % processes != rank:
                continue
            inputs, labels = inputs.to(device), labels.to(device)
            outputs = call(inputs)
            tally.add(outputs, labels, loss_of(loss_fn, outputs, labels), loss_fn)
    return tally.summed(reduce) if processes > 1 else tally
