"""Drawings that are kept with a label: a data set, read by the network, and learned by a copy of it."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from conftest import bars, write_bars
from lenetscope import Architecture
from lenetscope.data.pixels import Form
from lenetscope.data.sources.folder import read_folder
from lenetscope.errors import DataError, RunError, UsageError
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.inspection import Inspection
from lenetscope.playground import fine_tuning, kept
from lenetscope.playground.answers import ANSWERS
from lenetscope.playground.kept import Drawing, Kept, folder_names
from lenetscope.playground.lab import Lab
from lenetscope.report import facts
from lenetscope.runs import Run
from report_runs import HOSTILE, LONG, make_run
from visitors import Playground, Visitor, serve

GREY, COLOUR = (1, 6, 5), (3, 6, 5)
NAMES = ("0", "1", "2")


def made_up(shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """Return an image of random pixels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def inverted(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, 1, 28, 28) with a dark bar on a bright ground, and labels."""
    images, labels = bars(count, seed)
    return 255 - torch.from_numpy(images).to(torch.uint8)[:, None], torch.from_numpy(labels)


@pytest.fixture(scope="session")
def bars_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that reads bright bars on a dark ground."""
    data = write_bars(tmp_path_factory.mktemp("bars"), 240, 60)
    run = make_run(tmp_path_factory.mktemp("bars-run") / "bars", data, model="mlp", epochs=3)
    assert run.scores()["accuracy"] == 1
    return run


@pytest.fixture
def lab(bars_run: Run, tmp_path: Path) -> Lab:
    return Lab(bars_run, tmp_path)


def ask(lab: Lab, name: str, **fields: Any) -> Any:
    return ANSWERS.get(name).compute(lab, fields)


