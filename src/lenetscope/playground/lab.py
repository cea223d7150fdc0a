"""What the playground has open: runs, each with its network as steps that the page can run."""

import threading
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.errors import LayerError, UsageError, unknown
from lenetscope.inspection import Inspection
from lenetscope.layers import LayerRow
from lenetscope.playground.events import Events
from lenetscope.playground.kept import Kept
from lenetscope.playground.training import Training
from lenetscope.questions.embedding import PAGE_SUBSET, Embedding, embed
from lenetscope.report import familiar, network
from lenetscope.runs.folder import Run

EXAMPLE = "example"
"""Name of the run that ships with the package."""

MOST_WEIGHTS = 10_000_000
"""Weights that the page is sent, 40 MB; larger networks run on the server."""

KEPT = 20
"""Runs of the playground's folder that can be opened: the newest."""

MAPPED_MISTAKES = 200
"""Mistakes that are on the map of test images, at most: the worst."""


def example() -> Run:
    """Return the run that ships with the package.

    It is `lenetscope train --recipe fast --epochs 6 --augmentation affine --label-smoothing 0`, seed 0:
    99.4 % of MNIST's test images.
    """
    return Run.open(Path(str(files("lenetscope.playground") / "run")))


class Opened:
    """A run that is open.

    Args:
        name: of the run in the playground.
        inspection: of the run.
        data_dir: where its data are; None for where they are by default.
    """

    def __init__(self, name: str, inspection: Inspection, data_dir: Path | None = None) -> None:
        self.name, self.inspection, self.data_dir = name, inspection, data_dir
        inspection.quick = True

    @cached_property
    def graph(self) -> network.Graph:
        """The network as steps.

        Raises:
            LayerError: if the page cannot run it.
        """
        model = self.inspection.model
        if (count := sum(weights.numel() for weights in model.parameters())) > MOST_WEIGHTS:
            raise LayerError(f"the network has {count:,} weights, and a page takes {MOST_WEIGHTS:,}.")
        return self._described.graph(model)

    @cached_property
    def _described(self) -> network.Described:
        """The network, traced once for the weights of all epochs."""
        return network.Described.of(self.inspection.model, self.inspection.image_shape)

    @cached_property
    def layers(self) -> list[LayerRow]:
        """The layers that return a tensor, each time that they run for an empty image."""
        return [row for row in self.inspection.layers if row.shape]

    @cached_property
    def refusal(self) -> str | None:
        """Why the page cannot run the network; None if it can."""
        try:
            _ = self.graph
        except LayerError as error:
            return str(error)
        return None

    @cached_property
    def familiar(self) -> dict[str, Any]:
        """What is familiar to the network, as plain values."""
        return familiar.fit(self.inspection, self.graph).as_dict()

    @property
    def is_of_digits(self) -> bool:
        """Whether every class is a digit."""
        return familiar.are_digits(self.inspection.run.recipe().data, self.inspection.classes)

    @cached_property
    def embedding(self) -> Embedding:
        """Test images as points of a plane, by the inputs of the last layer.

        They are the mistakes, and others at random.
        It takes 2.5 seconds for 1,000 images and 256 inputs, on one core.

        Raises:
            DataError: if there are fewer than 4 images, or the inputs do not tell them apart.
        """
        inspection = self.inspection
        mistakes = [row.index for row in inspection.mistakes][:MAPPED_MISTAKES]
        rest = np.setdiff1d(np.arange(len(inspection.labels)), mistakes)
        others = np.random.default_rng(0).permutation(rest)[: PAGE_SUBSET - len(mistakes)]
        numbers = np.sort(np.concatenate([mistakes, others])).astype(np.int64)
        same = nn.Sequential(nn.Identity())
        found = embed(same, inspection.features[numbers], "0", method="tsne", subset=None)
        return replace(found, images=numbers)

    @cached_property
    def snapshot_epochs(self) -> list[int]:
        """The epochs whose weights are kept; none if the run has kept none."""
        return self.inspection.run.snapshot_epochs()

    def model(self, epoch: int | None = None) -> nn.Module:
        """Return the network after an epoch, or as it ended.

        Raises:
            RunError: if the run has not kept that epoch.
        """
        return self.inspection.model if epoch is None else self.inspection.model_at(epoch)

    def weights(self, epoch: int | None = None) -> npt.NDArray[np.float32]:
        """Return the weights of all steps after an epoch, (M,), in the order of the graph.

        Raises:
            LayerError: if the page cannot run the network.
            RunError: if the run has not kept that epoch.
        """
        graph = self.graph  # which says where the page cannot run the network
        return graph.weights if epoch is None else self._described.graph(self.model(epoch)).weights

    def images(self, pixels: bytes) -> Tensor:
        """Return an image that the page sent, (1, C, H, W) uint8.

        Raises:
            UsageError: if it is not of this network's size.
        """
        shape = self.inspection.image_shape
        if len(pixels) != np.prod(shape):
            size = "x".join(map(str, shape))
            raise UsageError(f"an image of this network is {size} bytes, not {len(pixels):,}.")
        return torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(1, *shape)


