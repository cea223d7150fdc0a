"""Who is measured, and with which command.

In: a `Job`. Out: a `measure.Measurement`. A `Contender` is one of the programs in ``contenders/``,
which keep to the protocol of `benchmarks.measure`. `Project` is this project's real command, whose
lines of progress and run folder are translated into the same figures.
"""

import importlib.util
import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ENOUGH, Epoch, Measurement, MeasurementError, measure, watch

ROOT = Path(__file__).resolve().parents[1]
ORDINARY = "plain-pytorch"
"""Whose seconds all others are compared with."""

_RUN_LINE = re.compile(r"^run: ")
_EPOCH_LINE = re.compile(r"^epoch +(\d+)/\d+ ")
_VALID = re.compile(r" valid loss \S+ +([\d.]+) %")


@dataclass(frozen=True)
class Job:
    """What is to be done: so many epochs, or fewer if ``until`` is reached on the test images.

    ``data`` holds MNIST/raw. ``limit`` is the number of training images, 0 for all; ``small`` then is
    a folder of IDX files with so many.
    """

    data: Path
    epochs: int
    seed: int
    limit: int = 0
    until: float | None = None
    small: Path | None = None


@dataclass(frozen=True)
class Contender:
    """A program of ``contenders/``.

    ``name`` is for ``--only``, ``title`` for tables; ``needs`` are the modules it imports, and ``cap``
    is how many epochs it may take to reach 99 %.
    """

    name: str
    title: str
    module: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    cap: int = 15

    def missing(self) -> str | None:
        """Say what is not installed, None if nothing is missing."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    def measure(self, job: Job) -> Measurement:
        """Run it, and return what was seen."""
        command = [sys.executable, "-m", f"benchmarks.contenders.{self.module}", *self.arguments]
        command += ["--data", str(job.data), "--epochs", str(job.epochs), "--seed", str(job.seed)]
        command += ["--limit", str(job.limit)]
        if job.until is not None:
            command += ["--until", str(job.until)]
        return measure(self.name, command, cwd=ROOT)


@dataclass(frozen=True)
class Project:
    """``lenetscope train`` with one of its recipes.

    ``whole`` is for a recipe that is made to reach 99 %: it counts from start to end with the epochs
    and the settings that the recipe says, not up to the first epoch that happens to be good enough.
    """

    name: str
    title: str
    recipe: str
    arguments: tuple[str, ...] = ()
    cap: int = 15
    whole: bool = False

    def missing(self) -> str | None:
        """Say whether the package or the recipe is missing."""
        found = importlib.util.find_spec("lenetscope")  # does not import it
        if found is None or found.origin is None:
            return "not installed: lenetscope"
        there = (Path(found.origin).parent / "recipes" / f"{self.recipe}.toml").exists()
        return None if there else f"there is no recipe {self.recipe}"

    def command(self, job: Job, run: Path) -> list[str]:
        """Return what a user would type."""
        command = [sys.executable, "-m", "lenetscope", "train", "--recipe", self.recipe]
        command += [*self.arguments, "--seed", str(job.seed), "--run-dir", str(run), "--device", "cpu"]
        if not (self.whole and job.until is not None and not job.limit):
            command += ["--epochs", str(job.epochs)]
        if job.small is not None:
            return [*command, "--dataset", "idx", "--data-dir", str(job.small)]
        return [*command, "--data-dir", str(job.data)]

    def measure(self, job: Job) -> Measurement:
        """Run it, and return what was seen; stop it once ``job.until`` is on a line of an epoch."""
        wanted = None if self.whole else job.until

        def listener(line: str) -> str | None:
            found = _VALID.search(line)
            enough = wanted is not None and found is not None and float(found[1]) >= 100 * wanted - 1e-9
            return ENOUGH if enough else None

        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            watched = watch(
                self.command(job, run), stream="stderr", listener=listener, cwd=Path(folder)
            )
            history = _rows(run / "history.jsonl")
            scores = _rows(run / "scores.json")
        ready = next((line.at for line in watched.lines if _RUN_LINE.match(line.text)), None)
        found = ((_EPOCH_LINE.match(line.text), line.at) for line in watched.lines)
        said = {int(match[1]): at for match, at in found if match}
        if missing := [row["epoch"] for row in history if row["epoch"] not in said]:
            raise MeasurementError(f"{self.name}: no line was printed for the epochs {missing}.")
        epochs = [
            Epoch(row["train_seconds"], row["valid_accuracy"], said[row["epoch"]]) for row in history
        ]
        if not epochs:
            raise MeasurementError(f"{self.name}: the run folder has no finished epoch.")
        if self.whole:
            # validation may be on images held out: what counts is what the run printed in the end
            epochs = [epoch._replace(accuracy=None) for epoch in epochs]
            epochs[-1] = epochs[-1]._replace(accuracy=scores[0]["accuracy"], at=watched.seconds)
        return Measurement(
            self.name, watched.seconds, watched.peak_mib, ready, tuple(epochs), watched.stopped
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object, or of one a line; no rows if it is not there."""
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    return [json.loads(text)] if path.suffix == ".json" else [json.loads(x) for x in text.splitlines()]


LINEUP: tuple[Contender | Project, ...] = (
    Contender(ORDINARY, "plain PyTorch loop, seed network", "plain_pytorch", ("torch", "torchvision")),
    Project("fast", "lenetscope, recipe fast", "fast", whole=True),
    Project("seed", "lenetscope, recipe seed", "seed", ("--precision", "32-true")),
    Project("seed-bf16", "lenetscope, recipe seed, bf16-mixed", "seed", ("--precision", "bf16-mixed")),
    Contender(
        "official", "PyTorch's official example", "official_example", ("torch", "torchvision"), cap=14
    ),
    Contender("lightning", "Lightning Trainer, seed network", "lightning_trainer", ("lightning",)),
    Contender("skorch", "skorch, seed network", "skorch_net", ("skorch",)),
    Contender(
        "keras-torch",
        "Keras on torch, its own example",
        "keras_convnet",
        ("keras", "torch"),
        ("--backend", "torch", "--net", "own"),
    ),
    Contender(
        "keras-torch-seed",
        "Keras on torch, seed network",
        "keras_convnet",
        ("keras", "torch"),
        ("--backend", "torch", "--net", "seed"),
    ),
    Contender(
        "keras-jax",
        "Keras on JAX, its own example",
        "keras_convnet",
        ("keras", "jax"),
        ("--backend", "jax", "--net", "own"),
    ),
    Contender(
        "keras-jax-seed",
        "Keras on JAX, seed network",
        "keras_convnet",
        ("keras", "jax"),
        ("--backend", "jax", "--net", "seed"),
    ),
    Contender("sklearn", "scikit-learn MLPClassifier", "sklearn_mlp", ("sklearn",), cap=20),
)


def names() -> list[str]:
    """Return the names that ``--only`` knows."""
    return [entrant.name for entrant in LINEUP]
