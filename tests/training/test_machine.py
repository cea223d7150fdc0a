"""What the machine offers is found, taken, stated in the run, and can be overridden."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Recipe
from lenetscope.errors import RecipeError
from lenetscope.training import machine


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
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert machine.precision_for("auto", "cpu") == precision
    assert machine.precision_for("64-true", "cpu") == "64-true"
    assert machine.precision_for("auto", "mps") == "32-true"
    assert Architecture.from_recipe("fast", device="cpu").precision == precision
    assert Architecture.from_recipe("seed", device="cpu").precision == "32-true"


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000", None), ("150000 100000", 2), ("200000 100000", 2), ("5000 100000", 1), ("?", None)],
)
def test_the_limit_of_a_container_is_read(tmp_path: Path, text: str, cpus: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert machine.cpu_quota(file) == cpus
    assert machine.cpu_quota(tmp_path / "none") is None


def test_threads_are_those_asked_for_and_never_more_than_the_container_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    try:
        assert machine.use_threads(3) == torch.get_num_threads() == 3
        monkeypatch.setattr(machine, "cpu_quota", lambda: 2)
        assert machine.use_threads(0) == torch.get_num_threads() == 2
        monkeypatch.setattr(machine, "cpu_quota", lambda: None)
        assert machine.use_threads(0) == 2
    finally:
        torch.set_num_threads(before)


def test_a_users_own_choice_of_allocation_is_left_alone() -> None:
    words = "from lenetscope.training.machine import keep_freed_memory as k; print(k())"
    plain = {name: v for name, v in os.environ.items() if not name.startswith("MALLOC_")}
    for extra, kept in (({}, platform.libc_ver()[0] == "glibc"), ({"MALLOC_ARENA_MAX": "2"}, False)):
        found = subprocess.run(
            [sys.executable, "-c", words], env=plain | extra, capture_output=True, check=True
        )
        assert found.stdout.decode().strip() == str(kept)


def test_the_run_says_what_was_used(tmp_path: Path, idx_folder: Path) -> None:
    recipe = Recipe.load(
        "seed", dataset="idx", device="cpu", precision="bf16", memory_format="contiguous", threads=1
    )
    before = torch.get_num_threads()
    try:
        arch = Architecture.from_recipe(recipe, data_dir=idx_folder)
        run = arch.start_run(tmp_path / "run", data_dir=idx_folder)
    finally:
        torch.set_num_threads(before)
    said = json.loads(run.environment_file.read_text())
    assert {
        key: said[key] for key in ("precision", "memory_format", "threads", "compiled", "device")
    } == {
        "precision": "bf16-mixed",
        "memory_format": "contiguous",
        "threads": 1,
        "compiled": False,
        "device": "cpu",
    }
    assert isinstance(said["keeps_freed_memory"], bool)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("compile", 1, "'compile' must be true or false, not 1"),
        ("compile", "yes", "'compile' must be true or false, not 'yes'"),
        ("memory_format", "channels-last", "did you mean 'channels_last'"),
        ("threads", -1, "'threads' must be at least 0"),
        ("precision", "bf61", "bf16"),
    ],
)
def test_what_is_not_allowed_is_told(field: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.load("seed", **{field: value})


def test_a_switch_survives_being_written_down(tmp_path: Path) -> None:
    recipe = Recipe.load("seed", compile=True)
    recipe.save(tmp_path / "r.toml")
    assert Recipe.load(tmp_path / "r.toml", name="seed", summary=recipe.summary) == recipe


@pytest.mark.filterwarnings("ignore")  # of the compiler's, about itself
def test_a_compiled_model_trains_to_the_same_weights_and_stays_itself(loaders) -> None:
    def trained(compile: bool) -> Architecture:
        torch.manual_seed(3)
        model = SmallCNN(dropout=0.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        arch = Architecture(
            model, torch.nn.CrossEntropyLoss(), optimizer, device="cpu", compile=compile
        )
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
