"""The network that reads lines, with what was fitted after its training.

``weights/reader.safetensors`` holds the weights in float16 and everything else in its metadata. The
recipe ``reader`` writes such a file into its run folder (`training.calibration`), and
``weights/README.md`` is the model card of the one that is installed with the package.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

from lenetscope.data.preprocess import Preprocess
from lenetscope.errors import DataError, UsageError
from lenetscope.files import write_bytes
from lenetscope.models.reader import BLANK, PER_POSITION, ReaderNet, single
from lenetscope.reading import ctc
from lenetscope.restore import eval_mode
from lenetscope.runs.folder import Run
from lenetscope.schema import anything, equal, list_of, mapping_of, number, record, whole

Array = npt.NDArray[Any]

FILE = "reader.safetensors"
"""Name of a reader in its run folder."""

FORMAT = 3
"""Version of the file of weights."""

ABOUT = record(
    {
        "model": equal("reader"),
        "mean": list_of(number(), 1),
        "std": list_of(number(1e-6), 1),
        "temperature": number(1e-6),
        "lead": whole(0, 12),
        "threshold": number(0, 1),
        "facts": mapping_of(anything),
    }
)
"""What the metadata of the file hold."""

WIDTHS = 32
"""Strips are padded to a multiple of so many pixels, and those of one width share a forward pass."""


class Recogniser(Protocol):
    """What `lenetscope.read` reads strips with."""

    @property
    def threshold(self) -> float:
        """Score below which a text is refused, see `results.score_of`."""

    def positions(self, strips: Sequence[Array] | Array) -> list[Tensor]:
        """Return the log-probabilities (12, T) along each strip (28, W) uint8."""

    def log_digitness(self, positions: Tensor) -> float:
        """Return the log-probability that there are digits, and nothing else."""


@dataclass(frozen=True)
class Reader:
    """A network that reads lines.

    Attributes:
        model: returns `LineOutputs`.
        mean: that its recipe normalises by.
        std: that its recipe normalises by.
        temperature: by which its log-probabilities are divided.
        lead: positions by which the network says what a digit is before its middle.
        threshold: score below which a text is refused by default.
        facts: how it was trained and what it reached, plain values.
    """

    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    lead: int
    threshold: float
    facts: dict[str, Any]

    def positions(self, strips: Sequence[Array] | Array) -> list[Tensor]:
        """Return the log-probability of each label at each position of strips.

        They are moved along the strip by `lead`, so that a digit's label is about in its middle.

        Args:
            strips: each (28, W) uint8, ink light.

        Returns:
            One (12, T) float32 per strip, with T half of W, rounded up.
        """
        found: list[Tensor] = [torch.empty(0)] * len(strips)
        widths = np.array([-(-strip.shape[1] // WIDTHS) * WIDTHS for strip in strips])
        preprocess = Preprocess(self.mean, self.std)
        with torch.no_grad(), eval_mode(self.model):
            for width in np.unique(widths):
                numbers = np.flatnonzero(widths == width)
                batch = np.zeros((len(numbers), 1, 28, width), dtype=np.uint8)
                for row, number in zip(batch, numbers.tolist(), strict=True):
                    row[0, :, : strips[number].shape[1]] = strips[number]
                outputs = self.model(preprocess(torch.from_numpy(batch))).positions.float()
                for row, number in zip(outputs / self.temperature, numbers.tolist(), strict=True):
                    used = -(-strips[number].shape[1] // PER_POSITION)
                    said = row[:, :used].log_softmax(dim=0).roll(self.lead, dims=1)
                    said[:, : self.lead] = -30.0
                    said[BLANK, : self.lead] = 0.0
                    found[number] = said
        return found

    def single(self, images: Sequence[Array] | Array) -> Tensor:
        """Return `LineOutputs.logits` (N, 11) of single digits, each (28, W) uint8, ink light."""
        return torch.cat([single(each[None]) for each in self.positions(images)])

    def log_digitness(self, positions: Tensor) -> float:
        """Return the log-probability that there are digits, and nothing else."""
        return ctc.log_digitness(positions)

    def save(self, path: Path) -> None:
        """Write the weights in float16, with everything that `load` needs.

        Raises:
            StorageError: if the disk is full or read-only.
        """
        weights = {
            name: value.detach().cpu().to(torch.float16).contiguous()
            for name, value in self.model.state_dict().items()
            if value.is_floating_point()  # leaves out the batch counters of batch normalisation
        }
        about = {
            "format": FORMAT,
            "model": "reader",
            "mean": self.mean,
            "std": self.std,
            "temperature": self.temperature,
            "lead": self.lead,
            "threshold": self.threshold,
            "facts": self.facts,
        }
        # a single key, because the order of several would be random
        write_bytes(path, bytes_of(weights, {"reader": json.dumps(about, sort_keys=True)}))

    @classmethod
    def load(cls, data: bytes, source: str) -> Self:
        """Load what `save` wrote; no code in it can run.

        Args:
            data: content of the file.
            source: its name in messages.

        Raises:
            DataError: if it is damaged, or of another version or network.
        """
        try:
            length = int.from_bytes(data[:8], "little")
            about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["reader"])
            version = about["format"]
            about = about if version != FORMAT else ABOUT(about, "reader")
            weights = tensors_of(data)
        except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{source} is damaged, or not the weights of a reader: {error}.") from error
        if version != FORMAT:
            raise DataError(f"{source} is of format {version}; this version reads format {FORMAT}.")
        with torch.random.fork_rng(devices=[]):
            model = ReaderNet()
        expected = {name: v for name, v in model.state_dict().items() if v.is_floating_point()}
        shapes = {name: tuple(value.shape) for name, value in expected.items()}
        if shapes != {name: tuple(value.shape) for name, value in weights.items()}:
            raise DataError(f"{source} holds weights of another network than '{about['model']}'.")
        if not all(value.isfinite().all() for value in weights.values()):
            raise DataError(f"{source} is damaged: it holds infinity or NaN.")
        model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
        model.to(memory_format=torch.channels_last)
        return cls(
            model.eval().requires_grad_(False),
            tuple(about["mean"]),
            tuple(about["std"]),
            about["temperature"],
            about["lead"],
            about["threshold"],
            about["facts"],
        )


@functools.cache
def load_reader() -> Reader:
    """Return the reader that is installed with the package, the same object each time.

    Raises:
        DataError: if the installed package is damaged.
    """
    file = resources.files("lenetscope.reading") / "weights" / "reader.safetensors"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"the installed package is damaged ({file}: {error}); reinstall it.") from error
    return Reader.load(data, str(file))


def reader_of(run: Run) -> Recogniser:
    """Return what reads strips with a run's network, of the recipe ``reader`` or of single digits.

    Raises:
        DataError: if the run's reader is damaged.
        UsageError: if its training is not finished, or its network reads no digits.
    """
    from lenetscope.reading.single import SingleDigits

    recipe, file = run.recipe(), run.path / FILE
    if file.exists():
        return Reader.load(file.read_bytes(), str(file))
    model = run.load_model()
    if isinstance(model, ReaderNet):
        raise UsageError(
            f"{run.path} has no {FILE}, which the end of its training writes: finish it with "
            f"lenetscope train --resume {run.path}"
        )
    return SingleDigits(model, recipe.mean, recipe.std)
