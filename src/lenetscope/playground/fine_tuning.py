"""Trains a copy of a network on the drawings that were kept, without letting it forget the rest.

Each epoch mixes the drawings with ten times as many of the run's training images, drawn anew: rehearsal
(A. Robins, "Catastrophic forgetting, rehearsal and pseudorehearsal", Connection Science 7(2), 1995).
"""

import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from re import sub
from shutil import rmtree
from typing import Any

import torch
from torch import Tensor

from lenetscope import building
from lenetscope.architecture import Architecture
from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.loader import BatchLoader
from lenetscope.data.splits import Splits
from lenetscope.errors import LenetscopeError, UsageError
from lenetscope.evaluation.outputs import model_outputs
from lenetscope.playground.kept import Drawing, digest
from lenetscope.playground.lab import Lab, Opened
from lenetscope.runs.environment import environment
from lenetscope.runs.folder import Run
from lenetscope.runs.writer import RunWriter
from lenetscope.table import counted
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

LEAST = 10
"""Drawings without which there is nothing to learn from."""

ENOUGH = 20
"""Drawings from which on some are held out."""

FIFTH = 5
"""One drawing of so many is held out."""

REPLAYED = 10
"""Training images of the run for each drawing."""

SHOWN = 200
"""Drawings per epoch, at least; fewer are shown several times."""

SETTINGS = {
    "optimizer": "adamw",
    "lr": 0.001,
    "momentum": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "schedule": "cosine",
    "warmup": 0.0,
    "batch_size": 64,
    "epochs": 5,
    "patience": 0,
    "keep": "last",
    "device": "cpu",
    "threads": 0,
    "compile": False,
    "logger": "none",
}
"""Of the recipe; what concerns data and network stays as it was, and so does its seed, by which images
are held out."""

RATE = 0.25
"""Seconds from one event to the next, at least."""


def drawings_of(run: Run) -> set[str]:
    """Return the digests of the drawings that a run, and those that it came from, were trained on."""
    tuned = run.fine_tuned()
    return set(tuned["drawings"]) if tuned else set()


@dataclass(frozen=True)
class Task:
    """A fine-tuning that is about to begin.

    Attributes:
        opened: the run that it begins with.
        epoch: whose weights; None for those that the run ended with.
        train: the drawings to train on.
        held_out: the others, none of which the network has been trained on before.
    """

    opened: Opened
    epoch: int | None
    train: list[Drawing]
    held_out: list[Drawing]

    @classmethod
    def of(cls, opened: Opened, epoch: int | None, drawings: Sequence[Drawing]) -> "Task":
        """Divide the drawings.

        Every fifth of a class is held out, and always the same ones: a drawing that is held out now was
        not trained on before, unless there were too few to hold any out.

        Raises:
            UsageError: if there are too few.
        """
        if (missing := LEAST - len(drawings)) > 0:
            raise UsageError(
                f"{counted(len(drawings), 'drawing')} are too few to fine-tune on: keep {missing} more."
            )
        apart = {
            drawing.digest
            for drawing in drawings
            # counted from another number in each class, so that few drawings of each are enough
            if len(drawings) >= ENOUGH and (drawing.number + drawing.label) % FIFTH == 0
        }
        before = drawings_of(opened.inspection.run)
        train = [each for each in drawings if each.digest not in apart]
        held_out = [each for each in drawings if each.digest in apart - before]
        return cls(opened, epoch, train, held_out)


def start(lab: Lab, task: Task) -> None:
    """Fine-tune in a thread, which tells by the event "fine-tune" how far it is and how it ended.

    Raises:
        UsageError: if something is trained already.
    """
    lab.begin("a fine-tuning")
    try:
        threading.Thread(target=_work, args=(lab, task), name="fine-tuning").start()
    except BaseException:
        lab.end()
        raise


def _work(lab: Lab, task: Task) -> None:
    told = {"from": task.opened.name, "trained": len(task.train), "heldOut": len(task.held_out)}

    def tell(state: str, **more: Any) -> None:
        lab.events.publish("fine-tune", told | {"state": state} | more)

    tell("training", done=0)
    try:
        found: dict[str, Any] | None = fine_tune(lab, task, lambda **more: tell("training", **more))
        failure = "It was stopped: the playground ended."
    except LenetscopeError as error:
        found, failure = None, " ".join(str(error).split())
    except Exception:  # noqa: BLE001  # the page must hear of it, whatever it was
        traceback.print_exc()
        found, failure = None, "the playground made a mistake, and has logged it."
    lab.end()
    if found:
        tell("done", **found)
    else:
        tell("failed", error=failure)