def keep_inverted(lab: Lab, count: int) -> None:
    images, labels = inverted(count, 7)
    for image, label in zip(images, labels.tolist(), strict=True):
        ask(lab, "keep", label=label, pixels=image.numpy().tobytes())


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_what_is_kept_is_a_data_set_with_the_same_pixels(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    digits = Kept(tmp_path / "digits", NAMES, shape)
    assert digits.all() == []
    images = [made_up(shape, seed) for seed in range(4)]
    numbers = [digits.keep(label, image) for label, image in zip((2, 0, 2, 2), images, strict=True)]
    assert numbers == [1, 1, 2, 3]
    order = [1, 0, 2, 3]  # by class and number
    assert [each[:2] for each in digits.all()] == [(0, 1), (2, 1), (2, 2), (2, 3)]
    assert all(torch.equal(d.pixels, images[i]) for d, i in zip(digits.all(), order, strict=True))
    found = read_folder(tmp_path / "digits", Form())
    assert found.classes == ("0", "2")  # no folder without images
    assert torch.equal(found.train.images[:], torch.stack([images[i] for i in order]))
    assert found.train.labels.tolist() == [0, 1, 1, 1]


def test_the_last_drawing_of_a_class_takes_its_folder_along(tmp_path: Path) -> None:
    digits = Kept(tmp_path / "digits", NAMES, GREY)
    for _ in range(2):
        digits.keep(1, made_up(GREY))
    digits.delete(1, 1)
    assert [each[:2] for each in digits.all()] == [(1, 2)]
    assert digits.keep(1, made_up(GREY, 3), number=1) == 1  # undo: under its old number
    assert digits.keep(1, made_up(GREY, 4), number=1) == 3  # that is taken now
    (tmp_path / "digits" / "1" / "note.txt").write_text("mine")
    for number in (1, 2, 3):
        digits.delete(1, number)
    assert (tmp_path / "digits" / "1" / "note.txt").exists()  # of somebody else
    (tmp_path / "digits" / "1" / "note.txt").unlink()
    digits.keep(1, made_up(GREY))
    digits.delete(1, 1)
    assert list((tmp_path / "digits").iterdir()) == []
    with pytest.raises(UsageError, match="no drawing 1 of the class '1'"):
        digits.delete(1, 1)


def test_a_network_of_another_size_or_of_other_classes_is_told_so(tmp_path: Path) -> None:
    Kept(tmp_path, NAMES, GREY).keep(0, made_up(GREY))
    with pytest.raises(UsageError, match="holds drawings of 6x5 pixels"):
        Kept(tmp_path, NAMES, (1, 7, 5)).keep(0, made_up((1, 7, 5)))
    with pytest.raises(UsageError, match=r"holds drawings of other classes \('0'\)"):
        Kept(tmp_path, ("cat", "dog"), GREY).keep(0, made_up(GREY))
    (in_colour,) = Kept(tmp_path, NAMES, COLOUR).all()  # grey in three channels is no other size
    assert torch.equal(in_colour.pixels, made_up(GREY).expand(3, -1, -1))
    with pytest.raises(UsageError, match="images of 2 channels cannot be kept"):
        Kept(tmp_path, NAMES, (2, 6, 5)).all()


def test_names_that_no_folder_can_have(tmp_path: Path) -> None:
    names = ("a/b", "..", "", "CON", "é", "A", "a", "x.", HOSTILE, LONG * 2, LONG * 2 + "!", "..\\c")
    folders = folder_names(names)
    assert folders[:8] == ["a%2Fb", "%2E%2E", "%", "%43ON", "é", "A %5", "a %6", "x%2E"]
    assert len({name.casefold() for name in folders}) == len(names)
    assert not any(set(name) & set('/\\<>:"|?*') or len(name) > 70 for name in folders)
    digits = Kept(tmp_path / "digits", names, GREY)
    for label in range(len(names)):
        digits.keep(label, made_up(GREY, label))
    assert [each.label for each in digits.all()] == list(range(len(names)))
    assert sorted(read_folder(tmp_path / "digits", Form()).classes) == sorted(folders)
    assert {each.name for each in tmp_path.iterdir()} == {"digits"}


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    digits = Kept(tmp_path, NAMES, GREY)
    for label in (0, 1):
        digits.keep(label, made_up(GREY))
    with pytest.raises(UsageError, match="2 drawings are kept, the limit"):
        digits.keep(2, made_up(GREY))


@pytest.mark.parametrize("moment", ["os.fsync", "pathlib.Path.rename", "pathlib.Path.replace"])
def test_nothing_half_written_is_seen_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    digits = Kept(tmp_path, NAMES, GREY)
    digits.keep(0, made_up(GREY))

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(moment, killed)
        for keep in (lambda: digits.keep(0, made_up(GREY)), lambda: digits.keep(1, made_up(GREY))):
            try:
                keep()
            except Killed:
                continue
        if moment == "pathlib.Path.rename":
            for drawing in digits.all()[1:]:
                digits.delete(*drawing[:2])
            with pytest.raises(Killed):
                digits.delete(0, 1)
    found = read_folder(tmp_path, Form())  # would refuse an empty or damaged class
    assert found.left_out == ()
    assert len(found.train.labels) == len(digits.all())


def test_a_damaged_file_and_an_unreadable_folder(tmp_path: Path) -> None:
    digits = Kept(tmp_path / "digits", NAMES, GREY)
    digits.keep(0, made_up(GREY))
    (tmp_path / "digits" / "0" / "2.png").write_bytes(b"no picture")
    assert [each.number for each in digits.all()] == [1]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot read"):
        Kept(tmp_path / "file", NAMES, GREY).all()


def test_predictions_and_counts_are_those_of_the_network(lab: Lab) -> None:
    images, labels = bars(6, 3)
    labels = labels.copy()
    labels[[4, 5]] = (labels[[4, 5]] + 1) % 3  # two are labelled wrong, so the network "errs"
    for image, label in zip(images, labels.tolist(), strict=True):
        ask(lab, "keep", label=label, pixels=image.astype(np.uint8).tobytes())
    found = ask(lab, "digits")
    assert (found["n"], found["all"]["correct"], found["new"]) == (6, 4, None)
    assert found["all"]["interval"] == list(wilson_interval(4, 6))
    pairs = [(row["label"], row["predicted"]) for row in found["drawings"]]
    assert sum(true != other for true, other in pairs) == 2
    off = {(true, other) for true, other in pairs if true != other}
    assert {(int(c["true"]), int(c["predicted"])) for c in found["all"]["confused"]} == off
    inspection = lab.run().inspection
    for row in found["drawings"]:
        pixels = np.frombuffer(base64.b64decode(row["pixels"]), np.uint8).reshape(1, 1, 28, 28)
        with torch.no_grad():
            logits = inspection.model.eval()(inspection.prepared(torch.from_numpy(pixels.copy())))
        assert row["predicted"] == int(logits.argmax())
        assert row["probability"] == pytest.approx(float(logits.softmax(1).max()), abs=1e-5)
        assert not row["trained"]
    before_training = ask(lab, "digits", epoch=0)
    assert before_training["drawings"] != found["drawings"]


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("keep", {}, "label is missing"),
        ("keep", {"label": 3, "pixels": ""}, "an image of this network is 1x28x28 bytes, not 0"),
        ("keep", {"label": 10, "pixels": "IMAGE"}, "classes are numbered from 0 to 9, not 10"),
        ("keep", {"label": -1, "pixels": "IMAGE"}, "label must be a whole number"),
        ("keep", {"label": "../x", "pixels": "IMAGE"}, "label must be a whole number"),
        ("keep", {"label": True, "pixels": "IMAGE"}, "label must be a whole number"),
        ("keep", {"label": 1, "number": 10**9, "pixels": "IMAGE"}, "number must be"),
        ("keep", {"label": 1, "number": "../../x", "pixels": "IMAGE"}, "number must be"),
        ("keep", {"label": 1, "pixels": "IMAGE", "run": "../x"}, "unknown run"),
        ("keep", {"label": 1, "pixels": "IMAGE", "folder": "/tmp"}, "'folder' is not one of"),
        ("forget", {"label": 1, "number": 1}, "no drawing 1 of the class '1'"),
        ("forget", {"label": 1, "number": 0}, "number must be"),
        ("digits", {"epoch": 5}, "no snapshot of epoch 5"),
        ("fine-tune", {}, "0 drawings are too few to fine-tune on: keep 10 more"),
        ("fine-tune", {"run": None, "epochs": 10**9}, "'epochs' is not one of"),
    ],
)
def test_hostile_fields_are_refused_in_a_line(
    playground: Playground, name: str, body: dict[str, Any], words: str
) -> None:
    image = base64.b64encode(bytes(784)).decode()
    status, answer = playground.ask(name, {k: image if v == "IMAGE" else v for k, v in body.items()})
    assert status == 422
    assert words in answer["error"]
    assert "\n" not in answer["error"]
    assert not (playground.lab.folder / "digits").exists()


