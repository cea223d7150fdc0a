"""An inspection returns what the run's own network computes from the run's own data."""

import itertools
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from conftest import write_bars
from lenetscope.architecture import Architecture
from lenetscope.errors import ImageError, LayerError, RunError, StorageError, UsageError
from lenetscope.inspection import Inspection
from lenetscope.plots.gallery import gallery
from lenetscope.plots.style import new_figure
from lenetscope.questions import Question
from lenetscope.registry import Registry
from lenetscope.runs.writer import RunWriter
from lenetscope.selection import EXAMPLES, IMAGES_PER_CELL, Selection, examples_of, images_to_embed


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """A run of the small data, two epochs."""
    folder = tmp_path_factory.mktemp("inspection")
    data = write_bars(folder, 40, 21)
    arch = Architecture.from_recipe(
        "reference",
        data=data,
        epochs=2,
        lr=0.05,
        batch_size=8,
        label_smoothing=0.1,
        device="cpu",
    )
    run = arch.start_run(folder / "run")
    arch.train(callbacks=[RunWriter(run)], progress=False)
    run.save_scores(arch.evaluate())
    return Inspection.open(run)


def test_logits_predictions_and_scores_are_those_of_the_network(inspection: Inspection) -> None:
    model, images = inspection.model, inspection.images
    model.train()
    logits = inspection.logits
    assert model.training
    model.eval()
    with torch.no_grad():
        wanted = model(images)
    assert torch.allclose(logits, wanted, atol=1e-5)
    assert torch.equal(inspection.predicted, wanted.argmax(dim=1))
    assert torch.allclose(inspection.probabilities, wanted.softmax(dim=1), atol=1e-5)
    errors = int((inspection.predicted != inspection.labels).sum())
    assert errors == inspection.scores.errors == inspection.run.scores()["errors"]
    assert len(inspection.mistakes) == errors
    assert inspection.scores.loss == pytest.approx(inspection.arch.evaluate().loss, rel=1e-5)


def test_features_are_the_inputs_of_the_last_layer(inspection: Inspection) -> None:
    assert inspection.last_layer == "fc2"
    assert inspection.penultimate == "dropout"
    assert inspection.last_maps == "relu2"
    assert inspection.convolutions == ["conv1", "conv2"]
    assert inspection.features.shape == (21, 128)
    assert inspection.train_features.shape == (40, 128)
    with torch.no_grad():
        assert torch.allclose(inspection.model.fc2(inspection.features), inspection.logits, atol=1e-5)


def test_networks_without_maps_or_without_parameters(inspection: Inspection, monkeypatch) -> None:
    class Returns(Inspection):
        """The same run with another network."""

        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))

    def with_model(model: nn.Module) -> Inspection:
        monkeypatch.setattr(Returns, "model", model)
        return Returns(inspection.run, inspection.arch)

    flat = with_model(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)))
    assert (flat.convolutions, flat.last_maps, flat.penultimate) == ([], None, "0")
    twice = with_model(nn.Sequential(relu := nn.ReLU(), relu, nn.Flatten(), nn.Linear(784, 3)))
    assert twice.last_maps is None  # the only maps are those of a layer that runs twice
    with pytest.raises(LayerError, match="single layer"):
        with_model(nn.Sequential(nn.Linear(28, 3))).penultimate  # noqa: B018
    with pytest.raises(LayerError, match="no layer"):
        with_model(nn.Sequential(nn.Flatten())).last_layer  # noqa: B018


def test_snapshots_are_the_network_after_each_epoch(inspection: Inspection, tmp_path: Path) -> None:
    assert inspection.snapshot_epochs == [0, 1, 2]
    last, first = inspection.model_at(2), inspection.model_at(0)
    assert torch.equal(last.conv1.weight, inspection.model.conv1.weight)
    assert not torch.equal(first.conv1.weight, inspection.model.conv1.weight)
    shutil.copytree(inspection.run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "snapshots")
    with pytest.raises(RunError, match="no snapshots"):
        Inspection.open(tmp_path / "run").snapshot_epochs  # noqa: B018


