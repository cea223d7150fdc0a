"""The network that is installed with the package, as a judge of 28x28 images.

It has eleven classes, the ten digits and "none" (see `reading.training.mnist_and_others`). Digitness is
the sum of the softmax over the ten digits. Probabilities are the softmax of the ten alone, at a
temperature fitted on images held out of the 60,000 (C. Guo et al., "On calibration of modern neural
networks", ICML 2017).

``weights/reader.safetensors`` holds the weights in float16 and everything else in its metadata;
``python -m benchmarks.ship RUN`` writes it. ``weights/README.md`` is the model card.
"""

import functools
import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

from lenetscope.data.preprocess import Preprocess
from lenetscope.errors import DataError
from lenetscope.files import write_bytes
from lenetscope.models import MODELS
from lenetscope.restore import eval_mode
from lenetscope.schema import anything, equal, list_of, mapping_of, number, record

FORMAT = 1
"""Version of the file of weights."""

ABOUT = record(
    {
        "model": equal("reader"),
        "mean": list_of(number(), 1),
        "std": list_of(number(1e-6), 1),
        "temperature": number(1e-6),
        "threshold": number(0, 1),
        "none_share": number(1e-6, 1 - 1e-6),
        "facts": mapping_of(anything),
    }
)
"""What the metadata of the file hold."""

USUAL_NONE = 0.02
"""Prior probability that a picture given to `read` does not show a digit."""

BATCH = 250
"""Images per forward pass: few enough for their feature maps to stay in the caches."""


class Judged(NamedTuple):
    """Predictions of a reader.

    Attributes:
        probabilities: (N, 10) of the digits, where the prior probability of "none" is `USUAL_NONE`;
            one minus their sum is the probability of "none".
        digitness: (N,) in [0, 1], probability that an image shows a digit, where the prior is the one
            of the training images.
    """

    probabilities: Tensor
    digitness: Tensor

    @property
    def with_none(self) -> Tensor:
        """Probabilities (N, 11), the last of "none"."""
        none = (1 - self.probabilities.sum(dim=1, keepdim=True)).clamp_min(0)
        return torch.cat([self.probabilities, none], dim=1)


@dataclass(frozen=True)
class Reader:
    """A network of ten digits and "none", with what was fitted after its training.

    Attributes:
        model: returns logits (N, 11).
        mean: that its recipe normalises by.
        std: that its recipe normalises by.
        temperature: by which the ten logits are divided.
        threshold: digitness below which an image is refused by default.
        none_share: fraction of its training images that were of the class "none".
        facts: how it was trained and what it reached, plain values.
    """

    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    threshold: float
    none_share: float
    facts: dict[str, Any]

    def judge(self, images: Any) -> Judged:
        """Predict which digit each image shows, and whether it shows one.

        Args:
            images: (N, 1, 28, 28) uint8, array or tensor, light on dark.

        Raises:
            DataError: if they are of another shape or dtype.
        """
        pixels = torch.as_tensor(images)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (1, 28, 28):
            raise DataError(
                "a reader takes uint8 images (N, 1, 28, 28), not "
                f"{str(pixels.dtype).removeprefix('torch.')} {tuple(pixels.shape)}."
            )
        return judged(self.logits(pixels), self.temperature, self.none_share)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (N, 11), float32, of images as `judge` takes them."""
        preprocess = Preprocess(self.mean, self.std)
        with torch.no_grad(), eval_mode(self.model):
            parts = [self.model(preprocess(part)).float() for part in torch.split(images, BATCH)]
        return torch.cat(parts) if parts else torch.empty(0, 11)

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
            "threshold": self.threshold,
            "none_share": self.none_share,
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
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{source} is damaged, or not the weights of a reader: {error}.") from error
        if version != FORMAT:
            raise DataError(f"{source} is of format {version}; this version reads format {FORMAT}.")
        with torch.random.fork_rng(devices=[]):
            model = MODELS.get(about["model"])(image_shape=(1, 28, 28), classes=11, dropout=0.0)
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
            about["threshold"],
            about["none_share"],
            about["facts"],
        )


def judged(logits: Tensor, temperature: float, none_share: float) -> Judged:
    """Convert logits to probabilities and digitness.

    The probabilities are corrected for the prior of "none", which is lower than among the training
    images (M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to new a
    priori probabilities", Neural Computation 14(1), 2002).

    >>> judged(torch.tensor([[2.0, 0.0, 2.0]]), temperature=2.0, none_share=0.02)[1].round(decimals=3)
    tensor([0.5320])

    Args:
        logits: (N, K + 1), the last one of "none".
        temperature: by which the first K are divided for the probabilities, but not for digitness.
        none_share: fraction of the training images that were of the class "none".
    """
    digits, none = logits[:, :-1], logits[:, -1]
    odds = digits.logsumexp(dim=1) - none  # log odds
    fewer = math.log(none_share / (1 - none_share)) - math.log(USUAL_NONE / (1 - USUAL_NONE))
    usual = torch.sigmoid(odds + fewer)
    return Judged((digits / temperature).softmax(dim=1) * usual[:, None], torch.sigmoid(odds))


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
