"""Runs whose files can be opened and hold what no training writes: refused in one line."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lenetscope import Architecture, Inspection, Run
from lenetscope.cli import main
from lenetscope.errors import CheckpointError, LenetscopeError, RecipeError, RunError, StorageError
from lenetscope.runs import RunWriter

VALUES: dict[str, Any] = {
    "none": None,
    "text": "1",
    "empty text": "",
    "half a character": "\ud800",
    "dict": {},
    "list": [],
    "nan": math.nan,
    "infinity": math.inf,
    "negative": -5,
    "fraction": 2.5,
    "zero": 0,
    "huge": 2**70,
    "flag": True,
    "nested": [[[]]],
}
TEXTS = {"text", "empty text"}
LOSSES = {"none", "nan", "infinity", "negative", "fraction", "zero"}

FILES: dict[str, dict[tuple[Any, ...], set[str]]] = {
    "config.json": {
        (): set(),
        ("format",): set(),
        ("model",): TEXTS,
        ("image_shape",): set(),
        ("image_shape", 0): set(),
        ("classes",): set(),
        ("classes", 0): {"empty text"},
        ("mean",): {"list"},
        ("std", 0): {"negative", "fraction", "zero"},
    },
    "environment.json": {
        (): {"dict"},
        ("data",): {"dict"},
        ("data", "train-images-idx3-ubyte"): TEXTS,
        ("data_dir",): {"none", *TEXTS},
        ("command",): {"list"},
        ("command", 0): TEXTS,
        ("packages",): {"dict"},
        ("packages", "torch"): TEXTS,
        ("threads",): {"zero"},
        ("resumed",): {"list"},
        ("resumed", 0): {"dict"},
        ("resumed", 0, "epochs"): set(),
        ("lr_changes",): {"list"},
        ("lr_changes", 0): set(),
    },
    "history.jsonl": {
        (1,): set(),
        (1, "epoch"): set(),
        (1, "train_loss"): LOSSES,
        (1, "valid_loss"): LOSSES,
        (1, "valid_accuracy"): {"none", "zero"},
        (1, "lr"): {"none", "negative", "fraction", "zero"},
        (1, "train_seconds"): {"none", "fraction", "zero"},
        (1, "planned"): {"none"},
    },
    "updates.jsonl": {
        (1,): set(),
        (1, "epoch"): set(),
        (1, "steps"): set(),
        (1, "steps", 0): set(),
        (1, "ratios"): {"dict"},
        (1, "ratios", "conv1.weight"): set(),
        (1, "ratios", "conv1.weight", 0): {"none", "fraction", "zero"},
    },
    "scores.json": {
        (): set(),
        ("n",): set(),
        ("errors",): {"zero"},
        ("accuracy",): {"zero"},
        ("loss",): LOSSES - {"none"},
        ("classes",): set(),
        ("classes", 0): TEXTS,
        ("confusion",): set(),
        ("confusion", 0): set(),
        ("confusion", 0, 0): set(),
    },
}
"""Where each file is given each value, and which of them are allowed there."""


@pytest.fixture
def finished(run: Run) -> Run:
    """A run with scores, which was resumed once, and whose learning rate was changed by hand."""
    run.add_to_environment({"epochs": 3})
    run.add_lr_change(1, 0, 0.01)
    arch = Architecture.from_run(run)
    arch.load_data(run.data_dir())
    run.save_scores(arch.evaluate())
    return run


def read(run: Run) -> None:
    """Read all that the JSON files hold."""
    for reader in (run.config, run.environment, run.history, run.updates, run.scores):
        reader()


def replaced(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value in one place; without it, if the value is ``...``."""
    if not place:
        return value
    copied = list(content) if isinstance(content, list) else dict(content)
    if len(place) == 1 and value is ...:
        del copied[place[0]]
    else:
        copied[place[0]] = replaced(copied[place[0]], place[1:], value)
    return copied


def write(path: Path, content: Any) -> None:
    lines = content if path.suffix == ".jsonl" else [content]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("name", FILES)
def test_each_field_of_each_file_is_checked(finished: Run, name: str) -> None:
    path = finished.path / name
    lines = [json.loads(line) for line in path.read_text().splitlines()] if "jsonl" in name else None
    content = lines or json.loads(path.read_text())
    read(finished)
    for place, allowed in FILES[name].items():
        absent = {"absent": ...} if place and isinstance(place[-1], str) else {}
        for kind, value in (VALUES | absent).items():
            write(path, replaced(content, place, value))
            optional = name == "environment.json" or place[-1:] == ("planned",)
            if kind in allowed or (kind == "absent" and (optional or len(place) > 2)):
                read(finished)
                continue
            with pytest.raises(RunError) as caught:
                read(finished)
            assert name in str(caught.value) or "format" in str(caught.value), (place, kind)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 5000, "\ufeff{}", '{"format": 2}\n{}'])
def test_what_is_not_json_is_named(finished: Run, name: str, text: str) -> None:
    if text:
        (finished.path / name).write_text(text)
    else:
        (finished.path / name).write_bytes(b"\xff")
    with pytest.raises(RunError, match=name):
        read(finished)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("evaluate RUN", "config.json"),
        ("evaluate RUN", "environment.json"),
        ("evaluate RUN", "history.jsonl"),
        ("inspect RUN --what confusion", "scores.json"),
        ("inspect RUN --what curves", "history.jsonl"),
        ("predict RUN picture.png", "config.json"),
        ("report RUN", "config.json"),
        ("train --resume RUN --epochs 4", "updates.jsonl"),
        ("train --resume RUN --epochs 4", "environment.json"),
    ],
)
def test_a_command_says_in_one_line_which_file_is_damaged(
    finished: Run, capsys: pytest.CaptureFixture[str], command: str, file: str
) -> None:
    (finished.path / file).write_text('{"epoch": [], "data": [], "n": []}')
    words = [word.replace("RUN", str(finished.path)) for word in command.split()]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert file in last or "format" in last