def test_changed_data_and_missing_runs_are_refused(inspection: Inspection, tmp_path: Path) -> None:
    other = write_bars(tmp_path, 30, 12)
    with pytest.raises(RunError, match="data"):
        Inspection.open(inspection.run, data_dir=other).splits  # noqa: B018
    with pytest.raises(RunError, match="there is no run"):
        Inspection.open(tmp_path / "none")
    shutil.copytree(inspection.run.path, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="no weights"):
        Inspection.open(tmp_path / "unfinished")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object, Selection]]:
    """The calls of four questions, which stand in for those of the package."""
    calls: list[tuple[str, object, Selection]] = []
    questions: Registry[Question] = Registry("question")
    for default, of_layers in itertools.product((True, False), repeat=2):
        name = f"{'quick' if default else 'slow'}-{'layers' if of_layers else 'run'}"

        def figures(inspection: Inspection, selection: Selection, name: str = name):
            calls.append((name, inspection.progress, selection))
            with new_figure({}, (1, 1)) as figure:
                yield f"{name}-1", figure
            yield f"{name}-2", figure

        summary = f"What {name} asks & finds."
        question = Question(name, summary, figures, default=default, of_layers=of_layers)
        questions.register(name)(question)
    monkeypatch.setattr("lenetscope.inspection.QUESTIONS", questions)
    return calls


def test_drawing_asks_each_question_once_and_writes_its_figures(
    inspection: Inspection, asked: list, tmp_path: Path
) -> None:
    shown: list[tuple[float, str]] = []
    selection = Selection.of(inspection, layers=["conv1"])
    paths = inspection.draw(
        ["slow-run", "slow-run"], selection, out=tmp_path, format="svg",
        show=lambda *done: shown.append(done),
    )  # fmt: skip
    assert paths == [tmp_path / "slow-run-1.svg", tmp_path / "slow-run-2.svg"]
    assert all(path.read_bytes().startswith(b"<?xml") for path in paths)
    assert shown == [(0, "slow-run")]
    assert [(name, chosen) for name, _, chosen in asked] == [("slow-run", selection)]
    inspection.draw("slow-run")
    assert (inspection.run.path / "figures" / "slow-run-1.png").exists()
    default_selection = asked[1][2]
    assert torch.equal(default_selection.pixels, Selection.of(inspection).pixels)


@pytest.mark.parametrize(
    ("what", "layers", "expected"),
    [
        (None, None, ["quick-layers", "quick-run"]),
        (None, ["conv1"], ["quick-layers"]),
        ("all", ["conv1"], ["quick-layers", "quick-run", "slow-layers", "slow-run"]),
        (["slow-run", "quick-run"], ["conv1"], ["slow-run", "quick-run"]),
    ],
)
def test_what_is_asked_depends_on_the_selected_layers_unless_it_is_named(
    inspection: Inspection, asked: list, tmp_path: Path, what: object, layers: object, expected: object
) -> None:
    inspection.draw(what, Selection.of(inspection, layers=layers), out=tmp_path)
    assert [name for name, _, _ in asked] == expected


def test_the_pictures_of_several_questions_have_a_page(
    inspection: Inspection, asked: list, tmp_path: Path
) -> None:
    out = tmp_path / "a <b>"
    *pictures, index = inspection.draw(["slow-run", "quick-run"], out=out)
    assert index == out / "index.html"
    page = index.read_text("utf-8")
    assert [unquote(each) for each in re.findall(r'src="\./([^"]*)"', page)] == [
        path.name for path in pictures
    ]
    assert f"<title>run: lenet on {inspection.splits.name}</title>" in page
    assert "What slow-run asks &amp; finds." in page
    assert "http" not in page
    assert "<script" not in page
    assert index not in inspection.draw("slow-run", out=out)


def test_files_whose_names_hold_a_colon_or_a_percent_sign_are_found_by_the_page() -> None:
    page = gallery("<t>", "&", {"q": [Path("x/relu:1 50%.png")], "none": []}, {"q": "Q", "none": "N"})
    assert page.count('="./relu%3A1%2050%25.png"') == 2
    assert "<h1>&lt;t&gt;</h1>" in page
    assert "Nothing to draw for this run." in page


def test_drawing_that_is_stopped_says_what_was_kept(
    inspection: Inspection, asked: list, tmp_path: Path
) -> None:
    def stop(_done: float, task: str) -> None:
        if task == "quick-run":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        inspection.draw(["slow-run", "quick-run"], out=tmp_path, show=stop)
    assert stopped.value.__notes__ == [f"2 pictures were written to {tmp_path}."]


