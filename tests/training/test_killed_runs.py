"""A run is never lost: real processes are killed with SIGKILL, resumed, and end bit for bit the same.

A fork server that has imported torch once starts each process in a fraction of a second. A process
kills itself at its k-th call to the system that touches a file of the run, for every k there is; others
are killed by the clock, and one is killed again while it resumes.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

EPOCHS = 2
WATCHED = {"open", "os.rename", "os.mkdir", "os.remove"}
Kept = dict[str, bytes]


def _train(words: list[str], folder: str, die_at: int, counter: Any) -> None:
    """Run the command line in a new process; die at the ``die_at``-th event on files of ``folder``."""
    from lenetscope.cli import main

    count = 0
    real_fsync = os.fsync

    def tick() -> None:
        nonlocal count
        count += 1
        counter.value = count
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in WATCHED and isinstance(args[0], (str, os.PathLike)) and folder in str(args[0]):
            tick()

    def fsync(descriptor: int) -> None:
        tick()  # what was written is not on the disk yet
        real_fsync(descriptor)

    sys.addaudithook(audit)
    os.fsync = fsync
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    main(words)


class Trainings:
    """Starts trainings of one small recipe, each in a process of its own."""

    def __init__(self, context: ForkServerContext, data: Path) -> None:
        self.context, self.data = context, data
        # Starting a process polls every other one, and an exit code can be read only once: two threads
        # that read the same one take it from each other.
        self.exit_codes = threading.Lock()

    def start(
        self, run: Path, die_at: int = 0, *, resume: bool = False, more: tuple[str, ...] = ()
    ) -> tuple[Any, Any]:
        words = ["train", "--checkpoint-steps", "2", *more]
        if resume and run.exists():
            words += ["--resume", str(run)]
        else:
            words += ["--run-dir", str(run), "--data", str(self.data), "--epochs", str(EPOCHS),
                      "--seed", "5", "--batch-size", "16", "--device", "cpu", "--threads", "1",
                      "--schedule", "one-cycle"]  # fmt: skip
        counter = self.context.Value("i", 0)
        process = self.context.Process(target=_train, args=(words, str(run.parent), die_at, counter))
        with self.exit_codes:
            process.start()
        return process, counter

    def finish(self, run: Path, die_at: int = 0, **options: Any) -> int:
        process, _ = self.start(run, die_at, **options)
        wait([process.sentinel], timeout=300)
        with self.exit_codes:
            process.join(0)
        return int(process.exitcode)


@pytest.fixture(scope="module")
def trainings(idx_folder: Path) -> Trainings:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "lenetscope.architecture", "lenetscope.cli"])
    return Trainings(context, idx_folder)


@pytest.fixture(scope="module")
def reference(
    trainings: Trainings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Kept, int, float]:
    """What the uninterrupted run keeps, how many events it took, and how many seconds."""
    run = tmp_path_factory.mktemp("reference") / "run"
    started = time.perf_counter()
    process, counter = trainings.start(run)
    process.join()
    assert process.exitcode == 0
    assert len(kept(run)) == 1 + EPOCHS + 1 + 1  # weights, snapshots, how far steps moved them
    return kept(run), counter.value, time.perf_counter() - started


def kept(run: Path) -> Kept:
    """Return the files that must come out the same to the last bit."""
    files = [*run.rglob("*.safetensors"), run / "updates.jsonl"]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def check(run: Path, reference: Kept, epochs: int = EPOCHS) -> None:
    assert kept(run) == reference
    assert len((run / "history.jsonl").read_text().splitlines()) == epochs
    assert not list(run.rglob(".*")), "something half written is left"


def test_killed_at_every_touch_of_a_file(trainings, reference, tmp_path: Path) -> None:
    files, events, _ = reference
    assert events > 60

    def kill_and_resume(die_at: int) -> None:
        run = tmp_path / str(die_at) / "run"
        run.parent.mkdir()
        assert trainings.finish(run, die_at) == -signal.SIGKILL
        assert trainings.finish(run, resume=True) == 0, f"could not resume after event {die_at}"
        check(run, files)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        assert len(list(pool.map(kill_and_resume, range(1, events + 1)))) == events


def test_killed_by_the_clock(trainings, reference, tmp_path: Path) -> None:
    files, _, whole = reference
    clock = random.Random(1)
    for number in range(6):
        run = tmp_path / f"run{number}"
        process, _ = trainings.start(run)
        time.sleep(clock.uniform(0.1, 0.9) * whole)
        process.kill()
        process.join()
        assert trainings.finish(run, resume=True) == 0
        check(run, files)


def test_killed_again_while_resuming(trainings, reference, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert trainings.finish(run, die_at=30) == -signal.SIGKILL
    assert trainings.finish(run, die_at=16, resume=True) == -signal.SIGKILL
    assert trainings.finish(run, resume=True) == 0
    check(run, reference[0])


def test_killed_while_a_finished_run_goes_on(trainings, reference, tmp_path: Path) -> None:
    goes_on = {"resume": True, "more": ("--epochs", str(EPOCHS + 1))}
    finished = tmp_path / "finished" / "run"
    assert trainings.finish(finished) == 0
    whole = Path(shutil.copytree(finished, tmp_path / "whole" / "run"))
    process, counter = trainings.start(whole, **goes_on)
    process.join()
    assert process.exitcode == 0
    assert len(kept(whole)) == len(reference[0]) + 1

    for die_at in range(1, counter.value + 1, 3):
        run = Path(shutil.copytree(finished, tmp_path / str(die_at) / "run"))
        assert trainings.finish(run, die_at, **goes_on) == -signal.SIGKILL
        planned = "resumed" in json.loads((run / "environment.json").read_text())
        again = {"resume": True} if planned else goes_on  # it is known from the first moment on
        assert trainings.finish(run, **again) == 0
        check(run, kept(whole), EPOCHS + 1)


def test_interrupted_once_it_saves_and_tells_how_to_resume(
    trainings, reference, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process, _ = trainings.start(run)
    while not (run / "checkpoint.pt").exists() and process.is_alive():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode in (130, 0)  # 0 if it was done before the signal came
    assert trainings.finish(run, resume=True) == 0
    check(run, reference[0])