def _runs_with_weights(folder: Path) -> dict[str, Path]:
    """Return the newest runs in a folder, by name."""
    found = [file.parent for file in folder.glob("[!.]*/weights.safetensors")]
    newest = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:KEPT]
    return {path.name: path for path in newest}


class Lab:
    """All that is open.

    Args:
        run: the run to begin with; None for the one that ships with the package.
        folder: where new runs and kept drawings are put.
        data_dir: where the data of the run are, if they were moved.

    Attributes:
        closing: set when the server ends.
    """

    def __init__(self, run: Run | None, folder: Path, data_dir: Path | None = None) -> None:
        self.folder = folder
        self.events = Events()
        self._busy: str | None = None
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._runs: dict[str, Opened] = {}
        self.training = Training(self)
        self._waiting = _runs_with_weights(folder / "runs")
        self.first = self.add(run or example(), EXAMPLE if run is None else None, data_dir).name

    def close(self) -> None:
        """End what goes on, before the server ends."""
        self.training.close()
        self.closing.set()
        self.events.close()

    @property
    def busy(self) -> str | None:
        """What is trained now, in a few words; None if nothing is."""
        return f"the training of {self.training.run}" if self.training.is_active else self._busy

    def begin(self, what: str) -> None:
        """Take the one place that there is for a training; `end` gives it back.

        Raises:
            UsageError: if it is taken.
        """
        with self._lock:
            if self.busy is not None:
                raise UsageError(f"{self.busy} goes on, and only one can at a time: wait for its end.")
            self._busy = what

    def end(self) -> None:
        """Give back the place for a training."""
        self._busy = None

    def kept(self, opened: Opened) -> Kept:
        """Return the drawings that were kept, as a network takes them."""
        inspection = opened.inspection
        return Kept(self.folder / "digits", inspection.classes, inspection.image_shape)

    @property
    def names(self) -> list[str]:
        """Names of the runs that are open, or were in the folder at the beginning."""
        return list(dict.fromkeys([*self._runs, *self._waiting]))

    def add(self, run: Run, name: str | None = None, data_dir: Path | None = None) -> Opened:
        """Open a run, under the name of its folder; one that is open under that name is replaced."""
        name = name or run.path.resolve().name
        inspection = Inspection.open(run, device="cpu", data_dir=data_dir)
        opened = Opened(name, inspection, data_dir or run.data_dir())
        with self._lock:
            self._runs[name] = opened
        return opened

    def run(self, name: str | None = None) -> Opened:
        """Return a run that is open, or in the folder; by default the first.

        Raises:
            UsageError: if there is none of that name.
            RunError, CheckpointError: if it cannot be opened.
        """
        name = self.first if name is None else name
        if name in self._runs:
            return self._runs[name]
        if name in self._waiting:
            return self.add(Run.open(self._waiting[name]), name)
        if self.training.is_active and name == self.training.run:
            raise UsageError(f"{name} is being trained; it can be asked when that has ended.")
        raise UsageError(unknown("run", name, self.names))
