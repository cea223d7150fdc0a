"""``lenetscope export``; what the files hold is tested with the formats."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lenetscope.export.predictor import open_predictor

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "run")


@pytest.mark.parametrize(("name", "file"), [("onnx", "model.onnx"), ("onnx-int8", "model-int8.onnx")])
def test_the_file_lies_in_the_run_and_works(cli: Cli, own: Path, name: str, file: str) -> None:
    status, out, err = cli("export", own, "--format", name)
    assert (status, err) == (0, "")
    where = own / "export" / name
    assert out.splitlines()[0].startswith(f"{where / file}  (")
    assert f"card      {where / 'README.md'}" in out
    assert "labels that differ" in out
    predictor = open_predictor(where)
    images = np.zeros((2, *predictor.image_shape), dtype=np.uint8)
    images[0, 0, 4:8, 4:24] = images[1, 0, 18:22, 4:24] = 255  # the bars of classes 0 and 2
    assert predictor.probabilities(images).argmax(axis=1).tolist() == [0, 2]


def test_json_and_another_folder(cli: Cli, own: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    status, out, _ = cli("export", own, "--format", "pt2", "--out", target, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["file"] == str(target / "model.pt2")
    assert facts["proof"]["n"] == 23
    assert not (own / "export").exists()
    status, out, err = cli("export", own, "--format", "pt2", "--out", target)
    assert (status, out) == (1, "")
    assert err == (
        f"lenetscope: {target} exists already and is not overwritten: choose another folder, or "
        "--overwrite.\n"
    )
    assert cli("export", own, "--format", "pt2", "--out", target, "--overwrite")[0] == 0


def test_what_cannot_be_exported_gets_one_line(
    cli: Cli, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: object) -> str:
        status, out, err = cli("export", *words)
        assert status in (1, 2)
        assert out == ""
        assert err.startswith("lenetscope: ")
        assert err.count("\n") == 1
        assert not (own / "export").exists()
        return err

    assert "unknown format 'onxx'; did you mean 'onnx'?" in refused(own, "--format", "onxx")
    assert "there is no run" in refused(tmp_path / "nowhere")
    assert "is not a run folder" in refused(tmp_path)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxruntime", None)
        assert "onnxruntime is not installed: pip install 'lenetscope[onnx]'" in refused(own)
        assert "not installed" in refused(own, "--format", "onnx-int8")
    history = (own / "history.jsonl").read_text().splitlines(keepends=True)
    (own / "history.jsonl").write_text(history[0])
    message = refused(own)
    assert "is unfinished, 1 of 3 epochs are done" in message
    assert f"lenetscope train --resume {own}" in message