def drawings(count: int, classes: int) -> list[Drawing]:
    numbers = [0] * classes
    found = []
    for i in range(count):
        numbers[i % classes] += 1
        found.append(Drawing(i % classes, numbers[i % classes], made_up(GREY, i)))
    return found


def test_a_fifth_is_held_out_and_stays_so(lab: Lab) -> None:
    opened = lab.run()
    with pytest.raises(UsageError, match="keep 3 more"):
        fine_tuning.Task.of(opened, None, drawings(7, 3))
    assert fine_tuning.Task.of(opened, None, drawings(19, 3)).held_out == []
    for classes in (3, 10):
        some, more = drawings(50, classes), drawings(90, classes)
        first, then = (fine_tuning.Task.of(opened, None, each) for each in (some, more))
        assert {d.digest for d in first.held_out} <= {d.digest for d in then.held_out}
        assert len(first.train) + len(first.held_out) == 50
        assert len(first.held_out) in (9, 10)
        of_class = [sum(d.label == k for d in first.held_out) for k in range(classes)]
        assert max(of_class) - min(of_class) <= 1


@pytest.mark.slow
def test_a_copy_learns_the_drawings_and_does_not_forget(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fine_tuning.SETTINGS, "threads", 1)
    keep_inverted(lab, 40)
    before = ask(lab, "digits")["all"]
    assert before["accuracy"] < 0.7
    task = fine_tuning.Task.of(lab.run(), None, lab.kept(lab.run()).all())
    found = fine_tuning.fine_tune(lab, task, lambda **_: None)
    assert found is not None
    rows = {row["what"]: row for row in found["rows"]}
    held_out = len(task.held_out)
    assert held_out in (7, 8, 9)
    assert (rows["heldOut"]["n"], rows["all"]["n"], rows["test"]["n"]) == (held_out, 40, 60)
    assert rows["all"]["before"] == before["correct"]
    assert rows["all"]["after"] >= 36 > rows["all"]["before"]
    assert rows["heldOut"]["after"] > rows["heldOut"]["before"]
    assert (rows["test"]["before"], rows["test"]["after"]) == (60, 60)

    run = Run.open(lab.folder / "runs" / "bars-digits-1")
    assert lab.names == ["bars", "bars-digits-1"]
    inspection = Inspection.open(run)
    assert inspection.scores.errors == 0 == run.scores()["errors"]
    assert run.is_finished()
    assert [row["epoch"] for row in run.history()] == run.snapshot_epochs()[1:] == [1, 2, 3, 4, 5]
    first, parent = run.load_model(0).state_dict(), lab.run("bars").inspection.model.state_dict()
    assert all(torch.equal(first[name], parent[name]) for name in parent)
    tuned = run.fine_tuned()
    assert tuned is not None
    assert (tuned["run"], tuned["epoch"], len(tuned["drawings"])) == ("bars", 3, 40 - held_out)
    assert ("fine-tuned", f"from bars, on {40 - held_out} drawings") in facts.environment(inspection)
    with pytest.raises(RunError, match="was fine-tuned in the playground"):
        Architecture.resume_run(run, epochs=9)

    listed = ask(lab, "digits", run="bars-digits-1")
    assert sum(row["trained"] for row in listed["drawings"]) == 40 - held_out
    assert (listed["new"]["n"], listed["new"]["correct"]) == (held_out, rows["heldOut"]["after"])
    assert listed["all"]["correct"] == rows["all"]["after"]
    # the copy's copy counts on, and holds out nothing that either was trained on
    again = fine_tuning.Task.of(lab.run("bars-digits-1"), None, lab.kept(lab.run()).all())
    assert {d.digest for d in again.held_out}.isdisjoint(tuned["drawings"])
    found = fine_tuning.fine_tune(lab, again, lambda **_: None)
    assert found is not None
    assert found["run"] == "bars-digits-2"


