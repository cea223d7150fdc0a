"""A folder that can be shared: opened again with lenetscope, and used without it."""

import json
import os
import runpy
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, UnidentifiedImageError
from torch import nn

from conftest import EPS
from lenetscope import Architecture, Run
from lenetscope.data.splits import Splits
from lenetscope.errors import CheckpointError, DataError, RunError, UsageError
from lenetscope.export.exportable import Exportable
from lenetscope.export.predictor import open_predictor
from lenetscope.export.write import export
from report_runs import make_run

Make = Callable[..., tuple[Exportable, Splits]]


@pytest.fixture(scope="module")
def arch(idx_folder: Path) -> Architecture:
    arch = Architecture.from_recipe("reference", data=idx_folder, model="lean", device="cpu", threads=1)
    arch.train(1, progress=False)
    return arch


@pytest.fixture(scope="module")
def folder(arch: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "lean"
    arch.save_pretrained(folder)
    return folder


def test_what_was_saved_is_opened_again(arch: Architecture, folder: Path, idx_folder: Path) -> None:
    again = Architecture.from_pretrained(folder, device="cpu")
    images = arch.splits.test.images
    assert np.array_equal(again.predict(images), arch.predict(images))
    assert again.recipe == arch.recipe
    assert again.classes == arch.classes
    again.load_data(idx_folder)
    assert again.evaluate().as_dict() == arch.evaluate().as_dict()
    assert again.model.state_dict().keys() == arch.model.state_dict().keys()


def test_the_card_has_the_accuracy_and_the_recipe(arch: Architecture, folder: Path) -> None:
    card, scores = (folder / "README.md").read_text(), arch.evaluate()
    assert f"{100 * scores.accuracy:.2f} % (95 % interval" in card
    assert f"{scores.errors} error" in card
    assert "1 epoch, on 60 training images" in card
    assert arch.recipe.to_toml().strip() in card
    assert "served as validation" in card
    known = json.loads((folder / "export.json").read_text())
    assert known["proof"]["correct"] == scores.n - scores.errors
    assert known["recipe"] == arch.recipe.as_dict()


@pytest.mark.slow
def test_the_script_needs_no_lenetscope(arch: Architecture, folder: Path, tmp_path: Path) -> None:
    pixels = arch.splits.test.images[0, 0].numpy()
    Image.fromarray(pixels).save(tmp_path / "one.png")
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "lenetscope.py").write_text("raise ImportError('it is not here')")
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['predict.py', {str(tmp_path / 'one.png')!r}]\n"
        f"runpy.run_path({str(folder / 'predict.py')!r}, run_name='__main__')\n"
        "assert not [name for name in sys.modules if name.startswith('lenetscope')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "blocked")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    p = arch.predict_proba(arch.splits.test.images[:1])[0]
    name = arch.classes[int(p.argmax())]
    assert done.stdout == f"{tmp_path / 'one.png'}  {name}  {100 * p.max():.1f} %\n"


def test_the_script_runs_no_program_for_an_eps_file(
    folder: Path, tmp_path: Path, ghostscript: Path
) -> None:
    (tmp_path / "one.png").write_bytes(EPS)
    with pytest.raises(UnidentifiedImageError):
        runpy.run_path(str(folder / "predict.py"))["read"](tmp_path / "one.png")
    assert not ghostscript.exists()


def test_what_has_no_recipe_is_not_saved(make_arch: Callable[[], Architecture], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Architecture.from_recipe, also for a network of your own"):
        make_arch().save_pretrained(tmp_path / "x")
    assert not any(tmp_path.iterdir())


def test_a_damaged_folder_is_refused(make: Make, tmp_path: Path) -> None:
    exportable, splits = make()
    folder = tmp_path / "saved"
    export(exportable, splits, "safetensors", folder)
    config = json.loads((folder / "config.json").read_text())
    with pytest.raises(RunError, match=r"no pretrained network in .*: it has no config\.json"):
        Architecture.from_pretrained(tmp_path)
    for change, match in (
        ({"classes": ["a"]}, "classes must be"),
        ({"recipe": 3}, "recipe must be"),
        ({"image_shape": [1, 16, "x"]}, "image_shape"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(RunError, match=match):
            Architecture.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config | {"classes": ["a", "b"]}))
    with pytest.raises(CheckpointError):
        Architecture.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="truncated or damaged"):
        Architecture.from_pretrained(folder)


def test_a_run_is_opened_as_what_it_is(idx_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", idx_folder, model="mlp")
    arch = Architecture.from_run(run, device="cpu")
    images = arch.load_data(idx_folder).test.images
    predictor = open_predictor(run.path)
    assert (predictor.classes, predictor.image_shape) == (arch.classes, (1, 28, 28))
    found = predictor.probabilities(images.numpy())
    np.testing.assert_allclose(found, arch.predict_proba(images), atol=1e-6)
    exportable = Exportable.of_run(Run.open(run.path))
    assert exportable.facts["epoch"] == 1
    assert exportable.facts["data"] == arch.splits.checksums


def test_images_are_checked_before_they_reach_the_network(make: Make) -> None:
    exportable, splits = make()
    from lenetscope.export.predictor import Predictor

    predictor = Predictor.of_module(exportable.module, exportable.metadata())
    images = splits.test.images.numpy()
    for wrong in (images.astype(np.float32), images[:, :, 1:], images[0], images[:0]):
        with pytest.raises(DataError, match=r"images must be \(N, 1, 16, 16\) of uint8, not"):
            predictor.probabilities(wrong)
    turned = np.asfortranarray(images)[::-1]
    turned.flags.writeable = False
    assert np.array_equal(predictor.probabilities(turned), predictor.probabilities(images)[::-1])


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".txt", ""])
def test_a_file_that_is_none_of_them_is_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"x{suffix}"
    with pytest.raises(RunError, match=r"there is no .*x"):
        open_predictor(file)
    file.write_bytes(zlib.compress(b"something else"))
    with pytest.raises(RunError, match=r"damaged|neither the folder of a run nor an exported file"):
        open_predictor(file)
    with pytest.raises(RunError, match="neither the folder of a run nor an exported file"):
        open_predictor(tmp_path)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 3), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "x.pt2")
    torch.onnx.export(program, f=str(tmp_path / "x.onnx"), verbose=False, external_data=False)
    for name in ("x.pt2", "x.onnx"):
        with pytest.raises(RunError, match="is not a[n]? .* file of lenetscope, or damaged"):
            open_predictor(tmp_path / name)
