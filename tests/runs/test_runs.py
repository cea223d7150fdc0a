"""Run folders: created whole, opened safely."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lenetscope import Architecture, Recipe, Run, RunWriter
from lenetscope.data.splits import load
from lenetscope.errors import CheckpointError, RecipeError, RunError, StorageError

FILES = [
    "checkpoint.pt",
    "config.json",
    "environment.json",
    "history.jsonl",
    "recipe.toml",
    "snapshots",
    "updates.jsonl",
    "weights.safetensors",
]


def test_a_run_holds_what_it_takes_to_repeat_it(run: Run, recipe: Recipe, idx_folder: Path) -> None:
    assert sorted(p.name for p in run.path.iterdir()) == FILES
    assert run.recipe() == recipe
    facts = run.environment()
    assert {"packages", "threads", "device", "precision", "data", "command"} <= set(facts)
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert run.config()["image_shape"] == [1, 28, 28]
    assert run.recipe().data == str(idx_folder)
    assert run.data_dir() is None
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]
    assert run.scores() is None


def test_a_run_predicts_without_its_data(run: Run) -> None:
    images = torch.randint(0, 255, (3, 1, 28, 28), dtype=torch.uint8)
    arch = Architecture.from_run(run.path)
    again = Architecture.from_run(str(run.path), device="cpu")
    assert (arch.predict(images) == again.predict(images)).all()
    assert arch.classes == ("0", "1", "2")
    assert arch.splits is None
    again.load_data(run.data_dir())
    scores = again.evaluate()
    run.save_scores(scores)
    assert run.scores()["n"] == scores.n


def test_a_run_in_float16_of_a_gpu_predicts_on_a_cpu(run: Run, tmp_path: Path) -> None:
    half = Run.open(shutil.copytree(run.path, tmp_path / "half"))
    half.recipe().replace(precision="16-mixed").save(half.recipe_file)
    images = torch.randint(0, 255, (3, 1, 28, 28), dtype=torch.uint8)
    found = Architecture.from_run(half, device="cpu").predict(images)
    assert (found == Architecture.from_run(run, device="cpu").predict(images)).all()


def test_a_network_with_one_layer_under_two_names_is_saved(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tied_network.py").write_text(
        "from torch import nn\n"
        "class Tied(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        middle = nn.Linear(16, 16)\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 16), middle, nn.ReLU(), middle,\n"
        "                         nn.Linear(16, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    arch = Architecture.from_recipe(recipe.replace(model="tied_network:Tied", epochs=1))
    run = arch.start_run(tmp_path / "run")
    arch.train(progress=False, callbacks=[RunWriter(run)])
    images = torch.randint(0, 255, (3, 1, 28, 28), dtype=torch.uint8)
    again = Architecture.from_run(run)
    assert (arch.predict(images) == again.predict(images)).all()
    weights = again.model.state_dict()
    assert torch.equal(weights["2.weight"], weights["4.weight"])


def test_names_are_never_taken_twice(recipe, idx_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    splits = load(recipe)
    assert [str(Run.create(recipe, splits, {}).path) for _ in range(3)] == [
        f"runs/reference-{number}" for number in (1, 2, 3)
    ]
    (tmp_path / "empty").mkdir()
    Run.create(recipe, splits, {}, tmp_path / "empty")
    with pytest.raises(RunError, match="exists already and is not overwritten"):
        Run.create(recipe, splits, {}, tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        Run.create(recipe, splits, {}, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_that_cannot_be_written_is_named(recipe, idx_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=f"cannot make a run folder in {tmp_path}/file: "):
        Run.create(recipe, load(recipe), {}, tmp_path / "file" / "run")


def test_what_is_not_a_run_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"there is no run .*nope; there are: {run.path}"):
        Run.open(tmp_path / "nope")
    with pytest.raises(RunError, match=r"there is no run .*nope\.$"):
        Run.open(tmp_path / "nowhere" / "nope")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="is not a run folder"):
        Run.open(tmp_path / "folder")
    config = run.config()
    for text in (
        "{",
        "[]",
        '{"format": 2}',
        json.dumps(config | {"image_shape": [1, "28", 28]}),
        json.dumps(config | {"image_shape": 28}),
        json.dumps(config | {"classes": ["0"]}),
    ):
        run.config_file.write_text(text)
        with pytest.raises(RunError, match=r"config.json"):
            Run.open(run.path)
    run.history_file.write_text("{")
    with pytest.raises(RunError, match=r"history.jsonl"):
        run.history()


def test_a_run_of_another_format_is_refused_in_one_line(run: Run) -> None:
    run.config_file.write_text('{"format": 1}')  # whatever else it held
    with pytest.raises(RunError) as caught:
        Run.open(run.path)
    assert str(caught.value) == (
        f"{run.path} is a run folder of format 1; this version of lenetscope reads format 2: "
        "train the run again, or open it with the version in its environment.json."
    )


def test_weights_that_do_not_fit_are_named(run: Run) -> None:
    content = run.weights_file.read_bytes()
    run.weights_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="is truncated or damaged"):
        run.load_model()
    run.weights_file.write_bytes(content)
    run.recipe().replace(model="mlp").save(run.recipe_file)
    for epoch, file in ((None, "weights"), (0, "epoch-000")):
        with pytest.raises(CheckpointError) as caught:
            run.load_model(epoch)
        assert f"{file}.safetensors is of another network" in str(caught.value)
        assert "conv1.weight is not in the network" in str(caught.value)
    run.recipe_file.write_text('name = "x"\nspeed = 3\n')
    with pytest.raises(RecipeError, match="unknown recipe key 'speed'"):
        run.recipe()
    run.weights_file.unlink()
    run.recipe_file.write_text('name = "x"\n')
    with pytest.raises(RunError, match="has no weights yet.*--resume"):
        run.load_model()


def test_a_resumed_run_records_it(run: Run) -> None:
    arch = Architecture.resume_run(run.path)
    assert arch.total_epochs == 3
    assert run.environment()["resumed"][0]["threads"] == 1


def test_other_data_than_the_runs_are_refused(run: Run, recipe: Recipe, idx_folder: Path) -> None:
    splits = load(recipe)
    run.require_same_data(splits)
    splits.checksums["t10k-labels-idx1-ubyte"] = "0"
    with pytest.raises(RunError, match="the data are not those"):
        run.require_same_data(splits)
