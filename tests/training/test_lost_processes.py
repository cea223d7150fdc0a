"""What a training of several processes survives: one that is killed, another number, another machine.

The processes come from a fork server that has imported torch once; those of the command line and of
torchrun start from nothing.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from conftest import write_bars
from lenetscope import Run, rng
from lenetscope.errors import LOST_PROCESS, UsageError
from lenetscope.training.processes import Processes

pytestmark = pytest.mark.slow

SETTINGS = {
    "epochs": 2, "batch_size": 33, "device": "cpu", "threads": 1,
}  # fmt: skip
WORDS = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SETTINGS.items()).split()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """133 training images, of which the last batch has one, and 47 test images."""
    return write_bars(tmp_path_factory.mktemp("idx"), 133, 47)


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "lenetscope.architecture", "lenetscope.runs.writer"])
    return context


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def _work(
    rank: int, count: int, port: str, folder: str, data: Path, stop: Any, kill: int, settings: Any
) -> None:
    """Train in process ``rank`` until (epochs, steps) are ``stop``; the process ``kill`` dies there."""
    if count > 1:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), LOCAL_WORLD_SIZE=str(count),
            GROUP_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=port, TORCHELASTIC_RUN_ID="test",
        )  # fmt: skip
    from lenetscope import Architecture, Callback, RunWriter
    from lenetscope.errors import ending

    class Dies(Callback):
        def on_step_end(self, state: Any) -> None:
            if (state.epoch, state.step) == stop and rank == kill:
                os.kill(os.getpid(), signal.SIGKILL)

    def due() -> bool:
        return kill < 0 and (arch.state.epoch, arch.state.step) == stop

    try:
        if settings is None:
            arch = Architecture.resume_run(folder)
        else:
            arch = Architecture.from_recipe("reference", data=data, **settings)
            arch.start_run(folder)
        writer = RunWriter(arch.run)
        arch.train(callbacks=[writer, Dies()], checkpoint_steps=2, stop=due, progress=False)
    except RuntimeError as error:
        assert ending(error) == (1, LOST_PROCESS)
        os._exit(7)


class Trainings:
    """Starts trainings of one small recipe in so many processes."""

    def __init__(self, context: ForkServerContext, data: Path, folder: Path) -> None:
        self.context, self.data, self.folder = context, data, folder

    def run(
        self, name: str, count: int, stop: Any = None, kill: int = -1, **settings: Any
    ) -> tuple[Run, list[int | None]]:
        """Begin a training with settings, or resume it without; return its run and the statuses."""
        port, folder = free_port(), str(self.folder / name)
        given = SETTINGS | settings if settings else None
        processes = [
            self.context.Process(
                target=_work, args=(rank, count, port, folder, self.data, stop, kill, given)
            )
            for rank in range(count)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        return Run(Path(folder)), [process.exitcode for process in processes]

    def copy(self, name: str, to: str) -> None:
        shutil.copytree(self.folder / name, self.folder / to)


@pytest.fixture(scope="module")
def trainings(
    context: ForkServerContext, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trainings:
    return Trainings(context, data, tmp_path_factory.mktemp("runs"))


def weights(run: Run) -> bytes:
    return run.weights_file.read_bytes()


@pytest.fixture(scope="module")
def two(trainings: Trainings) -> Run:
    """The uninterrupted training in two processes, with dropout."""
    run, statuses = trainings.run("two", 2, seed=5)
    assert statuses == [0, 0]
    return run


def test_four_of_which_one_is_killed_resume_bit_for_bit(trainings: Trainings) -> None:
    whole, statuses = trainings.run("four", 4, seed=5)
    assert statuses == [0] * 4
    killed, statuses = trainings.run("killed", 4, stop=(0, 3), kill=2, seed=5)
    assert statuses == [7, 7, -signal.SIGKILL, 7]  # the others end by themselves, and say why
    assert not killed.history_file.exists()  # in the middle of the first epoch, after two steps
    resumed, statuses = trainings.run("killed", 4)
    assert statuses == [0] * 4
    assert weights(resumed) == weights(whole)


def test_another_number_of_processes_continues_the_same_training(trainings: Trainings) -> None:
    # no random masks; losses are still those of outputs in float32
    same = {"dropout": 0, "precision": "64-true"}
    one, _ = trainings.run("one", 1, **same)
    for before, after in ((1, 2), (2, 1), (2, 4)):
        name = f"{before}to{after}"
        run, statuses = trainings.run(name, before, stop=(0, 3), **same)
        assert statuses == [0] * before
        assert not run.history_file.exists()
        run, statuses = trainings.run(name, after)
        assert statuses == [0] * after
        assert len(run.history()) == 2
        for mine, theirs in zip(run.history(), one.history(), strict=True):
            for figure in ("train_loss", "valid_loss", "train_accuracy"):
                assert mine[figure] == pytest.approx(theirs[figure], rel=1e-6), name


def test_a_process_that_was_not_there_draws_numbers_of_its_own() -> None:
    torch.manual_seed(1)
    before = [rng.capture(), rng.capture()]
    drawn = {}
    with rng.isolated():
        for rank in range(4):
            processes = Processes(SimpleNamespace(global_rank=rank, world_size=4))
            processes.restore_rng(before, None)
            order = torch.randperm(10).tolist()
            assert order == drawn.setdefault("order", order)  # all see the same order
            processes.continue_rng(before, None)
            drawn[rank] = torch.rand(1).item()
    assert drawn[0] == drawn[1]  # as they were
    assert len({drawn[0], drawn[2], drawn[3]}) == 3


def test_batch_normalisation_is_not_continued_with_another_number() -> None:
    two = Processes(SimpleNamespace(global_rank=0, world_size=2))
    normalised = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    two.require_same(normalised, None)
    two.require_same(normalised, [{}, {}])
    two.require_same(nn.Linear(2, 2), [{}])
    with pytest.raises(UsageError, match="began with 1 process.*continue with as many, not 2"):
        two.require_same(normalised, [{}])


def children_of(parent: int) -> dict[int, int]:
    """Return the processes that a command has started: rank to id."""
    found = {}
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        words = Path(f"/proc/{child}/environ").read_text().split("\0")
        ranks = [word.partition("=")[2] for word in words if word.startswith("RANK=")]
        if ranks:  # else it is not yet the program
            found[int(ranks[0])] = int(child)
    return found


def test_the_command_ends_when_its_main_process_is_killed_and_resumes_bit_for_bit(
    two: Run, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    program = [sys.executable, "-m", "lenetscope", "train", "--devices", "2"]
    begin = ["--run-dir", str(run), "--data", str(data), *WORDS, "--seed", "5"]
    again = ["--resume", str(run), "--checkpoint-steps", "1"]

    def start(words: list[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen([*program, *words], stderr=subprocess.PIPE, text=True)

    process = start([*begin, "--checkpoint-steps", "1"])
    while not run.joinpath("checkpoint.pt").exists() and process.poll() is None:
        time.sleep(0.005)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    killed = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - killed < 10
    assert process.returncode == 1
    assert "lenetscope: process 0 of 2 on this machine was killed by SIGKILL." in err
    assert "--resume" in err
    assert "Traceback" not in err

    process = start(again)
    while f"run: {run}" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == f"Interrupted; saved. Continue with: lenetscope train --devices 2 --resume {run}\n"

    process = start(again)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert weights(Run(run)) == weights(two)


class Host(NamedTuple):
    """A machine: what a command on it begins with, its address, and the interface to the others."""

    inside: list[str]
    address: str
    interface: str


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """Two hosts with a cable between them, as network namespaces.

    Only root may lay such a network; otherwise both are this machine.
    """
    names = [f"lenetscope-{os.getpid()}-{number}" for number in (1, 2)]
    cable = [
        *(f"netns add {name}" for name in names),
        f"link add cable netns {names[0]} type veth peer name cable netns {names[1]}",
        *(f"-n {name} addr add 10.231.77.{k}/24 dev cable" for k, name in enumerate(names, 1)),
        *(f"-n {name} link set {device} up" for name in names for device in ("cable", "lo")),
    ]
    try:
        if shutil.which("ip") and all(ip(words) for words in cable):
            yield [
                Host(["ip", "netns", "exec", name], f"10.231.77.{k}", "cable")
                for k, name in enumerate(names, 1)
            ]
        else:
            yield [Host([], "127.0.0.1", "lo")] * 2
    finally:
        if shutil.which("ip"):
            for name in names:
                ip(f"netns del {name}")


def ip(words: str) -> bool:
    """Tell whether the system lays the network so."""
    return not subprocess.run(["ip", *words.split()], check=False, capture_output=True).returncode


def test_two_machines_train_what_one_trains(
    hosts: list[Host], two: Run, data: Path, tmp_path: Path
) -> None:
    train = ["-m", "lenetscope", "train", "--run-dir", str(tmp_path / "run"), "--data", str(data),
             *WORDS, "--seed", "5", "--json"]  # fmt: skip
    processes, port = [], free_port()
    for number, host in enumerate(hosts):
        launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={number}",
                  f"--master-addr={hosts[0].address}", f"--master-port={port}",
                  "--nproc-per-node=1"]  # fmt: skip
        processes.append(
            subprocess.Popen(
                [*host.inside, *launch, *train],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=os.environ | {"GLOO_SOCKET_IFNAME": host.interface},
            )
        )  # fmt: skip
    printed = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert printed[0][0].startswith("{")
    assert printed[1][0] == ""  # one process of all prints
    assert weights(Run(tmp_path / "run")) == weights(two)