def test_a_folder_that_cannot_be_written_is_refused_before_a_question_is_asked(
    inspection: Inspection, asked: list, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        inspection.draw("slow-run", out=tmp_path / "file")
    assert not asked


def test_a_sample_is_spread_evenly_over_the_test_images(inspection: Inspection) -> None:
    assert inspection.sample(3).tolist() == [0, 10, 20]
    assert inspection.sample(100).tolist() == list(range(21))
    assert len(set(inspection.sample(20).tolist())) == 20


def test_a_quick_inspection_takes_no_pass_over_the_training_images(
    inspection: Inspection,
) -> None:
    fresh = Inspection.open(inspection.run)
    fresh.quick = True
    assert [row.index for row in fresh.mistakes] == [row.index for row in inspection.mistakes]
    assert all(row.nearest is None for row in fresh.mistakes)
    assert len(fresh.sample(20)) == 10
    assert "train_features" not in vars(fresh)


def test_logits_by_epoch_are_those_of_the_snapshots(inspection: Inspection) -> None:
    found = inspection.logits_by_epoch
    assert list(found) == [0, 1, 2]
    rows = [*inspection.followed.tolist(), *inspection.examples]
    assert torch.allclose(found[2], inspection.logits[rows], atol=1e-5)


def test_nothing_is_drawn_if_a_question_is_unknown(
    inspection: Inspection, asked: list, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="unknown question 'slow-rum'; did you mean 'slow-run'"):
        inspection.draw(["quick-run", "slow-rum"], out=tmp_path)
    assert not asked
    assert not any(tmp_path.iterdir())


def test_test_images_pictures_and_layers_are_selected(inspection: Inspection, tmp_path: Path) -> None:
    default = Selection.of(inspection)
    assert torch.equal(default.pixels, inspection.pixels[:4])
    assert default.labels == [str(int(label)) for label in inspection.labels[:4]]
    assert default.layers is None
    Image.fromarray(np.full((56, 14, 3), 200, dtype=np.uint8)).save(tmp_path / "grey.png")
    chosen = Selection.of(inspection, [tmp_path / "grey.png"], ["conv*", "fc1"])
    assert chosen.pixels.shape == (1, 1, 28, 28)
    assert (chosen.pixels == 200).all()
    assert chosen.labels is None
    assert chosen.layers == ["conv1", "conv2", "fc1"]
    assert inspection.selected_convolutions(chosen) == ["conv1", "conv2"]
    assert inspection.selected_convolutions(default) == ["conv1", "conv2"]
    with pytest.raises(LayerError, match="convolution"):
        inspection.selected_convolutions(Selection.of(inspection, layers=["fc1"]))
    with pytest.raises(LayerError, match="'conv2'"):
        Selection.of(inspection, layers=["conv3"])
    with pytest.raises(ImageError, match=r"none\.png"):
        Selection.of(inspection, [tmp_path / "none.png"])


def test_examples_are_the_first_of_each_class_and_correct_if_one_is() -> None:
    labels, predicted = torch.tensor([1, 1, 0, 2, 0]), torch.tensor([0, 1, 1, 0, 1])
    assert examples_of(labels, predicted, 4) == [2, 1, 3]  # class 3 has no image
    many = torch.arange(30)
    assert examples_of(many, many, 30) == list(range(EXAMPLES))


def test_embedded_images_are_examples_then_mistakes_then_some_of_each_class() -> None:
    labels, predicted = torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1])
    found = images_to_embed(labels, predicted, (1, 28, 28), [3])
    assert found.indices == (3, 1, 0, 2, 4)
    assert found.cells == {(1, 1): (0, 4), (1, 0): (1,), (0, 0): (2, 3)}
    assert found.examples == (0,)
    assert found.left_out == 0


def test_embedded_images_are_bounded_by_bytes_and_per_cell() -> None:
    labels, predicted = torch.zeros(40, dtype=torch.int64), torch.ones(40, dtype=torch.int64)
    found = images_to_embed(labels, predicted, (1, 28, 28), [0])
    assert found.indices == tuple(range(IMAGES_PER_CELL))
    assert found.left_out == 40 - IMAGES_PER_CELL
    classes = torch.arange(40)
    large = images_to_embed(classes, classes.roll(1), (3, 400, 400), [0])  # a megabyte and more each
    assert len(large.indices) == EXAMPLES
    assert large.left_out == 40 - EXAMPLES


def test_it_shows_itself_and_says_what_it_cannot_draw(inspection: Inspection, tmp_path: Path) -> None:
    assert f"run         {inspection.run.path}" in repr(inspection)
    assert ">1x28x28<" in inspection._repr_html_()
    assert inspection.draw("confusion", out=str(tmp_path)) == [tmp_path / "confusion.png"]
    for wrong, words in (
        ({"what": 5}, "what must be names of questions, or 'all', not 5"),
        ({"what": "confusion", "format": "gif"}, "format 'gif' is not one of 'png' or 'svg'"),
        ({"what": "confusion", "out": 5}, "a path must be text"),
    ):
        with pytest.raises(UsageError, match=words):
            inspection.draw(**wrong)
    with pytest.raises(UsageError, match="pictures must be a list of files, not 'x.png'"):
        Selection.of(inspection, "x.png")
