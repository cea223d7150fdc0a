"""A finished run, and what several questions about it need, each computed once and when it is needed.

In: a run folder. Out: its network, its test images, what the network says to them, the features that
it decides by. Pictures and the report ask their questions of a `Study`.
"""

from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from lenetscope import insight
from lenetscope.architecture import Architecture
from lenetscope.datasets import LabelledImages, Preprocess, Splits
from lenetscope.errors import LayerError, RunError
from lenetscope.evaluation import Scores, probabilities
from lenetscope.evaluation.calibration import (
    Calibration,
    cross_fitted,
    fit_temperature,
    with_temperature,
)
from lenetscope.evaluation.predictions import model_outputs
from lenetscope.insight import LayerHealth, LayerRow, Learning
from lenetscope.insight.mistakes import Mistake, find_mistakes
from lenetscope.runs import Run
from lenetscope.tables import Table
from lenetscope.tracking import Track, untracked

BATCH = 250
NEAREST = 5
"""Training images that are looked up for each mistake."""
FEATURE_BYTES = 2 * 2**30
"""What the features of all training images may take: 2 GiB."""


class Study:
    """A run, ready to be asked.

    Args:
        run: the folder.
        arch: its network, see `Architecture.from_run`.
        data_dir: where data lies; by default where it lay when the run was trained.
        track: shows how far the long parts have come.

    Attributes:
        run, arch: as given.
    """

    def __init__(
        self, run: Run, arch: Architecture, data_dir: Path | None = None, track: Track = untracked
    ) -> None:
        self.run, self.arch, self.track = run, arch, track
        self._data_dir = data_dir

    @classmethod
    def open(
        cls,
        run: str | Path | Run,
        *,
        device: str | None = None,
        data_dir: Path | None = None,
        track: Track = untracked,
    ) -> Self:
        """Open a run folder.

        Args:
            run: the folder.
            device: where to compute; by default as the run's recipe says.
            data_dir: where data lies; by default where it lay when the run was trained.
            track: shows how far the long parts have come.

        Raises:
            RunError: if there is no such run, or it has no weights yet.
            CheckpointError: if its weights are of another network.
        """
        folder = run if isinstance(run, Run) else Run.open(Path(run))
        return cls(folder, Architecture.from_run(folder, device=device), data_dir, track)

    @property
    def model(self) -> nn.Module:
        """The network, as trained."""
        return self.arch.model

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        assert self.arch.classes is not None
        return self.arch.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        assert self.arch.image_shape is not None
        return self.arch.image_shape

    @cached_property
    def layers(self) -> Table[LayerRow]:
        """The layers in the order in which they run."""
        return insight.summarize(self.model, self.image_shape)

    @cached_property
    def convolutions(self) -> list[str]:
        """Names of the two-dimensional convolutions, each once, in the order in which they run."""
        modules = insight.find_layers(self.model)
        ran = dict.fromkeys(row.name for row in self.layers)
        return [name for name in ran if isinstance(modules[name], nn.Conv2d)]

    @cached_property
    def last_maps(self) -> str | None:
        """Name of the last layer whose outputs are maps of more than one place; None without any.

        Layers that run several times in a pass are left out.
        """
        names = [row.name for row in self.layers]
        maps = [
            row.name
            for row in self.layers
            if len(row.shape) == 3 and max(row.shape[1:]) > 1 and names.count(row.name) == 1
        ]
        return maps[-1] if maps else None

    @cached_property
    def last_layer(self) -> str:
        """Name of the last layer that learns; what it is given are the features to decide by.

        Raises:
            LayerError: if no layer learns.
        """
        learning = [row.name for row in self.layers if row.parameters]
        if not learning:
            raise LayerError("no layer of this network learns, so none decides.")
        return learning[-1]

    @cached_property
    def penultimate(self) -> str:
        """Name, and call, of the layer that runs just before the last one that learns.

        Raises:
            LayerError: if there is none.
        """
        names = [row.name for row in self.layers]
        place = names.index(self.last_layer) - 1
        if place < 0:
            raise LayerError("this network has a single layer that learns, and none before it.")
        call = names[:place].count(names[place])
        return f"{names[place]}:{call}" if call else names[place]

    @cached_property
    def splits(self) -> Splits:
        """The data that the run was trained on.

        Raises:
            DataError: if it is missing.
            RunError: if it has changed since.
        """
        splits = self.arch.load_data(self._data_dir or self.run.data_dir())
        self.run.require_same_data(splits)
        return splits

    @property
    def pixels(self) -> Tensor:
        """The test images (N, C, H, W) uint8."""
        return self.splits.test.images[:]

    @property
    def labels(self) -> Tensor:
        """The labels of the test images, (N,) int64."""
        return self.splits.test.labels

    @property
    def train_pixels(self) -> Tensor:
        """The training images (M, C, H, W) uint8, all in memory."""
        return self.splits.train.images[:]

    @property
    def train_labels(self) -> Tensor:
        """The labels of the training images, (M,) int64."""
        return self.splits.train.labels

    @cached_property
    def images(self) -> Tensor:
        """The test images as the network takes them, (N, C, H, W)."""
        return self.prepared(self.pixels)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Preprocess uint8 images (N, C, H, W) as the recipe says, in the model's number format."""
        recipe = self.arch.recipe
        assert recipe is not None
        dtype = next((p.dtype for p in self.model.parameters()), torch.float32)
        return Preprocess(recipe.mean, recipe.std)(pixels).to(dtype)

    @cached_property
    def logits(self) -> Tensor:
        """What the network puts out for the test images, (N, K) float32, as `evaluate` computes it."""
        return self._logits(self.splits.test)

    def _logits(self, data: LabelledImages) -> Tensor:
        parts = [
            torch.from_numpy(self.arch.predict(data.images[start : start + BATCH]))
            for start in self.track(range(0, len(data.labels), BATCH))
        ]
        return torch.cat(parts)  # (N, K)

    @cached_property
    def probabilities(self) -> Tensor:
        """Of each class for each test image, (N, K) float32."""
        shares = probabilities(self.logits, self.arch.loss_fn)
        assert shares is not None
        return shares

    @cached_property
    def predicted(self) -> Tensor:
        """The class that the network names for each test image, (N,) int64."""
        return self.logits.argmax(dim=1)

    @cached_property
    def scores(self) -> Scores:
        """How the network does on the test images, counted anew."""
        self.splits  # noqa: B018  # compares the data with the run's
        return self.arch.evaluate()

    @cached_property
    def calibration(self) -> Calibration:
        """Whether probabilities can be believed, before and after a temperature is applied.

        It is fitted on the images held out for validation; if there were none, on one half of the test
        images for the other half, and the other way round.

        Raises:
            DataError: if there are too few wrong answers to fit a temperature to.
        """
        recipe = self.arch.recipe
        assert recipe is not None
        if not recipe.holdout:
            return cross_fitted(self.logits, self.labels)
        valid = self.splits.valid
        return with_temperature(
            self.logits, self.labels, fit_temperature(self._logits(valid), valid.labels)
        )

    @cached_property
    def mistakes(self) -> Table[Mistake]:
        """Every wrong answer on the test images, the worst first, with the nearest training images."""
        return find_mistakes(
            self.probabilities,
            self.labels,
            features=self.features,
            train_features=self.train_features,
            train_labels=self.train_labels,
            k=min(NEAREST, len(self.train_labels)),
            track=self.track,
        )

    @cached_property
    def features(self) -> Tensor:
        """What the last layer is given for each test image, (N, D) float32."""
        return self._features(self.splits.test)

    @cached_property
    def train_features(self) -> Tensor:
        """What the last layer is given for each training image, (M, D) float32."""
        return self._features(self.splits.train)

    def _features(self, data: LabelledImages) -> Tensor:
        starts = range(0, len(data.labels), BATCH)
        with (
            insight.capture(
                self.model, self.last_layer, what="inputs", max_bytes=FEATURE_BYTES
            ) as seen,
            torch.no_grad(),
        ):
            self.model.eval()
            for start in self.track(starts):
                batch = self.prepared(data.images[start : start + BATCH])
                self.model(batch.to(self.arch.device))
        return seen[self.last_layer].flatten(1).float()

    @property
    def snapshot_epochs(self) -> list[int]:
        """The epochs whose weights the run has kept; 0 is before training."""
        return self.run.snapshot_epochs()

    @cached_property
    def learning(self) -> Learning:
        """When each test image was learned, forgotten and learned again.

        Raises:
            RunError: if the run has kept no snapshots.
        """
        correct = [
            model_outputs(self.model_at(epoch), self.images).argmax(dim=1) == self.labels
            for epoch in self.track(self._epochs_kept())
        ]
        return insight.learning(torch.stack(correct).numpy(), self.snapshot_epochs)

    @cached_property
    def health(self) -> dict[int, Table[LayerHealth]]:
        """How each layer was doing at each snapshot, judged by the test images.

        Raises:
            RunError: if the run has kept no snapshots.
        """
        return insight.health_over_time(
            self._epochs_kept(),
            self.model_at,
            self.images,
            self.labels,
            self.arch.loss_fn,
            updates={row.epoch: row.typical() for row in self.run.updates()},
            track=self.track,
        )

    @property
    def health_warnings(self) -> list[str]:
        """What is ill in the network as trained, and how to mend it, in sentences."""
        return insight.health_warnings(self.health[self.snapshot_epochs[-1]])

    def _epochs_kept(self) -> list[int]:
        epochs = self.snapshot_epochs
        if not epochs:
            raise RunError(
                f"{self.run.path} has kept no snapshots of its epochs; train it anew to ask how it "
                "went."
            )
        return epochs

    def model_at(self, epoch: int) -> nn.Module:
        """Return the network as it was after an epoch, in evaluation mode.

        Raises:
            RunError: if the run has not kept it.
        """
        return self.run.load_model(epoch).to(self.arch.device).eval()
