"""Running sums over batches: samples, their loss, and the confusion matrix.

Means follow from the sums, so that they are means over samples, never over batches. The sums of
several processes add up to those of one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lenetscope import schema
from lenetscope.errors import DataError
from lenetscope.evaluation.outputs import predicted_classes


class Tally:
    """Running sums over samples.

    Attributes:
        n: samples counted.
        loss_sum: their summed loss.
        confusion: (K, K) int64, rows true and columns predicted; None before the first batch and
            where there are no classes.
    """

    def __init__(self) -> None:
        self.n = 0
        self.loss_sum = 0.0
        self.confusion: Tensor | None = None

    def add(self, outputs: Any, labels: Any, loss: Tensor, loss_fn: Any) -> None:
        """Count one batch.

        Args:
            outputs: of the model.
            labels: the targets.
            loss: scalar, the mean over the batch (the sum, if ``loss_fn.reduction`` is ``"sum"``).
            loss_fn: what computed it.
        """
        count = len(labels)
        weight = 1 if getattr(loss_fn, "reduction", "mean") == "sum" else count
        self.n += count
        self.loss_sum += float(loss.detach()) * weight
        compared = predicted_classes(outputs, labels, loss_fn)
        if compared is None:
            return
        predicted, true, classes = compared
        valid = (true >= 0) & (true < classes)  # what ignore_index marks is not counted
        cells = torch.bincount((true * classes + predicted)[valid], minlength=classes**2)
        matrix = cells.reshape(classes, classes).cpu()  # (K, K)
        if self.confusion is not None and self.confusion.shape != matrix.shape:
            raise DataError(
                f"the model returns {classes} classes for this batch, and returned "
                f"{len(self.confusion)} for those before."
            )
        self.confusion = matrix if self.confusion is None else self.confusion + matrix

    @property
    def loss(self) -> float:
        """Mean loss over the samples; NaN if there were none."""
        return self.loss_sum / self.n if self.n else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Fraction of samples that are classified correctly; None where there are no classes."""
        if self.confusion is None or not self.confusion.sum():
            return None
        return int(self.confusion.trace()) / int(self.confusion.sum())

    def summed(self, reduce: Callable[[Tensor], Tensor]) -> "Tally":
        """Return the tally of all processes together.

        Args:
            reduce: adds a float64 tensor up over the processes; every process must call it.
        """
        classes = 0 if self.confusion is None else len(self.confusion)
        # a process without a batch does not know K, and learns it from the others
        sizes = [float(self.n), self.loss_sum, float(classes), float(classes > 0)]
        n, loss_sum, class_sum, informed = reduce(torch.tensor(sizes, dtype=torch.float64)).tolist()
        total = Tally()
        total.n, total.loss_sum = int(n), loss_sum
        if informed:
            shape = (int(class_sum / informed),) * 2
            mine = torch.zeros(shape) if self.confusion is None else self.confusion
            total.confusion = reduce(mine.double()).long()
        return total

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, as tensors and numbers."""
        return dict(vars(self))

    @classmethod
    def checked(cls, value: Any, where: str) -> "Tally":
        """Return the tally of a `state_dict` that a file kept.

        Raises:
            SchemaError: if it is not the sums of any batches.
        """
        tally, sums = cls(), _SUMS(value, where)
        tally.n, tally.loss_sum, tally.confusion = sums["n"], sums["loss_sum"], sums["confusion"]
        if not tally.n and (tally.loss_sum or tally.confusion is not None):
            raise schema.SchemaError(f"{where}.n is 0, and the sums over its samples are not")
        return tally


def _counts(value: Any, where: str) -> Tensor:
    plain = isinstance(value, Tensor) and not value.is_nested and value.ndim == 2
    classes = len(value) if plain else 0
    square = schema.described(value) == f"a tensor [{classes}, {classes}] of int64"
    if classes < 2 or not square or not torch.Tensor.is_contiguous(value) or torch.any(value < 0):
        schema.refuse(where, "a square tensor of counts, of int64", value)
    return torch.clone(value)


_SUMS = schema.record(
    {"n": schema.whole(), "loss_sum": schema.number(), "confusion": schema.optional(_counts)}
)