@pytest.mark.slow
def test_test_images_are_not_trained_on(lab: Lab) -> None:
    tests = lab.run().inspection.splits.test
    for image, label in zip(tests.images[:10], tests.labels[:10].tolist(), strict=True):
        ask(lab, "keep", label=label, pixels=image.numpy().tobytes())
    task = fine_tuning.Task.of(lab.run(), None, lab.kept(lab.run()).all())
    with pytest.raises(UsageError, match="every drawing is a test image"):
        fine_tuning.fine_tune(lab, task, lambda **_: None)
    assert not (lab.folder / "runs").exists()


@pytest.mark.slow
def test_it_trains_beside_the_other_requests_one_at_a_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_inverted(lab, 12)
    lab.begin("a training")
    with pytest.raises(UsageError, match="a training goes on"):
        ask(lab, "fine-tune")
    lab.end()
    told: list[dict[str, Any]] = []
    begun, go_on = threading.Event(), threading.Event()

    def publish(kind: str, value: dict[str, Any]) -> None:
        assert kind == "fine-tune"
        told.append(json.loads(json.dumps(value)))
        if value["state"] == "training" and value["done"]:
            begun.set()
            go_on.wait(20)

    monkeypatch.setattr(lab.events, "publish", publish)
    assert ask(lab, "fine-tune") == {"trained": 12, "heldOut": 0}
    assert begun.wait(30)
    assert ask(lab, "digits")["busy"] == "a fine-tuning"
    with pytest.raises(UsageError, match="a fine-tuning goes on, and only one can"):
        ask(lab, "fine-tune")
    lab.close()  # the server ends in the middle
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "fine-tuning":
            thread.join(20)
    assert told[-1]["state"] == "failed"
    assert lab.busy is None
    assert list((lab.folder / "runs").iterdir()) == []  # nothing half trained
    assert lab.names == ["bars"]