def test_weights_of_another_kind_are_named(run: Run) -> None:
    weights = load_file(run.weights_file)
    for change, message in (
        ({"fc2.bias": torch.zeros(4)}, "fc2.bias must be a tensor [3] of float32, not a tensor [4]"),
        ({"fc2.bias": torch.zeros(3, dtype=torch.int32)}, "not a tensor [3] of int32"),
        ({"fc2.bias": torch.zeros(3).half()}, "not a tensor [3] of float16"),
        ({"more": torch.zeros(1)}, "more is not in the network"),
        ({"fc2.bias": torch.tensor([0.0, math.nan, 0.0])}, "infinity or NaN in fc2.bias"),
        ({f"w{n}": torch.zeros(1) for n in range(99)}, "and 89 more"),
    ):
        for file, epoch in ((run.weights_file, None), (run.snapshot_file(2), 2)):
            save_file(weights | change, file)
            with pytest.raises(CheckpointError) as caught:
                run.load_model(epoch)
            assert message in str(caught.value)
    save_file({"w" * 10_000: torch.zeros(1)}, run.weights_file)
    with pytest.raises(CheckpointError) as caught:
        run.load_model()
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("dtype", ["F4", "F8_E8M0", "X", 5])
def test_weights_in_an_unknown_format_are_named(run: Run, dtype: object) -> None:
    header = json.dumps({"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, 2]}}).encode()
    run.weights_file.write_bytes(len(header).to_bytes(8, "little") + header + b"12")
    with pytest.raises(LenetscopeError):
        run.load_model()


def test_a_huge_network_is_refused_before_it_takes_memory(run: Run) -> None:
    config = run.config()
    for shape in ([1, 2**16, 2**16], [2**16, 28, 28]):
        write(run.config_file, config | {"image_shape": shape, "mean": [0.5] * 2, "std": [0.5] * 2})
        with pytest.raises((CheckpointError, RunError)):
            run.load_model()


def test_a_recipe_of_other_channels_is_named(run: Run) -> None:
    run.recipe().replace(mean=[0.5] * 3, std=[0.5] * 3).save(run.recipe_file)
    with pytest.raises(RunError, match=r"recipe.toml is damaged: 'mean' and 'std' must have 1 number"):
        Inspection.open(run)
    run.recipe_file.write_text("epochs = " + "[" * 100_000)
    with pytest.raises(RecipeError, match="is not valid TOML"):
        Inspection.open(run)
    run.recipe_file.write_text("epochs = 'many'")
    with pytest.raises(RecipeError, match="'epochs' must be a whole number, not 'many'"):
        Inspection.open(run)


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_what_the_system_refuses_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="cannot open .*: File name too long"):
        Run.open("a" * 300)
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        with pytest.raises(RunError, match="cannot open .*: Permission denied"):
            Run.open(run.path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        with pytest.raises(RunError, match="cannot read .*config.json: Permission denied"):
            Run.open(run.path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(CheckpointError, match="cannot read .*checkpoint.pt: Permission denied"):
            Architecture.resume_run(run)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        for read_weights in (run.load_model, run.weights_epoch):
            with pytest.raises(RunError, match="cannot read .*weights.safetensors: Permission denied"):
                read_weights()
    leftover = run.snapshots / ".epoch-001.safetensors.0123.tmp"
    leftover.write_text("half")
    arch = Architecture.resume_run(run, epochs=4)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match=f"cannot remove {leftover}: Permission denied"):
        arch.train(1, callbacks=[RunWriter(run)], progress=False)


def test_the_newest_run_is_the_one_whose_files_changed_last(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError) as caught:
        Run.newest()
    assert str(caught.value) == "there is no run in runs/; train one: lenetscope train"
    for name in ("b", "c", "a"):
        Path("runs", name, "snapshots").mkdir(parents=True)
        for file in ("config.json", "recipe.toml", "history.jsonl"):
            Path("runs", name, file).write_bytes((run.path / file).read_bytes())
            os.utime(Path("runs", name, file), (0, 1000))
    Path("runs", "notes").mkdir()
    os.utime("runs/c/history.jsonl", (0, 2000))
    for name in ("a", "b"):
        os.utime(f"runs/{name}/snapshots", (0, 1500))
    assert Run.newest().path == Path("runs", "c")
    assert Run.newest(tmp_path).path == run.path
    Path("runs", "c", "config.json").write_text("{}")
    os.utime("runs/c/config.json", (0, 3000))
    with pytest.raises(RunError, match="runs/c is a run folder of format None"):
        Run.newest()


def test_a_network_of_ones_own_that_is_not_here_is_named(run: Run) -> None:
    recipe = run.recipe_file.read_text("utf-8")
    run.recipe_file.write_text(recipe.replace('model = "lenet"', 'model = "gone.away:Net"'), "utf-8")
    message = (
        "was trained with the model 'gone.away:Net', which is not here; 'gone.away:Net': there is no "
        "module 'gone.away' in .* or among the installed ones. Go where it is, or install it."
    )
    for use in (run.load_model, lambda: Architecture.resume_run(run, epochs=9)):
        with pytest.raises(RunError, match=message):
            use()
