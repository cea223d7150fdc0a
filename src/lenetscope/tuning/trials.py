"""The trials of a study, shared by several processes; what a killed one left is done again.

They are Optuna's, in the file that its `JournalStorage` appends to. A process that works holds a lock
of its own, which the system releases when the process ends, however that is: so the others know.

T. Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
"""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from lenetscope.tuning import space

if TYPE_CHECKING:
    import optuna

By = Literal["accuracy", "loss"]
"""What trials are compared by, on the validation images."""

LEAST_COMPLETE = 5
"""Trials from which on importances are computed."""


@dataclass(frozen=True)
class Trial:
    """What became of one trial.

    Attributes:
        number: from 1.
        state: ``"complete"``, ``"pruned"``, ``"diverged"``, ``"failed"``, ``"running"`` or
            ``"waiting"``. Those that failed were stopped, and are done again under another number.
        value: of its weights on the validation images; None if it is not complete.
        params: the fields that were searched.
        values: on the validation images, after each epoch.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    values: list[float]


class Trials:
    """The trials in a file.

    Args:
        folder: of the study.
        searched: fields and their values.
        seed: of the sampler: it determines the trials, as long as one process does them.
        maximize: whether more is better.

    Attributes:
        lock: held while the file is changed, and by whoever changes other files of the folder.
    """

    def __init__(self, folder: Path, searched: space.Space, seed: int, maximize: bool) -> None:
        self.folder, self.searched, self.seed = folder, searched, seed
        self.lock = FileLock(folder / "study.lock")
        self._process = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._optuna = space.optuna()
        storages = self._optuna.storages
        file = folder / "trials.jsonl"
        with self.lock:
            _cut_last_line(file)
            backend = storages.journal.JournalFileBackend(str(file), lock_obj=self.lock)
            self._study: optuna.Study = self._optuna.create_study(
                study_name="tune",
                storage=storages.JournalStorage(backend),
                pruner=self._optuna.pruners.MedianPruner(),
                direction="maximize" if maximize else "minimize",
                load_if_exists=True,
            )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock of this process while the block runs."""
        file = self._lock_of(self._process)
        file.parent.mkdir(exist_ok=True)
        try:
            with FileLock(file):
                yield
        finally:
            file.unlink(missing_ok=True)

    def next(self, enough: int) -> "optuna.Trial | None":
        """Return the next trial, None if there are enough; what dead processes left comes first."""
        with self.lock:
            for trial in self._study.get_trials(deepcopy=False):
                process = trial.user_attrs.get("process", "")
                if trial.state.name == "RUNNING" and not self._is_alive(process):
                    self.do_again(trial)
            states = [trial.state.name for trial in self._study.get_trials(deepcopy=False)]
            if "WAITING" not in states and len(states) - states.count("FAIL") >= enough:
                return None
            # the same trials each time a study is begun anew, and random numbers of its own for each
            seed = (self.seed + len(states)) % 2**32
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
            chosen: optuna.Trial = self._study.ask(self.searched)
            chosen.set_user_attr("process", self._process)
            return chosen

    def do_again(self, trial: Any) -> None:
        """End a trial that was stopped, and put its values in the queue, once."""
        with self.lock:
            others = self._study.get_trials(deepcopy=False)
            if all(other.user_attrs.get("repeats") != trial.number for other in others):
                self._study.enqueue_trial(trial.params, user_attrs={"repeats": trial.number})
            self.fail(trial)

    def fail(self, trial: Any) -> None:
        """End a trial that has no result."""
        self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def complete(self, trial: Any, value: float) -> None:
        """End a trial with its value."""
        self._study.tell(trial.number, value)

    def prune(self, trial: Any, *, diverged: str = "") -> None:
        """End a trial early, because others are better, or because it diverged, and how."""
        if diverged:
            trial.set_user_attr("diverged", diverged)
        self._study.tell(trial.number, state=self._optuna.trial.TrialState.PRUNED)

    def results(self) -> list[Trial]:
        """Return all trials, in order."""
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            name = trial.state.name
            state = "failed" if name == "FAIL" else name.lower()
            state = "diverged" if "diverged" in trial.user_attrs else state
            value = trial.value if state == "complete" else None
            values = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
            found.append(Trial(trial.number + 1, state, value, dict(trial.params), values))
        return found

    def importance(self) -> dict[str, float]:
        """Return what fraction of the variance of the values each field accounts for, most first.

        Optuna estimates it with the random forest of F. Hutter, H. Hoos and K. Leyton-Brown, "An
        efficient approach for assessing hyperparameter importance", ICML 2014. Empty before there are
        `LEAST_COMPLETE` complete trials, and where all have one value.
        """
        values = [trial.value for trial in self.results() if trial.value is not None]
        if len(values) < LEAST_COMPLETE or min(values) == max(values):
            return {}
        importance = self._optuna.importance
        forest = importance.FanovaImportanceEvaluator(seed=self.seed)
        found = importance.get_param_importances(self._study, evaluator=forest)
        return {name: float(value) for name, value in found.items()}

    def _lock_of(self, process: str) -> Path:
        return self.folder / "processes" / f"{process}.lock"

    def _is_alive(self, process: str) -> bool:
        file = self._lock_of(process)
        if not file.exists():
            return False
        try:
            FileLock(file).acquire(blocking=False).lock.release()
        except Timeout:
            return True
        file.unlink(missing_ok=True)
        return False


def _cut_last_line(path: Path) -> None:
    """Remove a last line that a power cut left incomplete, behind which nothing could be written."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
