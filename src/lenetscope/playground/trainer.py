"""The process that trains for the playground: it tells how that goes on, and does what it is asked.

It ends when the playground does: the end of their pipe, like a request to stop, makes it save a
checkpoint first. What it writes is the run folder that ``lenetscope train`` writes.
"""

import dataclasses
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lenetscope.architecture import Architecture
from lenetscope.errors import LayerError, ending
from lenetscope.recipe import Recipe
from lenetscope.report.network import Described
from lenetscope.runs.folder import Run
from lenetscope.runs.writer import RunWriter
from lenetscope.training import machine
from lenetscope.training.callbacks import Callback, is_finished
from lenetscope.training.schedules import planned_rate, replan_rate
from lenetscope.training.state import TrainState

if TYPE_CHECKING:
    from types import FrameType

PERIOD = 0.5
"""Seconds from one sending of the weights to the next."""

POINTS = 150
"""Points of a whole training's curve, about: each is a mean over some steps of one epoch."""

PATIENCE = 0.2
"""Seconds from one look at the signals to the next, while training is paused."""


@dataclass(frozen=True)
class Task:
    """What to train.

    Attributes:
        folder: in whose ``runs`` a new run is put.
        recipe: of a new run, or
        run: the folder of a run to resume.
        data_dir: where the data are, see `Architecture.from_recipe`.
    """

    folder: Path
    recipe: Recipe | None = None
    run: Path | None = None
    data_dir: Path | None = None


