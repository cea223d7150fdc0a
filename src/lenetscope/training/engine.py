"""The engine: device, precision and processes, from Lightning Fabric.

One process on one device needs no launcher. Several are started by ``torchrun``, whose environment
is read here, and communicate over gloo on CPUs and NCCL on GPUs.
"""

import atexit
import logging
import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any, get_args

import torch
from lightning_fabric import Fabric
from torch import nn

from lenetscope.errors import UsageError, listed
from lenetscope.failures import explained
from lenetscope.observe import is_observed
from lenetscope.recipe import Precision
from lenetscope.training.machine import precision_for


def make_engine(device: str = "auto", precision: str = "32-true") -> Fabric:
    """Return a launched Fabric.

    Args:
        device: ``"auto"`` (the best there is), ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: a precision of Fabric, such as ``"32-true"`` or ``"bf16-mixed"``, or ``"auto"``.

    Raises:
        UsageError: if the device is not there, or cannot compute in that precision.
    """
    kind, colon, index = device.partition(":")
    mps = torch.backends.mps.is_available()
    counts = {"cuda": torch.cuda.device_count(), "mps": int(mps), "cpu": 1}
    usable = [name for name, count in counts.items() if count]
    kind = usable[0] if device == "auto" else kind
    numbered = index.isdecimal() and int(index) < counts.get(kind, 0)
    if kind not in usable or (colon and not numbered):
        raise UsageError(f"there is no device '{device}' here; usable: auto, {', '.join(usable)}.")
    precision = precision_for(precision, kind)
    if precision == "16-mixed" and kind == "cpu":
        raise UsageError("precision '16-mixed' needs a GPU; on a CPU use 'bf16-mixed' or '32-true'.")
    processes, local = (int(os.environ.get(n, "1")) for n in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    with warnings.catch_warnings():
        # Fabric looks at the CPUs of a cluster's scheduler and advises; nothing here depends on it
        warnings.filterwarnings("ignore", module="lightning_fabric")
        logger.setLevel(logging.WARNING)  # it announces the precision, which the run records itself
        try:
            fabric = Fabric(
                accelerator=kind,
                devices=[int(index)] if index and kind == "cuda" and processes == 1 else local,
                num_nodes=max(processes // local, 1),
                strategy="ddp" if processes > 1 else "auto",
                precision=precision,  # type: ignore[arg-type]
            )
            fabric.launch()
        except ValueError:
            allowed = listed(get_args(Precision))
            raise UsageError(f"there is no precision '{precision}'; usable: {allowed}.") from None
        finally:
            logger.setLevel(level)
    if processes > 1:
        atexit.register(_leave_processes)
    return fabric


def _leave_processes() -> None:
    """Leave the group of processes; gloo's threads abort an interpreter that ends while they run."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def place(fabric: Fabric, model: nn.Module) -> None:
    """Move a model to the engine's device and, in a true precision, to its number format."""
    fabric.strategy.precision.convert_module(model.to(fabric.device))


def run(fabric: Fabric, model: nn.Module, inputs: Any) -> Any:
    """Return what ``model`` returns in the engine's precision, in this process alone.

    For evaluation, where processes see different numbers of batches and must not wait for each other.

    Raises:
        DataError: see `explained`.
    """
    precision = fabric.strategy.precision
    with precision.forward_context(), uncompiled_if_observed(model), explained(model):
        return precision.convert_output(model(precision.convert_input(inputs)))


def uncompiled_if_observed(model: nn.Module) -> AbstractContextManager[None]:
    """Run an observed model uncompiled in the block, because compiled code calls no hooks."""
    if not is_observed(model):
        return nullcontext()
    return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]
