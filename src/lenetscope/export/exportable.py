"""What is exported: a trained network with all that its files must know."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lenetscope.data.sources import light_on_dark
from lenetscope.errors import ExportError, LenetscopeError, RunError
from lenetscope.evaluation.outputs import require_logits
from lenetscope.recipe import Recipe
from lenetscope.runs.folder import Run


@dataclass(frozen=True)
class Exportable:
    """A trained network, and what it was trained on.

    Attributes:
        model: a copy in evaluation mode, on the CPU, in float32.
        image_shape: (C, H, W).
        classes: names of the K classes.
        mean: subtracted from pixels in [0, 1], one number per channel.
        std: then divides them, one number per channel.
        recipe: of the training.
        facts: plain values about the training, for cards and metadata.
    """

    model: nn.Module
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    recipe: Recipe
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        recipe: Recipe,
        image_shape: Sequence[int],
        classes: Sequence[str],
        facts: Mapping[str, Any],
    ) -> Self:
        """Copy a model, which stays as it is, with what its recipe says of preprocessing."""
        plain = copy.deepcopy(model).eval().float().cpu()
        plain = plain.to(memory_format=torch.contiguous_format).requires_grad_(False)
        channels, height, width = image_shape
        shape = (channels, height, width)
        return cls(plain, shape, tuple(classes), recipe.mean, recipe.std, recipe, facts)

    @classmethod
    def of_run(cls, run: Run) -> Self:
        """Take the network of a finished run.

        Raises:
            RunError: if the run is unfinished, or damaged.
        """
        if not run.is_finished():
            done, planned = len(run.history()), run.planned_epochs()
            raise RunError(
                f"{run.path} is unfinished, {done} of {planned} epochs are done, and only a finished "
                f"run is exported. Finish it: lenetscope train --resume {run.path}"
            )
        config, environment = run.config(), run.environment()
        facts = {
            "run": str(run.path),
            "epoch": run.weights_epoch(),
            "trained": environment.get("started"),
            "data": environment.get("data", {}),
        }
        return cls.of(run.load_model(), run.recipe(), config["image_shape"], config["classes"], facts)

    def metadata(self) -> dict[str, Any]:
        """Return plain values that every format writes into its file."""
        return {
            "lenetscope": version("lenetscope"),
            "model": self.recipe.model,
            "image_shape": list(self.image_shape),
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "light_on_dark": light_on_dark(self.recipe.data),
            "takes": "uint8 images (N, C, H, W)",
            "gives": "float32 probabilities (N, K)",
        }

    @property
    def module(self) -> "WithPreprocessing":
        """The network with its preprocessing inside, as formats write it."""
        return WithPreprocessing(self.model, self.mean, self.std).eval()

    @cached_property
    def program(self) -> ExportedProgram:
        """`module` as a graph that takes any number of images.

        Raises:
            ExportError: if torch.export cannot trace it.
        """
        images = torch.zeros(2, *self.image_shape, dtype=torch.uint8)  # 1 would stand for itself
        with untraceable(self.recipe.model):
            return torch.export.export(self.module, (images,), dynamic_shapes=({0: Dim("images")},))


@contextmanager
def untraceable(name: str) -> Iterator[None]:
    """Raise whatever torch raises about a network's code as an `ExportError` of one line."""
    try:
        yield
    except LenetscopeError:
        raise
    except Exception as error:  # of many kinds, and of the network's own
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ExportError(
            f"the network '{name}' cannot be traced: {type(error).__name__}: {why[:200]} Its forward "
            "must take the same path whatever the pixels are, and batches of any size."
        ) from error


class WithPreprocessing(nn.Module):
    """From uint8 images (N, C, H, W) to the probability of each class, (N, K) float32.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> pixels = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    >>> WithPreprocessing(network, mean=[0.5], std=[0.5])(pixels).shape
    torch.Size([5, 3])

    Args:
        network: returns logits (N, K), or several outputs with them: see `evaluation.outputs`.
        mean: subtracted from pixels in [0, 1], one number per channel.
        std: then divides them, one number per channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Scale, normalise, run the network, and turn its logits into probabilities."""
        pixels = images.to(torch.float32) * (1 / 255)  # (N, C, H, W), as `data.preprocess` does it
        logits = require_logits(self.network((pixels - self.mean) / self.std))  # (N, K)
        return logits.float().softmax(dim=1)