def test_a_failure_is_told_and_leaves_no_folder(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_inverted(lab, 12)
    task = fine_tuning.Task.of(lab.run(), None, lab.kept(lab.run()).all())
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(lab.events, "publish", lambda _, value: told.append(value))
    monkeypatch.setattr(Architecture, "train", lambda *_, **__: 1 / 0)
    fine_tuning._work(lab, task)
    assert told[-1]["error"] == "the playground made a mistake, and has logged it."
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert list((lab.folder / "runs").iterdir()) == []


@pytest.fixture(scope="module")
def of_bars(bars_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A playground of the run with bars."""
    yield from serve(tmp_path_factory.mktemp("of-bars"), bars_run)


@pytest.mark.slow
def test_keep_delete_undo_and_fine_tune_in_the_page(
    visit: Callable[..., Visitor], of_bars: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fine_tuning.SETTINGS, "epochs", 1)
    monkeypatch.setitem(fine_tuning.SETTINGS, "threads", 1)
    visitor = visit(place=of_bars)
    page = visitor.page
    view = page.locator("play-digits")
    page.get_by_role("tab", name="My drawings").click()
    page.locator("#clear").click()
    page.keyboard.press("1")
    expect(view).to_contain_text("Nothing is drawn yet.")
    visitor.draw([(0.2, 0.5), (0.8, 0.5)])
    pixels = visitor.until("!page.empty") or visitor.value("[...page.pixels]")
    page.keyboard.press("1")
    expect(view).to_contain_text("Kept as 1. Draw the next one.")
    visitor.until("page.empty")
    file = of_bars.lab.folder / "digits" / "1" / "1.png"
    assert np.array(Image.open(file)).ravel().tolist() == pixels
    expect(view.locator(".kept button")).to_have_count(1)
    visitor.draw([(0.2, 0.2), (0.8, 0.2)])
    view.get_by_role("button", name="2", exact=True).click()
    expect(view.locator(".kept button")).to_have_count(2)
    view.locator(".kept button").first.click()
    view.get_by_role("button", name="Delete").click()
    expect(view.locator(".kept button")).to_have_count(1)
    assert not file.exists()
    view.get_by_role("button", name="Undo").click()
    expect(view.locator(".kept button")).to_have_count(2)
    assert np.array(Image.open(file)).ravel().tolist() == pixels
    view.locator(".kept button").first.click()
    view.get_by_role("button", name="Put on the pad").click()
    visitor.until("!page.empty")
    assert visitor.value("[...page.pixels]") == pixels
    expect(view).to_contain_text("Keep 8 more to begin.")

    keep_inverted(of_bars.lab, 18)
    page.get_by_role("tab", name="Layers").click()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.get_by_role("tab", name="My drawings").click()
    expect(view).to_contain_text("of 20 read right")
    visitor.draw([(0.2, 0.5), (0.8, 0.5)])
    view.get_by_role("button", name="Fine-tune bars").click()
    visitor.until("page.facts.run === 'bars-digits-1'", 40)
    assert not visitor.value("page.empty")  # the drawing stays
    expect(view.locator(".before-after tbody tr")).to_have_count(3)
    expect(view).to_contain_text("bars-digits-1 is bars, trained on 16 drawings")
    view.get_by_role("button", name="Show bars", exact=True).click()
    visitor.until("page.facts.run === 'bars'")
    width = "document.documentElement.scrollWidth <= innerWidth"
    page.set_viewport_size({"width": 320, "height": 700})
    assert visitor.value(width)


@pytest.mark.slow
def test_colour_images_of_classes_with_strange_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fine_tuning.SETTINGS, "epochs", 1)
    lab = Lab(make_run(tmp_path / "run", "strange", model="branched"), tmp_path)
    train = lab.run().inspection.splits.train
    for image, label in zip(train.images[:12], train.labels[:12].tolist(), strict=True):
        ask(lab, "keep", label=label, pixels=image.numpy().tobytes())
    found = ask(lab, "digits")
    assert [row["label"] for row in found["drawings"]] == list(range(12))
    assert base64.b64decode(found["drawings"][0]["pixels"]) == train.images[0].numpy().tobytes()
    images = read_folder(tmp_path / "digits", Form()).train.images[:]
    assert {bytes(each.numpy()) for each in images} == {
        bytes(each.numpy()) for each in train.images[:12]
    }
    task = fine_tuning.Task.of(lab.run(), 0, lab.kept(lab.run()).all())
    result = fine_tuning.fine_tune(lab, task, lambda **_: None)
    assert result is not None
    assert [row["what"] for row in result["rows"]] == ["all", "test"]
    tuned = Run.open(tmp_path / "runs" / "run-digits-1").fine_tuned()
    assert tuned is not None
    assert tuned["epoch"] == 0
