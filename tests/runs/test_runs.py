"""Run folders: made whole, opened safely."""

import json
from pathlib import Path

import pytest
import torch

from lenetscope import Architecture, Recipe, Run
from lenetscope.datasets import load
from lenetscope.errors import CheckpointError, RecipeError, RunError, StorageError, UsageError
from lenetscope.runs import RunWriter

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


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.load("seed", dataset="idx", epochs=1, batch_size=16, device="cpu")


@pytest.fixture
def run(recipe: Recipe, idx_folder: Path, tmp_path: Path) -> Run:
    arch = Architecture.from_recipe(recipe, data_dir=idx_folder)
    run = arch.start_run(tmp_path / "run", data_dir=idx_folder)
    arch.train(callbacks=[RunWriter(run)], progress=False)
    return run


def test_a_run_holds_what_it_takes_to_repeat_it(run: Run, recipe: Recipe, idx_folder: Path) -> None:
    assert sorted(p.name for p in run.path.iterdir()) == FILES
    assert run.recipe() == recipe
    facts = run.environment()
    assert {"packages", "threads", "device", "precision", "data", "command"} <= set(facts)
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert run.config()["image_shape"] == [1, 28, 28]
    assert run.data_dir() == idx_folder
    assert [row["epoch"] for row in run.history()] == [1]
    assert run.scores() is None


def test_a_run_predicts_without_its_data(run: Run) -> None:
    images = torch.randint(0, 255, (3, 1, 28, 28), dtype=torch.uint8)
    arch = Architecture.from_run(run.path)
    again = Architecture.from_run(str(run.path), device="cpu")
    assert (arch.predict(images) == again.predict(images)).all()
    assert arch.classes == ("0", "1", "2")
    assert arch.splits is None


def test_names_are_never_taken_twice(
    recipe: Recipe, idx_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    splits = load(recipe, idx_folder)
    assert [str(Run.create(recipe, splits, {}).path) for _ in range(3)] == [
        "runs/seed-1", "runs/seed-2", "runs/seed-3",
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    Run.create(recipe, splits, {}, tmp_path / "empty")
    with pytest.raises(RunError, match="exists already and is not overwritten"):
        Run.create(recipe, splits, {}, tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        Run.create(recipe, splits, {}, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_that_cannot_be_written_is_told(
    recipe: Recipe, idx_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=f"cannot make a run folder in {tmp_path}/file: "):
        Run.create(recipe, load(recipe, idx_folder), {}, tmp_path / "file" / "run")


def test_what_is_no_run_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"there is no run .*nope; there are: {run.path}"):
        Run.open(tmp_path / "nope")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="is no run folder"):
        Run.open(tmp_path / "folder")
    config = run.config()
    run.config_file.write_text(json.dumps(config | {"format": 2}))
    with pytest.raises(
        RunError, match="is a run folder of format 2; this version of lenetscope reads format 1"
    ):
        Run.open(run.path)
    for text in ("{", "[]", '{"format": 1}', json.dumps(config | {"image_shape": [1, "28", 28]})):
        run.config_file.write_text(text)
        with pytest.raises(RunError, match=r"config.json"):
            Run.open(run.path)
    run.history_file.write_text("{")
    with pytest.raises(RunError, match=r"history.jsonl"):
        run.history()


def test_weights_that_do_not_fit_are_told(run: Run) -> None:
    content = run.weights_file.read_bytes()
    run.weights_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="is truncated or damaged"):
        run.load_model()
    run.weights_file.write_bytes(content)
    run.recipe().replace(model="mlp").save(run.recipe_file)
    with pytest.raises(
        CheckpointError, match=r"conv1.weight is not in the network.*fc1.weight is \[128, 3136\]"
    ):
        run.load_model()
    run.recipe_file.write_text('name = "x"\nspeed = 3\n')
    with pytest.raises(RecipeError, match="unknown recipe key 'speed'"):
        run.recipe()
    run.weights_file.unlink()
    run.recipe_file.write_text('name = "x"\n')
    with pytest.raises(RunError, match="has no weights yet.*--resume"):
        run.load_model()


def test_a_resumed_run_says_so(run: Run) -> None:
    arch = Architecture.resume_run(run.path)
    assert arch.total_epochs == 1
    assert run.environment()["resumed"][0]["threads"] == torch.get_num_threads()


def test_a_run_folder_is_for_a_recipe(make_arch) -> None:
    with pytest.raises(UsageError, match="a run folder is for a recipe"):
        make_arch().start_run()


def test_other_data_than_the_runs_are_told(run: Run, recipe: Recipe, idx_folder: Path) -> None:
    splits = load(recipe, idx_folder)
    run.require_same_data(splits)
    splits.checksums["t10k-labels-idx1-ubyte"] = "0"
    with pytest.raises(RunError, match="the data are not those"):
        run.require_same_data(splits)
