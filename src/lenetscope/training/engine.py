"""The engine: device, precision and processes, from Lightning Fabric.

One process on one device needs no launcher. Several are started by ``torchrun`` or `launcher`, whose
environment says so, and communicate over gloo on CPUs and NCCL on GPUs.
"""

import atexit
import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, get_args

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.futures import Future, collect_all
from torch.nn.parallel import DistributedDataParallel

from lenetscope.errors import UsageError, listed, unknown
from lenetscope.failures import explained
from lenetscope.observe import is_observed
from lenetscope.recipe import Precision, Strategy
from lenetscope.training import launcher
from lenetscope.training.machine import precision_for

TIMEOUT = timedelta(minutes=5)
"""How long processes wait for one that neither answers nor has closed its connection, as when a machine
has lost its network. The longest that they wait for in a training is the compilation of a network."""


def make_engine(device: str = "auto", precision: str = "32-true", strategy: str = "auto") -> Fabric:
    """Return a launched Fabric.

    Args:
        device: ``"auto"`` (the best there is), ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: a precision of Fabric, such as ``"32-true"`` or ``"bf16-mixed"``, or ``"auto"``.
        strategy: of several processes, as `Recipe` allows it.

    Raises:
        UsageError: if the device is not there, cannot compute in that precision, or there is not one
            for each process.
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
    processes, local = launcher.group()
    if strategy not in get_args(Strategy):
        raise UsageError(unknown("strategy", strategy, get_args(Strategy)))
    if processes > 1 and (kind == "mps" or (kind == "cuda" and local > counts["cuda"])):
        raise UsageError(
            f"{local} processes on this machine cannot share {counts[kind]} {kind}: start at most one "
            "per CUDA device, or give --device cpu."
        )
    unused = strategy == "ddp_find_unused_parameters_true"
    together = _Together(timeout=TIMEOUT, find_unused_parameters=unused)
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
                strategy=together if processes > 1 else "auto",
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


class _Together(DDPStrategy):
    """Data parallelism in which the gradients of every step are rounded alike.

    DDP adds them up in buckets, which it forms anew after the first step of a process, and the order
    in which more than two numbers are added depends on their place in the bucket: a resumed training
    would differ in the last bit. So each tensor is added up on its own.
    """

    def setup_module(self, module: nn.Module) -> DistributedDataParallel:
        together = super().setup_module(module)
        together.register_comm_hook(None, _mean_of_each)
        return together


def _mean_of_each(_state: object, bucket: GradBucket) -> Future[Tensor]:
    flat = bucket.buffer().div_(torch.distributed.get_world_size())
    parts = torch.split(flat, [gradient.numel() for gradient in bucket.gradients()])
    added = [torch.distributed.all_reduce(part, async_op=True).get_future() for part in parts]
    return collect_all(added).then(lambda _: flat)


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
