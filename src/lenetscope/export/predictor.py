"""One way to ask a network for probabilities, whatever kind of file it lies in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lenetscope.arguments import as_path, as_tensor, shown
from lenetscope.data.sources import light_on_dark
from lenetscope.errors import DataError, RunError, listed
from lenetscope.evaluation.outputs import Array
from lenetscope.export import FORMATS
from lenetscope.export.exportable import WithPreprocessing
from lenetscope.runs import records
from lenetscope.runs.folder import Run


@dataclass(frozen=True)
class Predictor:
    """A network that is ready to answer; several threads may ask at once.

    Attributes:
        classes: names of the K classes.
        image_shape: (C, H, W) of an image.
        compute: from uint8 images (N, C, H, W), in one block of memory, to probabilities (N, K).
        light_on_dark: whether it was trained on light shapes on dark, as MNIST is.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    compute: Callable[[Array], Array]
    light_on_dark: bool = False

    def probabilities(self, images: Array) -> Array:
        """Return the probability of each class, (N, K) float32.

        Args:
            images: (N, C, H, W) uint8, at least one.

        Raises:
            DataError: if they are not.
        """
        given = as_tensor("images", images)
        if given.dtype != torch.uint8 or tuple(given.shape[1:]) != self.image_shape or not len(given):
            allowed = ", ".join(map(str, self.image_shape))
            raise DataError(f"images must be (N, {allowed}) of uint8, not {shown(given)}.")
        return np.asarray(self.compute(given.contiguous().numpy()), dtype=np.float32)

    @classmethod
    def of_module(cls, module: nn.Module, config: dict[str, Any]) -> "Predictor":
        """Make one of a module that takes uint8 images and returns probabilities.

        Args:
            module: in evaluation mode.
            config: with ``classes``, ``image_shape`` and, if it is known, ``light_on_dark``.
        """

        def compute(images: Array) -> Array:
            with torch.no_grad():
                return module(torch.from_numpy(images)).numpy()  # type: ignore[no-any-return]

        return cls.of(compute, config)

    @classmethod
    def of(cls, compute: Callable[[Array], Array], config: dict[str, Any]) -> "Predictor":
        """Make one of a function and a configuration, see `of_module`."""
        channels, height, width = config["image_shape"]
        on_dark = bool(config.get("light_on_dark"))
        return cls(tuple(config["classes"]), (channels, height, width), compute, on_dark)


def open_predictor(path: str | Path, threads: int = 0) -> Predictor:
    """Open a run folder, the folder of an export, or the file in it.

    >>> open_predictor("nowhere.onnx")
    Traceback (most recent call last):
    lenetscope.errors.RunError: there is no nowhere.onnx.

    Args:
        path: of the folder or the file.
        threads: of ONNX Runtime, 0 for one per core; PyTorch computes with those of the process.

    Raises:
        RunError: if it is missing, damaged, or neither of them.
        UsageError: if the library that runs the file is not installed.
    """
    path = as_path(path)
    if not records.exists(path):
        raise RunError(f"there is no {path}.")
    if (path / "recipe.toml").exists():
        run = Run.open(path)
        recipe = run.recipe()
        module = WithPreprocessing(run.load_model(), recipe.mean, recipe.std).eval()
        return Predictor.of_module(module, run.config() | {"light_on_dark": light_on_dark(recipe.data)})
    formats = [FORMATS.get(name) for name in FORMATS.names()]
    files = {each.file: each for each in formats}
    inside = [path / name for name in files if (path / name).exists()]
    file = inside[-1] if inside else path  # of weights and program, the weights: they hold no code
    kinds = {Path(name).suffix: each for name, each in files.items()}
    if file.suffix not in kinds or not file.is_file():
        raise RunError(f"{path} is neither the folder of a run nor an exported file: {listed(kinds)}.")
    return kinds[file.suffix].open(file, threads)
