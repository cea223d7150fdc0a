"""All that only several processes need: with one process, each method here changes nothing.

Every process draws the same batches in the same order and takes its own rows of each, so that the
order of the images, and the loss, are those of one process.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lenetscope import rng
from lenetscope.errors import UsageError
from lenetscope.evaluation.evaluate import evaluate
from lenetscope.evaluation.tally import Tally
from lenetscope.table import counted
from lenetscope.training import engine


class Processes:
    """The processes that train together; all of them must call each method.

    Args:
        fabric: the engine, which has joined them.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric, self.rank, self.count = fabric, fabric.global_rank, fabric.world_size

    def rows(self, inputs: Any, labels: Any) -> tuple[Any, Any, float]:
        """Return this process's rows of a batch, and the weight of its mean in the mean of all.

        A process that finds no row left takes the first one with a weight of 0, because all
        processes must take part in adding up the gradients.
        """
        if self.count == 1:
            return inputs, labels, 1.0
        mine = labels[self.rank :: self.count]
        if not len(mine):
            return inputs[:1], labels[:1], 0.0
        return inputs[self.rank :: self.count], mine, len(mine) * self.count / len(labels)

    def seed_alike(self) -> None:
        """Seed torch as the first process decides, so that all draw the same order of batches."""
        if self.count > 1:
            self._seed = self.fabric.broadcast(torch.randint(2**31, ()).item())
            torch.manual_seed(self._seed)

    def seed_apart(self) -> None:
        """Seed torch in each process differently, so that each has a dropout of its own."""
        if self.count > 1:
            torch.manual_seed(self._seed + self.rank)

    def capture_rng(self, loader: Any) -> list[dict[str, Any]]:
        """Return the random streams of all processes, in the order of their ranks."""
        everyone = [rng.capture(loader)] * self.count
        if self.count > 1:
            torch.distributed.all_gather_object(everyone, everyone[0])
        return everyone

    def require_same(self, model: nn.Module, everyone: list[dict[str, Any]] | None) -> None:
        """Raise if another number of processes began the training, and this one would not continue it.

        Raises:
            UsageError: if so.
        """
        before = len(everyone or [])
        if before not in (0, self.count) and any(isinstance(m, _BatchNorm) for m in model.modules()):
            raise UsageError(
                f"this training began with {counted(before, 'process')}, and its network normalises "
                f"the images of each on their own: continue with as many, not {self.count}."
            )

    def restore_rng(self, everyone: list[dict[str, Any]] | None, loader: Any) -> None:
        """Restore this process's random streams; all have those of the last, if there were fewer."""
        assert everyone is not None
        rng.restore(everyone[min(self.rank, len(everyone) - 1)], loader)

    def continue_rng(self, everyone: list[dict[str, Any]] | None, loader: Any) -> None:
        """Restore the streams in the middle of an epoch; one that was not there begins its own."""
        self.restore_rng(everyone, loader)
        if everyone and self.rank >= len(everyone):
            rng.seed_everything(int(torch.randint(2**31, ()).item()) + self.rank)

    def any(self, here: bool) -> bool:
        """Return whether ``here`` is true in any of the processes."""
        if self.count == 1:
            return here
        return self.fabric.strategy.reduce_boolean_decision(here, all=False)

    def sum(self, tally: Tally) -> Tally:
        """Return the tally of all processes together."""
        return tally if self.count == 1 else tally.summed(self._add)

    def own(self, total: Tally) -> Tally:
        """Return the total in the first process and nothing in the others, to be summed again."""
        return total if self.rank == 0 else Tally()

    def evaluate(self, model: nn.Module, loader: Iterable[Any], loss_fn: Any) -> Tally:
        """Evaluate a model on a loader, whose batches the processes share."""
        return evaluate(
            model,
            loader,
            loss_fn,
            forward=partial(engine.run, self.fabric, model),
            device=self.fabric.device,
            rank=self.rank,
            processes=self.count,
            reduce=self._add,
        )

    def _add(self, tensor: Tensor) -> Tensor:
        # Apple's GPUs have no float64, but they never form a group of processes either
        result = self.fabric.all_reduce(tensor.to(self.fabric.device), reduce_op="sum")
        assert isinstance(result, Tensor)
        return result.cpu()
