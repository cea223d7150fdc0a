"""The contenders, and the command that measures each.

A `Contender` is a program in ``contenders/`` that follows the protocol of `benchmarks.measure`.
`Project` is this project's command ``lenetscope train``, whose output and run folder are converted to
the same measurement.
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
BASELINE = "plain-pytorch"
"""Name of the contender that all others are compared with."""

_RUN_LINE = re.compile(r"^run: ")
_EPOCH_LINE = re.compile(r"^epoch +(\d+)/\d+ ")
_VALID = re.compile(r" valid loss \S+ +([\d.]+) %")


@dataclass(frozen=True)
class Job:
    """A training to measure.

    Attributes:
        data: folder that holds MNIST/raw.
        epochs: number of epochs.
        seed: of the training.
        limit: number of training images, 0 for all.
        until: test accuracy at which the training stops early.
        small: folder of IDX files with ``limit`` training images, if there is a limit.
    """

    data: Path
    epochs: int
    seed: int
    limit: int = 0
    until: float | None = None
    small: Path | None = None


@dataclass(frozen=True)
class Contender:
    """A program in ``contenders/``.

    Attributes:
        name: for ``--only``.
        title: for tables.
        module: of the program.
        needs: modules that it imports.
        arguments: of its command line.
        cap: maximum number of epochs to reach 99 %.
    """

    name: str
    title: str
    module: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    cap: int = 15

    def missing(self) -> str | None:
        """Return which modules are not installed, None if all are."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    def measure(self, job: Job) -> Measurement:
        """Run and measure it."""
        command = [sys.executable, "-m", f"benchmarks.contenders.{self.module}", *self.arguments]
        command += ["--data", str(job.data), "--epochs", str(job.epochs), "--seed", str(job.seed)]
        command += ["--limit", str(job.limit)]
        if job.until is not None:
            command += ["--until", str(job.until)]
        return measure(self.name, command, cwd=ROOT)


@dataclass(frozen=True)
class Project:
    """``lenetscope train`` with one of its recipes.

    Attributes:
        name: for ``--only``.
        title: for tables.
        recipe: name of the recipe.
        arguments: of the command line.
        cap: maximum number of epochs to reach 99 %.
        whole: whether the recipe is made to reach 99 % with all of its epochs; then the time of the
            whole training counts, not the time to the first epoch that reaches it.
    """

    name: str
    title: str
    recipe: str
    arguments: tuple[str, ...] = ()
    cap: int = 15
    whole: bool = False

    def missing(self) -> str | None:
        """Return whether the package or the recipe is missing, None if neither is."""
        found = importlib.util.find_spec("lenetscope")  # does not import it
        if found is None or found.origin is None:
            return "not installed: lenetscope"
        there = (Path(found.origin).parent / "recipes" / f"{self.recipe}.toml").exists()
        return None if there else f"there is no recipe {self.recipe}"

    def command(self, job: Job, run: Path) -> list[str]:
        """Return the command line that a user would type."""
        command = [sys.executable, "-m", "lenetscope", "train", "--recipe", self.recipe]
        command += [*self.arguments, "--seed", str(job.seed), "--run-dir", str(run), "--device", "cpu"]
        if not (self.whole and job.until is not None and not job.limit):
            command += ["--epochs", str(job.epochs)]
        if job.small is not None:
            return [*command, "--data", str(job.small)]
        return [*command, "--data-dir", str(job.data)]

    def measure(self, job: Job) -> Measurement:
        """Run and measure it; stop it once the line of an epoch shows the accuracy ``job.until``."""
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
        printed = {int(match[1]): at for match, at in found if match}
        if missing := [row["epoch"] for row in history if row["epoch"] not in printed]:
            raise MeasurementError(f"{self.name}: no line was printed for the epochs {missing}.")
        epochs = [
            Epoch(row["train_seconds"], row["valid_accuracy"], printed[row["epoch"]]) for row in history
        ]
        if not epochs:
            raise MeasurementError(f"{self.name}: the run folder has no finished epoch.")
        if self.whole:
            # validation may use held-out training images, so only the final test accuracy counts
            epochs = [epoch._replace(accuracy=None) for epoch in epochs]
            epochs[-1] = epochs[-1]._replace(accuracy=scores[0]["accuracy"], at=watched.seconds)
        return Measurement(
            self.name, watched.seconds, watched.peak_mib, ready, tuple(epochs), watched.stopped
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object, or of one per line; no rows if there is no file."""
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    return [json.loads(text)] if path.suffix == ".json" else [json.loads(x) for x in text.splitlines()]


LINEUP: tuple[Contender | Project, ...] = (
    Contender(
        BASELINE, "plain PyTorch loop, reference network", "plain_pytorch", ("torch", "torchvision")
    ),
    Project("fast", "lenetscope, recipe fast", "fast", whole=True),
    Project("reference", "lenetscope, recipe reference", "reference", ("--precision", "32-true")),
    Project(
        "reference-bf16",
        "lenetscope, recipe reference, bf16-mixed",
        "reference",
        ("--precision", "bf16-mixed"),
    ),
    Contender(
        "official", "PyTorch's official example", "official_example", ("torch", "torchvision"), cap=14
    ),
    Contender("lightning", "Lightning Trainer, reference network", "lightning_trainer", ("lightning",)),
    Contender("skorch", "skorch, reference network", "skorch_net", ("skorch",)),
    Contender(
        "keras-torch",
        "Keras on torch, its own example",
        "keras_convnet",
        ("keras", "torch"),
        ("--backend", "torch", "--net", "own"),
    ),
    Contender(
        "keras-torch-reference",
        "Keras on torch, reference network",
        "keras_convnet",
        ("keras", "torch"),
        ("--backend", "torch", "--net", "reference"),
    ),
    Contender(
        "keras-jax",
        "Keras on JAX, its own example",
        "keras_convnet",
        ("keras", "jax"),
        ("--backend", "jax", "--net", "own"),
    ),
    Contender(
        "keras-jax-reference",
        "Keras on JAX, reference network",
        "keras_convnet",
        ("keras", "jax"),
        ("--backend", "jax", "--net", "reference"),
    ),
    Contender("sklearn", "scikit-learn MLPClassifier", "sklearn_mlp", ("sklearn",), cap=20),
)


def names() -> list[str]:
    """Return the names for ``--only``."""
    return [entrant.name for entrant in LINEUP]