def train(task: Task, link: "Connection[Any, Any]") -> None:
    """Do a task, from the beginning of a process to its end, and tell of it through a pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the playground, which passes it on
    reporter = Reporter(link)
    try:
        _train(task, reporter)
    except Exception as error:  # noqa: BLE001  # whatever it is, the page must hear of it
        if not (end := ending(error)):
            traceback.print_exc()
        reporter.tell("failed", end[1] if end else f"the training ended by a mistake: {error!r:.200}")
    link.close()
    sys.stderr.flush()
    os._exit(0)  # without freeing every object, which takes seconds, as the command line does


def _train(task: Task, reporter: "Reporter") -> None:
    os.chdir(task.folder)
    machine.keep_freed_memory()
    recipe = task.recipe or Run.open(task.run or "").recipe()
    torch.set_num_threads(machine.threads_for(recipe.threads))
    if task.run is None:
        arch = Architecture.from_recipe(recipe, data_dir=task.data_dir)
        run = arch.start_run(data_dir=task.data_dir)
    else:
        run = Run.open(task.run)
        arch = Architecture.resume_run(run, data_dir=task.data_dir)
    reporter.introduce(arch, run)
    signal.signal(signal.SIGTERM, reporter.end)
    writer = RunWriter(run)
    assert arch.recipe is not None
    while True:
        arch.train(callbacks=[writer, reporter], progress=False, stop=reporter.is_asked)
        if is_finished(arch.history, arch.recipe.epochs, arch.recipe.patience):
            break
        if not reporter.obey(arch.state, writer):
            reporter.tell("stopped")
            return
    reporter.tell("evaluating")
    scores = arch.evaluate()
    run.save_scores(scores)
    reporter.tell("finished", scores.accuracy)


class Reporter(Callback):
    """Tells the playground how a training goes on, and hears what it asks for.

    What is asked interrupts the training, as a request to stop does: a checkpoint is saved, the order
    is obeyed between two steps, and training continues bit for bit. So no time is counted in a pause.

    Args:
        link: to the playground.
    """

    def __init__(self, link: "Connection[Any, Any]") -> None:
        self._link = link
        self._orders: list[tuple[str, float]] = []
        self._ended = False
        self._described: Described | None = None
        self._counted = (0, 0.0, 0)  # samples, their loss, and how many were right
        self._sent = 0.0
        self._steps = self._points = 1  # per epoch

    def tell(self, what: str, value: Any = None) -> None:
        """Tell something to the playground; if that is gone, the training ends after this step."""
        try:
            self._link.send((what, value))
        except OSError:
            self._ended = True

    def end(self, _number: int = 0, _frame: "FrameType | None" = None) -> None:
        """End after this step; it is what a signal does."""
        self._ended = True

    def introduce(self, arch: Architecture, run: Run) -> None:
        """Tell what is trained."""
        assert arch.recipe is not None
        assert arch.splits is not None
        assert arch.image_shape is not None
        try:
            self._described = Described.of(arch.model, arch.image_shape)
            layers, why = self._described.graph(arch.model).layers, None
        except LayerError as error:
            self._described, layers, why = None, (), str(error)
        known = {
            "run": str(run.path.resolve()),
            "recipe": arch.recipe.as_dict(),
            "about": dataclasses.replace(arch.splits, where=None, left_out=()).describe(),
            "parameters": arch.count_parameters(),
            "layers": list(layers),
            "unseen": why,
            "inputShape": list(arch.image_shape),
            "classes": list(arch.classes or ()),
            "lrChanges": run.environment().get("lr_changes", []),
        }
        self.tell("introduced", known)

    def is_asked(self) -> bool:
        """Tell whether something was asked for, or the playground has ended."""
        try:
            while self._link.poll():
                self._orders.append(self._link.recv())
        except (EOFError, OSError):
            self._ended = True
        return self._ended or bool(self._orders)

    def obey(self, state: TrainState, writer: RunWriter) -> bool:
        """Do what was asked, between two steps; return whether the training goes on."""
        paused = False
        while self.is_asked() or paused:
            if self._ended:
                return False
            if not self._orders:
                self._link.poll(PATIENCE)
                continue
            order, value = self._orders.pop(0)
            if order == "stop":
                return False
            if order == "rate":
                replan_rate(state, value)
                writer.run.add_lr_change(state.epoch, state.step, value)
                writer.on_checkpoint(state)
                self.tell("rate", {"epoch": state.epoch, "step": state.step, "lr": value})
            else:
                paused = order == "pause"
                self.tell("paused", paused)
        return True

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Tell how far it is."""
        self._steps, self._points = steps, min(steps, max(1, round(POINTS / epochs)))
        self._counted = _counts(state)
        done = round(state.epoch + state.step / steps, 5)
        self.tell(
            "begun",
            {"epochs": epochs, "steps": steps, "done": done, "history": list(state.history)},
        )
        self._tell_weights(state)

    def on_step_end(self, state: TrainState) -> None:
        """Tell the loss and accuracy of the last steps, and the weights."""
        part = state.step * self._points // self._steps
        if part > (state.step - 1) * self._points // self._steps:
            counts = _counts(state)
            images, loss, right = (
                now - before for now, before in zip(counts, self._counted, strict=True)
            )
            self._counted = counts
            point = {
                "at": round(state.epoch + state.step / self._steps, 5),
                "epoch": state.epoch,
                "step": state.step,
                "loss": loss / images,
                "accuracy": right / images,
                "lr": float(state.optimizer.param_groups[0]["lr"]),
                "plannedLr": planned_rate(state.optimizer),
                "speed": state.tally.n / state.seconds if state.seconds else None,
            }
            self.tell("point", point)
        if time.monotonic() - self._sent > PERIOD:
            self._tell_weights(state)

    def on_epoch_end(self, state: TrainState) -> None:
        """Tell the epoch's row of the history."""
        self._counted = (0, 0.0, 0)
        self.tell("epoch", state.history[-1])
        self._tell_weights(state)

    def _tell_weights(self, state: TrainState) -> None:
        if self._described:
            weights = self._described.graph(state.model).weights
            self.tell("weights", weights.astype("<f4").tobytes())
            self._sent = time.monotonic()


def _counts(state: TrainState) -> tuple[int, float, int]:
    """Return how many samples of this epoch were counted, their loss, and how many were right."""
    tally = state.tally
    right = 0 if tally.confusion is None else int(tally.confusion.trace())
    return tally.n, tally.loss_sum, right