def fine_tune(lab: Lab, task: Task, tell: Any) -> dict[str, Any] | None:
    """Train, write a run folder, open it, and return what has become better or worse.

    Drawings that are test images of the run, as they can be put onto the pad, are not trained on.

    Args:
        lab: where the run is put.
        task: what to do.
        tell: is called with ``done``, from 0 to 1, and what else there is to tell.

    Returns:
        Plain values; None if the playground has ended meanwhile. No folder is left then, nor if an
        error is raised.

    Raises:
        DataError, RunError: if the data of the run are missing, or have changed.
        UsageError: if nothing is left to train on.
        TrainingError, StorageError: see `fit` and `RunWriter`.
    """
    started = time.perf_counter()
    inspection = task.opened.inspection
    parent, splits = inspection.run, inspection.splits
    data_dir = inspection.data_dir or parent.data_dir()
    tests = {digest(image) for image in splits.test.images[:]}
    task = replace(task, train=[each for each in task.train if each.digest not in tests])
    if not task.train:
        raise UsageError("every drawing is a test image of the run: draw some yourself.")
    base = sub(r"-digits-\d+$", "", task.opened.name)
    recipe = parent.recipe().replace(
        name=f"{base}-digits",
        summary=f"fine-tuned from {task.opened.name} on {len(task.train)} drawings",
        **SETTINGS,
    )
    arch = building.from_splits(Architecture, recipe, splits)
    arch.model.load_state_dict(parent.load_model(task.epoch).state_dict())
    arch.train_loader = Rehearsal(_labelled(task.train), splits, arch)
    before, former = _correct(arch, task), arch.evaluate()
    facts = {
        "run": task.opened.name,
        "path": str(parent.path.resolve()),
        "epoch": parent.weights_epoch() if task.epoch is None else task.epoch,
        "folder": str(lab.kept(task.opened).folder.resolve()),
        "held_out": len(task.held_out),
        "replayed_per_epoch": arch.train_loader.replayed,
        "drawings": sorted(drawings_of(parent) | {drawing.digest for drawing in task.train}),
    }
    of_machine = environment(arch, data_dir) | {"fine_tuned": facts}
    arch.run = run = Run.create(recipe, splits, of_machine, _free(lab, recipe.name))
    try:
        follower = _Follower(arch, task, tell)
        arch.train(callbacks=[RunWriter(run), follower], progress=False, stop=lab.closing.is_set)
        if lab.closing.is_set():
            rmtree(run.path, ignore_errors=True)
            return None
        scores = arch.evaluate()
        run.save_scores(scores)
        opened = lab.add(run, data_dir=data_dir)
    except BaseException:
        rmtree(run.path, ignore_errors=True)
        raise
    after = _correct(arch, task)
    numbers = {"heldOut": len(task.held_out), "all": len(task.held_out) + len(task.train)}
    rows = [
        {"what": what, "n": n, "before": before[what], "after": after[what]}
        for what, n in numbers.items()
        if n
    ]
    rows.append(
        {
            "what": "test",
            "n": scores.n,
            "before": former.n - former.errors,
            "after": scores.n - scores.errors,
        }
    )
    return {
        "run": opened.name,
        "trained": len(task.train),
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "folder": str(run.path),
    }


class Rehearsal:
    """Batches of drawings, all in each pass, among training images that each pass draws anew.

    Args:
        drawings: to learn.
        splits: the data not to forget.
        arch: whose recipe and preprocessing is used, and whose training the batches are for.
    """

    def __init__(self, drawings: LabelledImages, splits: Splits, arch: Architecture) -> None:
        assert arch.recipe is not None
        assert arch.preprocess is not None
        times = -(-SHOWN // len(drawings.labels))
        self._drawings = LabelledImages(
            drawings.images[:].repeat(times, 1, 1, 1), drawings.labels.repeat(times)
        )
        self._others = splits.train
        self.replayed = min(REPLAYED * len(self._drawings.labels), len(splits.train.labels))
        self._size, self._transform = arch.recipe.batch_size, arch.preprocess
        self._augment = AUGMENTATIONS.get(arch.recipe.augmentation)
        self.generator = torch.Generator().manual_seed(arch.recipe.seed)

    def __len__(self) -> int:
        return -(-(len(self._drawings.labels) + self.replayed) // self._size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        index = torch.randperm(len(self._others.labels), generator=self.generator)[: self.replayed]
        drawn, others = self._drawings, self._others
        images = torch.cat([drawn.images[:], others.images.index_select(0, index)])
        mixed = LabelledImages(images, torch.cat([drawn.labels, others.labels[index]]))
        yield from BatchLoader(mixed, self._size, self._transform, self.generator, self._augment)


class _Follower(Callback):
    """Tells how far a training is, and after each epoch how many held-out drawings are read right."""

    def __init__(self, arch: Architecture, task: Task, tell: Any) -> None:
        self._arch, self._task, self._tell = arch, task, tell
        self._steps, self._epochs, self._told = 1, 1, 0.0

    def on_train_begin(self, _state: TrainState, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps

    def on_step_end(self, state: TrainState) -> None:
        if time.monotonic() - self._told > RATE:
            self._told = time.monotonic()
            done = (state.epoch + state.step / self._steps) / self._epochs
            self._tell(done=done, epoch=state.epoch + 1, epochs=self._epochs)


def _correct(arch: Architecture, task: Task) -> dict[str, int]:
    """Return how many drawings are read right, of those held out and of all."""
    found = {"heldOut": 0, "all": 0}
    for what, drawings in (("heldOut", task.held_out), ("all", [*task.held_out, *task.train])):
        if drawings:
            images, labels = _labelled(drawings)
            assert arch.preprocess is not None
            dtype = next(arch.model.parameters()).dtype
            logits = model_outputs(arch.model, arch.preprocess(images[:]).to(dtype))
            found[what] = int((logits.argmax(1) == labels).sum())
    return found


def _labelled(drawings: Sequence[Drawing]) -> LabelledImages:
    images = torch.stack([drawing.pixels for drawing in drawings])  # (N, C, H, W)
    return LabelledImages(images, torch.tensor([drawing.label for drawing in drawings]))


def _free(lab: Lab, name: str) -> Path:
    """Return the path of a run that there is none of yet."""
    folder = lab.folder / "runs"
    paths = (folder / f"{name}-{number}" for number in count(1))
    return next(path for path in paths if not path.exists() and path.name not in lab.names)
