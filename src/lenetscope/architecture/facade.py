"""`Architecture`: a model, its loss and its optimizer, to train, to look into and to compare.

In: any `torch.nn.Module`, loss, optimizer and loaders, or a recipe, or a run folder. Out: histories,
scores, arrays and figures. Every method is a few lines that call the rooms of this package. The
interface is that of ``StepByStep`` from D. V. Godoy's book *Deep Learning with PyTorch Step-by-Step*,
so that a program written against it runs with the import changed.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope import datasets, plots, rng
from lenetscope.architecture.trainable import Trainable
from lenetscope.datasets import AUGMENTATIONS, BatchLoader, Preprocess, Splits, statistics
from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation import Scores, evaluate, predicted_classes, probabilities
from lenetscope.evaluation.predictions import main_output
from lenetscope.models import build, memory_format
from lenetscope.recipe import Recipe
from lenetscope.runs import Run, environment
from lenetscope.training import engine, machine
from lenetscope.training.choices import LOSSES, OPTIMIZERS, SCHEDULES
from lenetscope.untouched import eval_mode

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torchvision.transforms import v2

Array = npt.NDArray[Any]

EVALUATION_BATCH = 250
"""Images a batch where nothing is learned: few enough for their maps to stay in the caches."""


class Architecture(Trainable):
    """Train a model, see how good it is, and look inside it.

    >>> import torch
    >>> model = torch.nn.Linear(2, 3)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> arch = Architecture(model, torch.nn.CrossEntropyLoss(), optimizer)
    >>> arch.count_parameters()
    9

    Args:
        model: any module; it is moved to the device.
        loss_fn: of (outputs, labels), a mean over the batch.
        optimizer: over the model's parameters.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: as Lightning Fabric names it, such as ``"32-true"`` or ``"bf16-mixed"``, or
            ``"auto"`` for the fastest that the device computes in.
        threads: how many compute; 0 for one a core.
        compile: whether TorchInductor compiles the model for training.
        classes: names of the K classes; by default ``"0"``, ``"1"`` and so on.

    Attributes:
        model, loss_fn, optimizer: as given.
        train_loader, val_loader: as `set_loaders` was given them.
        scheduler: as `set_lr_scheduler` was given it.
        writer: of TensorBoard, see `set_tensorboard`.
        recipe, splits, image_shape: where this came from, its data, and (C, H, W) of its images, if
            it came from a recipe.

    Raises:
        UsageError: if the device is not there.
    """

    test_loader: Any = None
    recipe: Recipe | None = None
    splits: Splits | None = None
    image_shape: tuple[int, int, int] | None = None
    _preprocess: Preprocess | None = None

    @classmethod
    def from_recipe(
        cls, recipe: str | Path | Recipe, *, data_dir: Path | None = None, **overrides: Any
    ) -> Self:
        """Build what a recipe says: data, network, loss, optimizer and schedule.

        Args:
            recipe: a shipped name such as ``"seed"``, the path of a TOML file, or a `Recipe`.
            data_dir: where data lies; by default the user's cache.
            overrides: fields of the recipe to replace, such as ``epochs=3``.

        Raises:
            RecipeError: if the recipe or one of its values is unknown or not allowed.
            DataError: if the data is missing or corrupt.
            StorageError: if the data cannot be laid out.
        """
        if isinstance(recipe, Recipe):
            recipe = recipe.replace(**overrides)
        else:
            recipe = Recipe.load(recipe, **overrides)
        splits = datasets.load(recipe, data_dir)
        _, *shape = splits.train.images.shape
        model = build(recipe, (shape[0], shape[1], shape[2]), len(splits.classes))
        arch = cls._of(recipe, model, shape, splits.classes)
        arch._take_data(splits)
        schedule = SCHEDULES.get(recipe.schedule)
        scheduler = schedule(arch.optimizer, recipe, len(arch.train_loader))
        if scheduler is not None:
            arch.set_lr_scheduler(scheduler)
        return arch

    @classmethod
    def from_run(cls, run: str | Path | Run, *, device: str | None = None) -> Self:
        """Open a run folder: its network with its weights, ready to predict and evaluate.

        Args:
            run: the folder.
            device: where to compute; by default as the run's recipe says.

        Raises:
            RunError: if there is no such run, or it has no weights yet.
            CheckpointError: if its weights are of another network.
        """
        run = run if isinstance(run, Run) else Run.open(Path(run))
        recipe = run.recipe() if device is None else run.recipe().replace(device=device)
        config = run.config()
        return cls._of(recipe, run.load_model(), config["image_shape"], config["classes"])

    @classmethod
    def resume_run(cls, run: str | Path | Run, *, data_dir: Path | None = None) -> Self:
        """Take an unfinished run up again: `train` goes on bit for bit as if never interrupted.

        Args:
            run: the folder.
            data_dir: where data lies; by default where it lay.

        Raises:
            RunError: if there is no such run, or the data are not those it was trained on.
            CheckpointError: if its checkpoint is damaged or of another network.
        """
        run = run if isinstance(run, Run) else Run.open(Path(run))
        data_dir = data_dir or run.data_dir()
        arch = cls.from_recipe(run.recipe(), data_dir=data_dir)
        assert arch.splits is not None
        run.require_same_data(arch.splits)
        if run.checkpoint_file.exists():  # else it was killed before the first: it begins again
            arch.load_checkpoint(run.checkpoint_file)
        if arch.state.is_main:
            run.add_to_environment(arch._environment(data_dir))
        return arch

    def start_run(self, path: Path | None = None, *, data_dir: Path | None = None) -> Run:
        """Make a run folder for what is about to be trained; give `RunWriter` of it to `train`.

        Args:
            path: where; by default ``runs/<recipe>-<n>`` with the first n that is free.
            data_dir: where the data was read from, to be found again; None for the user's cache.

        Raises:
            UsageError: if this came from no recipe.
            RunError: if the path is taken.
            StorageError: if it cannot be written.
        """
        if self.recipe is None or self.splits is None:
            raise UsageError("a run folder is for a recipe: use Architecture.from_recipe.")
        made: Path | None = None
        if self.state.is_main:
            made = Run.create(self.recipe, self.splits, self._environment(data_dir), path).path
        made = self.fabric.broadcast(made)
        assert made is not None
        return Run(made)

    def _environment(self, data_dir: Path | None) -> dict[str, Any]:
        assert self.splits is not None
        facts = {
            "device": str(self.device),
            "precision": self.precision,
            "processes": self.fabric.world_size,
            "memory_format": memory_format(self.model),
            "compiled": self._compile,
            "keeps_freed_memory": machine.keep_freed_memory(),
        }
        return environment(self.splits, data_dir) | facts

    @classmethod
    def _of(
        cls, recipe: Recipe, model: nn.Module, shape: Sequence[int], classes: Sequence[str]
    ) -> Self:
        optimizer = OPTIMIZERS.get(recipe.optimizer)(model.parameters(), recipe)
        arch = cls(
            model,
            LOSSES.get(recipe.loss)(recipe),
            optimizer,
            device=recipe.device,
            precision=recipe.precision,
            threads=recipe.threads,
            compile=recipe.compile,
            classes=classes,
        )
        arch.recipe, arch.image_shape = recipe, (shape[0], shape[1], shape[2])
        arch._default_epochs = recipe.epochs
        arch._preprocess = Preprocess(recipe.mean, recipe.std)
        arch.state.begin_stream(recipe.seed)
        return arch

    def load_data(self, data_dir: Path | None = None) -> Splits:
        """Read the data of the recipe that this came from, and make the loaders.

        Raises:
            UsageError: if it came from no recipe.
            DataError: if the data is missing or corrupt.
        """
        if self.recipe is None:
            raise UsageError("there is no recipe to take data from: give the loaders yourself.")
        splits = datasets.load(self.recipe, data_dir)
        self._take_data(splits)
        return splits

    def _take_data(self, splits: Splits) -> None:
        assert self.recipe is not None
        self.splits = splits
        order = torch.Generator().manual_seed(self.recipe.seed)
        augment = AUGMENTATIONS.get(self.recipe.augmentation)
        preprocess = self._preprocess
        assert preprocess is not None
        self.train_loader = BatchLoader(
            splits.train,
            self.recipe.batch_size,
            (lambda images: preprocess(augment(images))) if augment else preprocess,
            order,
        )
        self.val_loader, self.test_loader = (
            BatchLoader(part, EVALUATION_BATCH, preprocess) for part in (splits.valid, splits.test)
        )

    def predict(self, x: Any) -> Array:
        """Return the model's outputs for a batch, in evaluation mode: logits (N, K) as a rule.

        Args:
            x: (N, …) array or tensor. With a recipe, uint8 images (N, C, H, W) are preprocessed as
                it says; other numbers are taken as they are.

        Raises:
            DataError: if the images are not of the recipe's shape.
        """
        outputs = main_output(self._outputs(x))
        if outputs is None:
            raise UsageError("the model puts out no tensor.")
        array: Array = outputs.float().cpu().numpy()
        return array

    def predict_proba(self, x: Any) -> Array:
        """Return the probability of each class, (N, K), for a batch as `predict` takes it.

        Raises:
            UsageError: if the model is no classifier.
        """
        shares = probabilities(self._outputs(x), self.loss_fn)
        if shares is None:
            raise UsageError("the model is no classifier that is understood: no probabilities.")
        array: Array = shares.cpu().numpy()
        return array

    def _outputs(self, x: Any) -> Any:
        inputs = torch.as_tensor(x)
        if self.image_shape and tuple(inputs.shape[1:]) != self.image_shape:
            wanted = ", ".join(map(str, ("N", *self.image_shape)))
            raise DataError(f"images must be ({wanted}), not {tuple(inputs.shape)}.")
        if self._preprocess and inputs.dtype == torch.uint8:
            inputs = self._preprocess(inputs)
        with eval_mode(self.model), torch.no_grad():
            return engine.forward(self.fabric, self.model)(inputs.float().to(self.device))

    def evaluate(self, loader: Iterable[Any] | None = None) -> Scores:
        """Count right and wrong on a loader, nothing changed.

        Args:
            loader: of (inputs, labels); by default the test images of the recipe, else the
                validation loader.

        Raises:
            DataError: if there are no samples, or it is no classification.
            UsageError: if there is no loader.
        """
        loader = self._default(loader)
        with rng.isolated():  # a DataLoader draws a number each time it starts
            tally = evaluate(
                self.model,
                loader,
                self.loss_fn,
                forward=engine.forward(self.fabric, self.model),
                device=self.device,
                rank=self.fabric.global_rank,
                processes=self.fabric.world_size,
                reduce=lambda tensor: engine.sum_over_processes(self.fabric, tensor),
            )
        return Scores.from_tally(tally, self.classes)

    def _default(self, loader: Iterable[Any] | None) -> Iterable[Any]:
        if loader is None and self.test_loader is None and self.recipe is not None:
            self.load_data()
        loader = loader or self.test_loader or self.val_loader
        if loader is None:
            raise UsageError("there is nothing to evaluate on: give a loader.")
        return loader

    def confusion_matrix(self, loader: Iterable[Any] | None = None) -> Array:
        """Return who was taken for whom: (K, K) int64, rows true, columns predicted."""
        return self.evaluate(loader).confusion

    def correct(self, x: Tensor, y: Tensor, threshold: float = 0.5) -> Tensor:
        """Count one batch: (K, 2) int64, a row a class, how many were right and how many there were.

        Args:
            x: inputs, as the model takes them.
            y: true labels.
            threshold: of the probability above which a model with one output says 1.

        Raises:
            UsageError: if the model is no classifier.
        """
        with eval_mode(self.model), torch.no_grad():
            outputs = engine.forward(self.fabric, self.model)(x.to(self.device))
        compared = predicted_classes(outputs, y.to(self.device), self.loss_fn, threshold)
        if compared is None:
            raise UsageError("the model is no classifier that is understood: nothing to count.")
        predicted, true, classes = compared
        rows = [((predicted == k) & (true == k), true == k) for k in range(classes)]
        return torch.tensor([[int(right.sum()), int(all_.sum())] for right, all_ in rows])

    def plot_losses(self, **figure_options: Any) -> "Figure":
        """Draw loss and accuracy of training and validation over the epochs."""
        return plots.curves(self.history, **figure_options)

    def plot_confusion(self, loader: Iterable[Any] | None = None, **options: Any) -> "Figure":
        """Draw who was taken for whom; ``loader`` as in `evaluate`."""
        scores = self.evaluate(loader)
        return plots.confusion(scores.confusion, scores.classes, **options)

    @staticmethod
    def loader_apply(
        loader: Iterable[Any], func: Callable[[Any, Any], Tensor], reduce: str | None = "sum"
    ) -> Tensor:
        """Call ``func(inputs, labels)`` on each batch; return the results stacked, summed or averaged.

        Args:
            loader: of (inputs, labels).
            func: returns a tensor of the same shape for each batch.
            reduce: ``"sum"``, ``"mean"`` or None for the stack (batches, …).
        """
        return statistics.loader_apply(loader, func, reduce)

    @staticmethod
    def statistics_per_channel(images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return (3, C): N, the summed means of the images, their summed standard deviations.

        Args:
            images: (N, C, H, W).
            labels: are not looked at; `loader_apply` gives them.
        """
        return statistics.per_channel(images)

    @staticmethod
    def make_normalizer(loader: Iterable[Any]) -> "v2.Normalize":
        """Return the transform that brings a loader's images to mean 0 and deviation 1 a channel."""
        return statistics.make_normalizer(loader)
