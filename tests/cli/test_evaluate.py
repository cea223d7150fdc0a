"""``lenetscope evaluate``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Cli = Callable[..., tuple[int, str, str]]


def test_the_scores_as_text_and_as_json(cli: Cli, run: Path) -> None:
    status, out, _ = cli("evaluate", run, "--json")
    result = json.loads(out)
    assert status == 0
    assert {"n", "errors", "accuracy", "accuracy_interval", "loss", "confusion", "per_class"} <= set(
        result
    )
    assert result["n"] == 23 == np.sum(result["confusion"])
    assert json.loads((run / "scores.json").read_text())["loss"] == pytest.approx(result["loss"])
    status, out, _ = cli("evaluate", run)
    assert status == 0
    lines = out.splitlines()
    assert lines[:2] == ["images    23", f"errors    {result['errors']}"]
    assert lines[5].split() == ["class", "n", "precision", "recall", "F1"]
    assert lines[10].split() == ["true", "\\", "predicted", "0", "1", "2"]
    confusion = [line.replace(".", "0").split() for line in lines[11:]]
    assert confusion == [[str(k), *map(str, row)] for k, row in enumerate(result["confusion"])]


def test_an_unfinished_run_is_evaluated_with_a_note(cli: Cli, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    rows = (copy / "history.jsonl").read_text().splitlines(keepends=True)
    (copy / "history.jsonl").write_text("".join(rows[:2]))
    shutil.copy(copy / "snapshots" / "epoch-002.safetensors", copy / "weights.safetensors")
    status, out, err = cli("evaluate", copy)
    assert status == 0
    assert "images    23" in out
    assert "is unfinished: these are its weights after epoch 2 of 3" in err
    (copy / "weights.safetensors").unlink()
    status, _, err = cli("evaluate", copy)
    assert status == 1
    assert f"lenetscope train --resume {copy}" in err


def test_other_data_are_refused(cli: Cli, run: Path, idx_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(idx_folder, copy)
    labels = copy / "t10k-labels-idx1-ubyte"
    content = labels.read_bytes()
    labels.write_bytes(content[:-1] + bytes([(content[-1] + 1) % 3]))
    status, out, err = cli("evaluate", run, "--data-dir", copy)
    assert (status, out) == (1, "")
    assert str(run) in err
