"""The engine: device, precision and processes, from Lightning Fabric.

In: the names of a device and a precision, and the environment that ``torchrun`` sets. Out: a Fabric
that has joined its processes. One process on one device needs no launcher; several are started by
``torchrun``, and talk over gloo on CPUs and NCCL on GPUs.
"""

import atexit
import functools
import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.training import machine


def make_engine(device: str = "auto", precision: str = "32-true", threads: int = 0) -> Fabric:
    """Return a launched Fabric.

    Args:
        device: ``"auto"`` (the best there is), ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: a precision of Fabric, such as ``"32-true"`` or ``"bf16-mixed"``, or ``"auto"``.
        threads: how many compute; 0 for as many as there are cores.

    Raises:
        UsageError: if the device is not there, or cannot compute in that precision.
    """
    kind, _, index = device.partition(":")
    there = {
        "auto": True,
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        usable = [name for name, found in there.items() if found]
        raise UsageError(f"there is no device '{device}' here; usable: {', '.join(usable)}.")
    if kind == "auto":
        kind = next((name for name in ("cuda", "mps") if there[name]), "cpu")
    machine.use_threads(threads)
    machine.keep_freed_memory()
    precision = machine.precision_for(precision, kind)
    if precision == "16-mixed" and kind == "cpu":
        raise UsageError("precision '16-mixed' needs a GPU; on a CPU use 'bf16-mixed' or '32-true'.")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    with warnings.catch_warnings():
        # Fabric looks at the CPUs of a cluster's scheduler and advises; nothing here depends on it
        warnings.filterwarnings("ignore", module="lightning_fabric")
        # and announces the precision, which the run says by itself
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        fabric = Fabric(
            accelerator=kind,
            devices=[int(index)] if index and kind == "cuda" and processes == 1 else local,
            num_nodes=max(processes // local, 1),
            strategy="ddp" if processes > 1 else "auto",
            precision=precision,  # type: ignore[arg-type]
        )
        fabric.launch()
    if processes > 1:
        _leave_at_exit()
    if fabric.device.type == "cuda":  # the same seed gives the same weights
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return fabric


@functools.cache
def _leave_at_exit() -> None:
    """Leave the group of processes before the interpreter ends.

    Fabric does so for NCCL alone; gloo's threads abort a process that ends while they run.
    """

    def leave() -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    atexit.register(leave)


def precision_of(fabric: Fabric) -> str:
    """Return the name of the precision that the engine computes in."""
    return str(fabric.strategy.precision.precision)


def forward(fabric: Fabric, model: nn.Module) -> Callable[[Any], Any]:
    """Return a function that runs ``model`` in the engine's precision, in this process alone.

    For evaluation, where processes see different numbers of batches and must not wait for each other.
    """
    precision = fabric.strategy.precision

    def run(inputs: Any) -> Any:
        with precision.forward_context():
            return precision.convert_output(model(precision.convert_input(inputs)))

    return run


def place(fabric: Fabric, model: nn.Module) -> None:
    """Bring a model to the engine's device and, in a true precision, to its number format."""
    fabric.strategy.precision.convert_module(model.to(fabric.device))


def sum_over_processes(fabric: Fabric, tensor: Tensor) -> Tensor:
    """Add a tensor up over all processes; every one of them must call it."""
    if fabric.world_size == 1:
        return tensor
    # Apple's GPUs know no float64, but they also never form a group of processes
    result = fabric.all_reduce(tensor.to(fabric.device), reduce_op="sum")
    assert isinstance(result, Tensor)
    return result.cpu()
