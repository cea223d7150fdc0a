"""What the machine offers is found, used while training, recorded in the run, and restored."""

import ctypes
import json
import logging
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Callback, Recipe, Run
from lenetscope.errors import RecipeError
from lenetscope.training import machine
from lenetscope.training.state import TrainState

Make = Callable[..., Architecture]


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ({"bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "avx512_f": True}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_has_it(
    make_arch: Make, monkeypatch, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert machine.precision_for("auto", "cpu") == precision
    assert machine.precision_for("64-true", "cpu") == "64-true"
    assert machine.precision_for("auto", "mps") == "32-true"
    assert make_arch(precision="auto").precision == precision
    assert make_arch().precision == "32-true"


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000", None), ("150000 100000", 2), ("200000 100000", 2), ("5000 100000", 1), ("?", None)],
)
def test_the_limit_of_a_container_is_read(tmp_path: Path, text: str, cpus: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert machine.cpu_quota(file) == cpus
    assert machine.cpu_quota(tmp_path / "none") is None


def test_threads_are_those_asked_for_and_never_more_than_the_container_has(monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(machine, "fastest_threads", lambda most: most)
    for quota, threads in ((2, 2), (None, 8), (16, 8)):
        monkeypatch.setattr(machine, "cpu_quota", lambda quota=quota: quota)
        assert machine.threads_for(3) == 3
        assert machine.threads_for(0) == threads


@pytest.mark.parametrize(
    ("cost", "fastest"),
    [
        ({4: 1, 2: 2, 1: 4}, 4),
        ({4: 9, 2: 3, 1: 4}, 2),
        ({4: 9, 2: 9, 1: 4}, 1),
        ({4: 3.5, 2: 3.5, 1: 4}, 1),
    ],
)
def test_the_fastest_number_of_threads_is_measured_once(monkeypatch, cost, fastest: int) -> None:
    clock, threads, tried = [0.0], [6], []
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: threads.__setitem__(0, count))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock[0])

    def convolve(*_given: object) -> None:
        tried.append(threads[0])
        clock[0] += cost[threads[0]]

    monkeypatch.setattr(machine.functional, "conv2d", convolve)
    machine.fastest_threads.cache_clear()
    assert machine.fastest_threads(4) == machine.fastest_threads(4) == fastest
    assert threads == [6]
    assert len(tried) == 3 * machine.ROUNDS * (machine.CALLS + 1)
    assert machine.fastest_threads(1) == 1
    assert len(tried) == 3 * machine.ROUNDS * (machine.CALLS + 1)  # nothing to choose from
    machine.fastest_threads.cache_clear()


@pytest.fixture
def freed_memory(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What glibc is told, in place of telling it."""
    calls: list[tuple[int, int]] = []
    fake = SimpleNamespace(mallopt=lambda *words: calls.append(words))
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: fake)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    machine.keep_freed_memory.cache_clear()
    yield calls
    machine.keep_freed_memory.cache_clear()


def test_glibc_is_told_once_and_a_users_own_choice_is_left_alone(freed_memory, monkeypatch) -> None:
    assert not machine.keeps_freed_memory()
    assert not freed_memory  # asking tells it nothing
    for _ in range(2):
        assert machine.keep_freed_memory()
    assert machine.keeps_freed_memory()
    assert [option for option, _ in freed_memory] == [-3, -1, -2]
    machine.keep_freed_memory.cache_clear()
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not machine.keep_freed_memory()
    assert not machine.keeps_freed_memory()
    assert len(freed_memory) == 3


def process_wide() -> dict[str, object]:
    """Return what a program may have set for its whole process."""
    loggers = [logging.getLogger(name) for name in (None, "lightning_fabric", "torch", "lenetscope")]
    return {
        "threads": torch.get_num_threads(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "loggers": [(logger.level, list(logger.handlers), logger.disabled) for logger in loggers],
        "warnings": list(warnings.filters),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "MALLOC": {name: v for name, v in os.environ.items() if name.startswith(("MALLOC", "OMP"))},
    }


class Looks(Callback):
    """Looks at the process at each step, and may raise."""

    def __init__(self, error: type[BaseException] | None = None) -> None:
        self.error, self.seen = error, []

    def on_step_end(self, state: TrainState) -> None:
        self.seen.append(process_wide())
        if self.error:
            raise self.error


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, freed_memory) -> dict[str, object]:
    """A process that has made its own choices, of which none is what training chooses."""
    logger, threads = logging.getLogger("lightning_fabric"), torch.get_num_threads()
    level = logger.level
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    logger.setLevel(logging.DEBUG)
    torch.set_num_threads(2)
    yield process_wide()
    logger.setLevel(level)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_nothing_of_the_process_is_changed_but_while_training(
    make_arch: Make, host, freed_memory, error
) -> None:
    looks = Looks(error)
    arch = make_arch(threads=1, precision="bf16-mixed")
    assert process_wide() == host
    try:
        arch.train(1, callbacks=[looks], progress=False)
    except KeyboardInterrupt:
        assert error
    assert looks.seen[0]["threads"] == 1
    assert looks.seen[0]["cudnn"] == (True, False)
    assert process_wide() == host
    arch.evaluate()
    arch.predict(torch.rand(2, 1, 10, 10))
    arch.to("cpu")
    assert process_wide() == host
    assert not freed_memory


def test_nor_by_building_from_a_recipe_or_a_run(host, freed_memory, idx_folder, tmp_path: Path) -> None:
    recipe = Recipe.load("reference", data=idx_folder, device="cpu", threads=1, precision="bf16")
    arch = Architecture.from_recipe(recipe)
    run = arch.start_run(tmp_path / "run")
    Architecture.resume_run(run)
    assert process_wide() == host
    assert not freed_memory
    assert run.environment()["keeps_freed_memory"] is False


def test_the_run_records_what_is_used(tmp_path: Path, idx_folder: Path) -> None:
    recipe = Recipe.load(
        "reference",
        data=idx_folder,
        device="cpu",
        precision="bf16",
        memory_format="contiguous",
        threads=1,
    )
    arch = Architecture.from_recipe(recipe)
    run: Run = arch.start_run(tmp_path / "run")
    facts = json.loads(run.environment_file.read_text())
    keys = ("precision", "memory_format", "threads", "compiled", "device", "processes")
    assert [facts[key] for key in keys] == ["bf16-mixed", "contiguous", 1, False, "cpu", 1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("compile", 1, "'compile' must be true or false, not 1"),
        ("memory_format", "channels-last", "did you mean 'channels_last'"),
        ("threads", -1, "'threads' must be at least 0"),
        ("precision", "bf61", "bf16"),
    ],
)
def test_what_is_not_allowed_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.load("reference", **{field: value})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's, about itself
def test_a_compiled_model_trains_to_the_same_weights_and_stays_itself(loaders) -> None:
    def trained(compile: bool) -> Architecture:
        torch.manual_seed(3)
        model = SmallCNN(dropout=0.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        arch = Architecture(model, nn.CrossEntropyLoss(), optimizer, device="cpu", compile=compile)
        arch.set_loaders(*loaders)
        arch.train(2, progress=False)
        return arch

    eager, compiled = trained(compile=False), trained(compile=True)
    mine, theirs = compiled.model.state_dict(), eager.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-5) for name in mine)
    assert not same_weights(compiled.model, SmallCNN())
    compiled.attach_hooks(["conv1"])
    compiled.predict(next(iter(loaders[1]))[0])
    assert compiled.visualization["conv1"].shape[1:] == (4, 10, 10)
