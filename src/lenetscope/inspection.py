"""A run under inspection, and what several questions need of it, each computed once, when needed.

The command line, the report and notebooks ask their questions of an `Inspection`: its network, its
test images, what the network returns for them, the features that its last layer decides by.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from lenetscope.architecture import Architecture
from lenetscope.arguments import as_path, require_list
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.splits import Splits
from lenetscope.errors import LayerError, RunError, unknown
from lenetscope.evaluation.evaluate import evaluate
from lenetscope.evaluation.mistakes import Mistake, find_mistakes
from lenetscope.evaluation.outputs import model_outputs, probabilities
from lenetscope.evaluation.scores import Scores
from lenetscope.files import require_writable, write_text
from lenetscope.layers import LayerRow, summarize
from lenetscope.observe import BATCH_SIZE, find_layers, require_one_of
from lenetscope.plots import style
from lenetscope.plots.gallery import gallery
from lenetscope.progress import Progress, Show, no_progress, show_nothing, weighted
from lenetscope.questions import QUESTIONS
from lenetscope.recording import Capture, capture
from lenetscope.runs.folder import Run
from lenetscope.selection import Embedded, Selection, examples_of, images_to_embed
from lenetscope.table import ShowsFacts, Table

NEAREST = 5
"""Training images that are looked up for each mistake."""
FOLLOWED = 1000
"""Test images that a page follows through the epochs."""
FEATURE_BYTES = 2 * 2**30
"""What the features of all training images may take: 2 GiB."""


class Inspection(ShowsFacts):
    """A run, ready to be inspected.

    Args:
        run: the folder.
        arch: its network, see `Architecture.from_run`.
        data_dir: where the data is; by default where it was when the run was trained.

    Attributes:
        run, arch, data_dir: as given.
        progress: what shows the progress of long computations; may be assigned.
        quick: whether samples are half as large, and mistakes come without the nearest training
            images, whose features take longer than all else; may be assigned before anything is asked.
    """

    def __init__(self, run: Run, arch: Architecture, data_dir: Path | None = None) -> None:
        self.run, self.arch, self.data_dir = run, arch, data_dir
        self.progress: Progress = no_progress
        self.quick = False

    @classmethod
    def open(
        cls, run: str | Path | Run, *, device: str | None = None, data_dir: Path | None = None
    ) -> Self:
        """Open a run folder.

        Args:
            run: the folder.
            device: where to compute; by default as the run's recipe says.
            data_dir: where the data is; by default where it was when the run was trained.

        Raises:
            RunError: if there is no such run, or it has no weights yet.
            CheckpointError: if its weights are those of another network.
        """
        folder = Run.open(run)
        return cls(folder, Architecture.from_run(folder, device=device), data_dir)

    def draw(
        self,
        what: str | Sequence[str] | None = None,
        selection: Selection | None = None,
        *,
        out: str | Path | None = None,
        format: str = "png",
        show: Show = show_nothing,
    ) -> list[Path]:
        """Answer questions with figures, written to files; of several, ``index.html`` shows all.

        Args:
            what: names of questions, see `QUESTIONS`, or ``"all"``; by default the quick ones, of those
                only what is about layers if layers were selected.
            selection: of images and layers; by default the first test images and all layers.
            out: folder; by default ``figures`` in the run's folder.
            format: ``"png"`` or ``"svg"``.
            show: is told how much is done.

        Returns:
            The files written.

        Raises:
            UsageError: if a question is unknown; nothing is drawn then.
            LayerError: if a layer is unknown, or cannot answer.
            RunError: if the run has not kept what a question needs.
            StorageError: if a file cannot be written.
        """
        require_one_of("format", format, ("png", "svg"))
        folder = self.run.path / "figures" if out is None else as_path(out)
        require_writable(folder / "index.html")
        selection = selection or Selection.of(self)
        wanted = "what must be names of questions, or 'all'"
        asked = [what] if isinstance(what, str) else require_list(wanted, () if what is None else what)
        names = QUESTIONS.names() if "all" in asked or not asked else asked
        questions = {name: QUESTIONS.get(name) for name in names}
        if not asked:
            some = {n: q for n, q in questions.items() if q.default}
            questions = {n: q for n, q in some.items() if q.of_layers or not selection.layers}
        drawn: dict[str, list[Path]] = {name: [] for name in questions}
        try:
            for name, progress in weighted({n: q.costs.figures for n, q in questions.items()}, show):
                self.progress = progress
                for file, figure in questions[name].figures(self, selection):
                    drawn[name].append(style.save(figure, folder / f"{file}.{format}"))
        except KeyboardInterrupt as stop:
            stop.add_note(f"{sum(map(len, drawn.values()))} pictures were written to {folder}.")
            raise
        written = [path for paths in drawn.values() for path in paths]
        if len(drawn) > 1:
            summaries = {name: question.summary for name, question in questions.items()}
            lead = f"Drawn by lenetscope inspect from the run in {self.run.path}."
            write_text(folder / "index.html", gallery(self.title, lead, drawn, summaries))
            written.append(folder / "index.html")
        return written

    def facts(self) -> dict[str, str]:
        """Return what it shows of itself: the run, its data and its network."""
        images = "x".join(map(str, self.image_shape))
        of_run = {"run": str(self.run.path), "data": self.run.recipe().data, "images": images}
        return of_run | {name: self.arch.facts()[name] for name in ("model", "device", "classes")}

    @property
    def title(self) -> str:
        """Names the run, its network and the data."""
        return f"{self.run.path.resolve().name}: {self.run.recipe().model} on {self.splits.name}"

    @property
    def model(self) -> nn.Module:
        """The network, as trained."""
        return self.arch.model

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        names: tuple[str, ...] | None = self.arch.classes
        assert names is not None
        return names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        assert self.arch.image_shape is not None
        return self.arch.image_shape

    @cached_property
    def layers(self) -> Table[LayerRow]:
        """The layers in the order in which they run."""
        return summarize(self.model, self.image_shape)

    @cached_property
    def convolutions(self) -> list[str]:
        """Names of the two-dimensional convolutions, each once, in the order in which they run."""
        modules = find_layers(self.model)
        ran = dict.fromkeys(row.name for row in self.layers)
        return [name for name in ran if isinstance(modules[name], nn.Conv2d)]

    @cached_property
    def last_maps(self) -> str | None:
        """Name of the last layer that returns maps of more than one pixel; None without any.

        Layers that run several times in a pass are left out.
        """
        calls = Counter(row.name for row in self.layers)
        large = (row.name for row in self.layers if len(row.shape) == 3 and max(row.shape[1:]) > 1)
        return next((name for name in reversed(list(large)) if calls[name] == 1), None)

    @cached_property
    def _learning(self) -> list[str]:
        """Names of the layers with parameters."""
        return [row.name for row in self.layers if row.parameters]

    @property
    def last_layer(self) -> str:
        """Name of the last layer with parameters; its inputs are the features that it decides by.

        Raises:
            LayerError: if no layer has parameters.
        """
        if self._learning:
            return self._learning[-1]
        raise LayerError("no layer of this network has parameters.")

    @cached_property
    def penultimate(self) -> str:
        """Name, and call, of the layer that runs just before the last one with parameters.

        Raises:
            LayerError: if there is none.
        """
        names = [row.name for row in self.layers]
        place = names.index(self.last_layer) - 1
        if place < 0:
            raise LayerError("this network has a single layer with parameters, and none before it.")
        call = names[:place].count(names[place])
        return f"{names[place]}:{call}" if call else names[place]

    @cached_property
    def splits(self) -> Splits:
        """The data that the run was trained on.

        Raises:
            DataError: if it is missing.
            RunError: if it has changed since.
        """
        splits = self.arch.load_data(self.data_dir or self.run.data_dir())
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

    def sample(self, count: int) -> Tensor:
        """Return the numbers of at most so many test images, evenly spaced over all of them, (n,).

        The first images may be of one class, or easier than the others, as MNIST's are.
        """
        total, count = len(self.labels), count // 2 if self.quick else count
        return torch.linspace(0, total - 1, min(count, total), dtype=torch.float64).round().long()

    @cached_property
    def images(self) -> Tensor:
        """The test images as the network takes them, (N, C, H, W)."""
        return self.prepared(self.pixels)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Preprocess uint8 images (N, C, H, W) as the recipe says, in the model's number format."""
        assert self.arch.preprocess is not None
        dtype = next((p.dtype for p in self.model.parameters()), torch.float32)
        return self.arch.preprocess(pixels).to(dtype)

    @property
    def logits(self) -> Tensor:
        """What the network returns for the test images, (N, K) float32, as `evaluate` computes it."""
        return self._test_outputs[0]

    @cached_property
    def _test_outputs(self) -> tuple[Tensor, Capture]:
        return self._outputs_and_features(self.splits.test)

    def _outputs_and_features(self, data: LabelledImages) -> tuple[Tensor, Capture]:
        """Return the logits of images, and the inputs of the last layer, from one pass."""
        last = self._learning[-1:]
        with capture(self.model, last, what="inputs", max_bytes=FEATURE_BYTES) as seen:
            return self.logits_of(data), seen

    def logits_of(self, data: LabelledImages) -> Tensor:
        """Return what the network returns for images of the run's data, (N, K) float32."""
        parts = [
            torch.from_numpy(self.arch.predict(data.images[start : start + BATCH_SIZE]))
            for start in self.progress(range(0, len(data.labels), BATCH_SIZE))
        ]
        return torch.cat(parts)  # (N, K)

    @cached_property
    def probabilities(self) -> Tensor:
        """Of each class for each test image, (N, K) float32."""
        found = probabilities(self.logits, self.arch.loss_fn)
        assert found is not None
        return found

    @cached_property
    def predicted(self) -> Tensor:
        """The predicted class of each test image, (N,) int64."""
        return self.logits.argmax(dim=1)

    @cached_property
    def scores(self) -> Scores:
        """The scores on the test images, computed again."""
        outputs = [(self.logits, self.labels)]
        return Scores.from_tally(evaluate(nn.Identity(), outputs, self.arch.loss_fn), self.classes)

    @cached_property
    def mistakes(self) -> Table[Mistake]:
        """Every mistake on the test images, the worst first; see also ``quick``."""
        if self.quick:
            return find_mistakes(self.probabilities, self.labels)
        train_labels = self.splits.train.labels
        return find_mistakes(
            self.probabilities,
            self.labels,
            features=self.features,
            train_features=self.train_features,
            train_labels=train_labels,
            k=min(NEAREST, len(train_labels)),
        )

    @cached_property
    def features(self) -> Tensor:
        """The inputs of the last layer for each test image, (N, D) float32."""
        return self._test_outputs[1][self.last_layer].flatten(1)

    def features_of(self, pixels: Tensor) -> Tensor:
        """Return the inputs of the last layer for uint8 images (N, C, H, W), (N, D) float32."""
        data = LabelledImages(pixels, torch.zeros(len(pixels), dtype=torch.int64))
        return self._outputs_and_features(data)[1][self.last_layer].flatten(1)

    @cached_property
    def train_features(self) -> Tensor:
        """The inputs of the last layer for each training image, (M, D) float32."""
        return self._outputs_and_features(self.splits.train)[1][self.last_layer].flatten(1)

    @cached_property
    def examples(self) -> list[int]:
        """The first test image of each class, up to twelve, correctly classified where there is one."""
        return examples_of(self.labels, self.predicted, len(self.classes))

    @cached_property
    def embedded(self) -> Embedded:
        """The test images that a page embeds: examples, mistakes, then correct ones of each class."""
        return images_to_embed(self.labels, self.predicted, self.image_shape, self.examples)

    @property
    def snapshot_epochs(self) -> list[int]:
        """The epochs whose weights the run has kept; 0 is before training.

        Raises:
            RunError: if the run has kept none.
        """
        if epochs := self.run.snapshot_epochs():
            return epochs
        raise RunError(
            f"{self.run.path} has kept no snapshots of its epochs; train it again to keep them."
        )

    @cached_property
    def followed(self) -> Tensor:
        """Numbers of the test images that a page follows through the epochs, see `sample`."""
        return self.sample(FOLLOWED)

    @cached_property
    def logits_by_epoch(self) -> dict[int, Tensor]:
        """Logits of the `followed` images, and of the `examples` after them, for each epoch kept.

        Raises:
            RunError: if the run has kept none.
        """
        images = self.images[torch.cat([self.followed, torch.tensor(self.examples)])]
        return {
            epoch: model_outputs(self.model_at(epoch), images)
            for epoch in self.progress(self.snapshot_epochs)
        }

    def model_at(self, epoch: int) -> nn.Module:
        """Return the network as it was after an epoch, in evaluation mode.

        Raises:
            RunError: if the run has not kept it.
        """
        return self.run.load_model(epoch).to(self.arch.device).eval()

    def selected_convolutions(self, selection: Selection) -> list[str]:
        """Return the convolutions among the selected layers; all of them if none were selected.

        Raises:
            LayerError: if layers were selected and none is a convolution.
        """
        if not selection.layers:
            return self.convolutions
        if found := [name for name in selection.layers if name in self.convolutions]:
            return found
        raise LayerError(unknown("convolution", selection.layers[0], self.convolutions))
