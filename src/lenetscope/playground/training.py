"""The training that the playground watches: it runs in a process of its own, one at a time.

What the process tells is kept here as one value, and published as the event "training"; a page that
comes later hears the latest, with the whole curve so far.
"""

import math
import multiprocessing
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenetscope.errors import LenetscopeError, UsageError
from lenetscope.playground.trainer import Task, train
from lenetscope.recipe import Recipe
from lenetscope.runs.folder import Run

if TYPE_CHECKING:
    from lenetscope.playground.lab import Lab

ACTIVE = ("starting", "training", "paused", "evaluating")
"""Phases in which there is a process; the others are "finished", "stopped" and "failed"."""

RATE = 0.25
"""Seconds from one event to the next, at least."""

KEPT = 3
"""Trainings that are kept to be compared with."""

GRACE = 20.0
"""Seconds that the process has to save, when the playground ends."""

DIED = "the process of the training was killed. Its last checkpoint is kept: resume it."


class Training:
    """At most one training at a time, and what became of those before.

    Args:
        lab: its events tell pages, and it opens the run in the end.

    Attributes:
        state: of the training that goes on or was the last, as pages hear it; empty before the first.
        network: what its process told of the network.
        weights: the latest, as bytes of little-endian float32.
    """

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        self.state: dict[str, Any] = {}
        self._former: list[dict[str, Any]] = []
        self._thread: threading.Thread | None = None
        self._process: Any = None
        self._link: Connection[Any, Any] | None = None
        self._ending: dict[str, Any] = {}
        self._closed = False
        self.network: dict[str, Any] = {}
        self.weights = b""

    @property
    def is_active(self) -> bool:
        """Whether a training goes on, or is paused."""
        return self.state.get("phase") in ACTIVE

    @property
    def run(self) -> str | None:
        """Name of the run that is trained, or was trained last."""
        return self.state.get("run")

    def start(self, recipe: Recipe, data_dir: Path | None) -> None:
        """Begin a training.

        Raises:
            UsageError: if there is one.
            StorageError: if the folder cannot be made.
        """
        self._begin(Task(self._folder(), recipe=recipe, data_dir=data_dir), recipe)

    def resume(self, name: str) -> None:
        """Continue a run of `unfinished`.

        Raises:
            UsageError: if there is no such run, or a training goes on.
        """
        runs = {run.path.name: run for run in self.unfinished()}
        if name not in runs:
            raise UsageError(f"there is no unfinished run '{name[:60]}' in {self._lab.folder}/runs.")
        task = Task(self._folder(), run=runs[name].path.resolve())
        self._begin(task, runs[name].recipe(), name)

    def unfinished(self) -> list[Run]:
        """Return the runs in the playground's folder that can be resumed, the newest first."""
        found = []
        for file in (self._lab.folder / "runs").glob("[!.]*/recipe.toml"):
            if self.is_active and file.parent.name == self.run:
                continue
            with suppress(LenetscopeError, OSError):  # a damaged one cannot be resumed
                run = Run.open(file.parent)
                if not (run.is_finished() and run.scores_file.exists()):
                    found.append(run)
        return sorted(found, key=lambda run: run.config_file.stat().st_mtime, reverse=True)

    def ask(self, order: str, value: float = 0.0) -> None:
        """Ask the process for something: "pause", "continue", "stop", or "rate" with a learning rate.

        Raises:
            UsageError: if no training goes on that could do it; one that starts does it soon.
        """
        if self._link is None or self.state["phase"] not in ACTIVE[:3]:
            raise UsageError("no training goes on that could be asked.")
        with suppress(OSError):  # it has just ended, which it will tell
            self._link.send((order, value))

    def close(self) -> None:
        """Let the training save a checkpoint, and end its process."""
        self._closed = True
        if self._thread and self._thread.is_alive():
            self._process.terminate()
            self._thread.join(GRACE)
            if self._thread.is_alive():
                self._process.kill()
                self._thread.join()

    def _folder(self) -> Path:
        folder = self._lab.folder.resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make {folder}: {error.strerror}.") from error
        return folder

    def _begin(self, task: Task, recipe: Recipe, name: str | None = None) -> None:
        if self.is_active:
            raise UsageError(
                f"{self.run or 'a training'} is being trained; stop it first, or wait for its end."
            )
        if self._closed:
            raise UsageError("the playground is ending.")
        if self._thread:
            self._thread.join()
        curve = self.state["curve"] if name and name == self.run else None
        self._keep_former(name)
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        # a daemon is asked to end if this process ends in any other way than by `close`
        self._process = context.Process(target=train, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.network, self.weights = {}, b""
        self.state = {
            "phase": "starting",
            "run": name,
            "recipe": recipe.as_dict(),
            "curve": curve or {"at": [], "loss": [], "accuracy": []},
            "history": [],
            "weights": 0,
        }
        self._publish()
        self._thread = threading.Thread(target=self._follow, name="training", daemon=True)
        self._thread.start()

    def _keep_former(self, resumed: str | None) -> None:
        """Keep the last training to be compared with, unless it is the one that goes on."""
        if self.state.get("history") or self.state.get("curve", {}).get("at"):
            self._former = [self.state, *self._former]
        self._former = [each for each in self._former if each["run"] != resumed][:KEPT]
        self._lab.events.publish("trained", [_plain(each) for each in self._former])

    def _follow(self) -> None:
        """Hear what the process tells, until it has ended."""
        assert self._link is not None
        self._ending = {"phase": "failed", "error": DIED}
        published, waits = 0.0, False
        with suppress(EOFError, OSError):
            while True:
                if not waits or self._link.poll(RATE):
                    urgent = self._hear(*self._link.recv())
                    waits = True
                else:
                    urgent = True
                if urgent or time.monotonic() - published > RATE:
                    self._publish()
                    published, waits = time.monotonic(), False
        self._process.join(GRACE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._link.close()
        self._open()
        self.state |= self._ending
        self._publish()

    def _hear(self, what: str, value: Any) -> bool:
        """Take what the process tells into the state; return whether the pages must hear it at once."""
        state = self.state
        match what:
            case "introduced":
                self.network = value
                names = ("recipe", "about", "parameters", "unseen", "lrChanges")
                state |= {name: value[name] for name in names}
                state |= {"run": Path(value["run"]).name}
            case "begun":
                state |= {"phase": "training", **value}
                count = sum(at <= value["done"] for at in state["curve"]["at"])
                state["curve"] = {name: each[:count] for name, each in state["curve"].items()}
            case "point":
                for name, numbers in state["curve"].items():
                    numbers.append(value[name])
                state["now"] = value
            case "epoch":
                state["history"] = [*state["history"], value]
            case "weights":
                self.weights = value
                state["weights"] += 1
            case "paused":
                state["phase"] = "paused" if value else "training"
            case "rate":
                state["lrChanges"] = [*state["lrChanges"], value]
                state["now"] = {**(state.get("now") or {}), "plannedLr": value["lr"]}
            case "evaluating":
                state["phase"] = what
            case "finished":
                self._ending = {"phase": what, "accuracy": value}
            case "stopped":
                self._ending = {"phase": what}
            case "failed":
                self._ending = {"phase": what, "error": value}
        return what in ("introduced", "begun", "paused", "rate", "evaluating")

    def _open(self) -> None:
        """Open the run, if it has weights."""
        if path := self.network.get("run"):
            with suppress(LenetscopeError):
                self._lab.add(Run.open(path))
                self.state["opened"] = True

    def _publish(self) -> None:
        self.state["runs"] = self._lab.names
        self._lab.events.publish("training", _plain(self.state))


def _plain(value: Any) -> Any:
    """Return a copy for JSON, which knows no numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
