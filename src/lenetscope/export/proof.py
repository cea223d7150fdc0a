"""Whether an exported file computes what PyTorch computes: asked of each file before it is kept.

The answers of the opened file are compared with those of the model itself, which go another way:
through `data.preprocess` and `evaluation`, not through the graph that was exported. Batches of several
sizes, because a file that was traced with one size may compute something else with another.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import Splits
from lenetscope.errors import ExportError
from lenetscope.evaluation.outputs import Array, model_outputs
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.export import ACCURACY_LOST, Limits
from lenetscope.export.exportable import Exportable
from lenetscope.export.predictor import Predictor
from lenetscope.observe import BATCH_SIZE
from lenetscope.table import Table, column, counted, interval, percent

SAMPLE = 1000
"""Test images, evenly spaced over all of them, that are shown in the small batches."""

SMALL, LARGE = (1, 7), 64
"""Images per batch, after which the last holds the rest; the large one is shown all test images."""


@dataclass(frozen=True)
class Agreement:
    """How a file agrees with PyTorch, with so many images per batch.

    Attributes:
        batch: images per batch; the last may be smaller.
        images: how many were compared.
        largest: of the differences of probabilities.
        mean: of the differences of probabilities.
        labels: images whose most probable class is another one.
    """

    batch: int = column(heading="images per batch")
    images: int = column(",d", "images")
    largest: float = column(".1e", "largest difference")
    mean: float = column(".1e", "mean difference")
    labels: int = column(",d", "labels that differ")


@dataclass(frozen=True)
class Proof:
    """How a file compares with PyTorch on the test images.

    Attributes:
        agreements: one row per size of a batch.
        n: test images.
        correct: how many of them the file gets right.
        torch_correct: how many of them PyTorch gets right, in float32.
    """

    agreements: Table[Agreement]
    n: int
    correct: int
    torch_correct: int

    @property
    def accuracy(self) -> str:
        """The file's accuracy with its interval, as text."""
        bounds = interval(wilson_interval(self.correct, self.n))
        errors = counted(self.n - self.correct, "error")
        return f"{percent(self.correct / self.n)} ({bounds}, {errors} in {self.n:,})"

    def require(self, limits: Limits) -> None:
        """Refuse a file that disagrees.

        Raises:
            ExportError: if a limit is exceeded, or more accuracy lost than `ACCURACY_LOST`.
        """
        lost = (self.torch_correct - self.correct) / self.n
        points = f"{100 * max(lost, 0):.2f} points of accuracy"
        for row in self.agreements:
            for name in ("largest", "mean"):
                found, limit = getattr(row, name), getattr(limits, name)
                if not found <= limit:  # also where it is not a number
                    raise ExportError(
                        f"the exported file is not what PyTorch computes, and is not kept: in batches "
                        f"of {row.batch} the {name} difference of probabilities is {found:.2g}, and "
                        f"may be {limit:.2g}; {counted(row.labels, 'label')} of {row.images:,} differ, "
                        f"and {points} are lost. Export to another format."
                    )
        if lost > ACCURACY_LOST:
            raise ExportError(
                f"the exported file loses {points}, and is not kept: {self.correct:,} of {self.n:,} "
                f"test images are right, not {self.torch_correct:,}; at most {100 * ACCURACY_LOST:g} "
                "points may be lost. Export to another format."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, for JSON."""
        return asdict(self) | {"agreements": self.agreements.as_dicts()}


def prove(exportable: Exportable, splits: Splits, predictor: Predictor) -> Proof:
    """Compare a predictor with the model that it was made from.

    Args:
        exportable: the model.
        splits: whose test images are shown to both.
        predictor: opened from the file that was written.

    Raises:
        ExportError: if it knows other classes, or its answers have another shape.
    """
    images, labels = splits.test
    n = len(labels)
    if (predictor.classes, predictor.image_shape) != (exportable.classes, exportable.image_shape):
        raise ExportError("the exported file has other classes or images than the run; it is not kept.")
    expected = np.concatenate([_expected(exportable, images[part]) for part in _parts(n, BATCH_SIZE)])
    some = torch.linspace(0, n - 1, min(SAMPLE, n), dtype=torch.float64).round().long()
    sample = np.asarray(images[some])
    rows = [
        _agreement(batch, expected[some.numpy()], _answers(predictor, sample, batch)) for batch in SMALL
    ]
    found = np.concatenate(
        [predictor.probabilities(np.asarray(images[part])) for part in _parts(n, LARGE)]
    )
    rows.append(_agreement(LARGE, expected, found))
    right = [int((answers.argmax(axis=1) == labels.numpy()).sum()) for answers in (found, expected)]
    return Proof(Table(rows), n, *right)


def _parts(n: int, batch: int) -> Iterator[slice]:
    return (slice(start, start + batch) for start in range(0, n, batch))


def _expected(exportable: Exportable, pixels: torch.Tensor) -> Array:
    inputs = Preprocess(exportable.mean, exportable.std)(pixels)
    return model_outputs(exportable.model, inputs).softmax(dim=1).numpy()


def _answers(predictor: Predictor, images: Array, batch: int) -> Array:
    return np.concatenate([predictor.probabilities(images[p]) for p in _parts(len(images), batch)])


def _agreement(batch: int, expected: Array, found: Array) -> Agreement:
    if found.shape != expected.shape:
        raise ExportError(
            f"the exported file answers {found.shape} instead of {expected.shape}; it is not kept."
        )
    differences = np.abs(found.astype(np.float64) - expected)
    labels = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    return Agreement(batch, len(found), float(differences.max()), float(differences.mean()), labels)
