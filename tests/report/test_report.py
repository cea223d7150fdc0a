"""The page as a file: what is in it, for which runs, and that it is the same each time."""

import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from lenetscope.errors import DataError
from lenetscope.inspection import Study
from lenetscope.report import build, facts, insides, shown, write_report
from lenetscope.runs import Run
from lenetscope.tracking import untracked
from report_runs import HOSTILE, LONG, make_run


@pytest.fixture(scope="module")
def bars_page(bars_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(Study.open(bars_run), tmp_path_factory.mktemp("page") / "new" / "report.html")


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the slow parts refuse, where a test is about others."""

    def refuse(*_: object) -> None:
        raise DataError("left out of a test, <b>for speed</b>.")

    for part in ("favourites", "wanted", "missed", "embedding"):
        monkeypatch.setattr(insides, part, refuse)


def text_of(page: str) -> str:
    """Return what a reader sees, without scripts and styles."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_same_run_gives_the_same_bytes_and_nothing_else_is_left(
    bars_run: Run, bars_page: Path
) -> None:
    before = bars_page.read_bytes()
    write_report(Study.open(bars_run), bars_page)
    assert bars_page.read_bytes() == before
    assert [path.name for path in bars_page.parent.iterdir()] == ["report.html"]
    assert len(before) < 4_000_000


def test_it_says_what_was_trained_how_good_it_is_and_how_to_repeat_it(
    bars_run: Run, bars_page: Path
) -> None:
    scores, told = bars_run.scores(), text_of(bars_page.read_text("utf-8"))
    assert scores is not None
    assert scores["errors"] > 0
    low, high = scores["accuracy_interval"]
    assert f"{100 * scores['accuracy']:.2f} %" in told
    assert f"95 % interval {100 * low:.2f} to {100 * high:.2f} %" in told
    assert f"All {scores['errors']} wrong answers" in told
    for key, value in bars_run.recipe().as_dict().items():
        if key not in ("mean", "std", "compile", "name", "summary"):
            assert re.search(rf"{key.replace('_', ' ')} {re.escape(str(value))}", told), key
    assert "60 grey images of 28×28 pixels to learn from" in told
    assert "lenetscope train --recipe recipe.toml --data-dir" in told
    for name, checksum in bars_run.environment()["data"].items():
        assert f"{name} {checksum}" in told


def test_no_address_leads_out_of_the_page(bars_page: Path) -> None:
    page = bars_page.read_text("utf-8")
    for attribute in ("src", "href", "action", "data", "poster", "srcset"):
        for address in re.findall(rf'\s(?:xlink:)?{attribute}="([^"]*)"', page):
            assert address.startswith(("#", "data:")), address[:80]
    assert "@import" not in page
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    script = re.search(r'<script type="module">(.*?)</script>', page, re.S)
    assert script is not None
    assert f"'sha256-{build._hash(script[1])}'" in policy[1]


def test_ids_are_unique_and_links_find_their_part(bars_page: Path) -> None:
    page = re.sub(r"<(script|style).*?</\1>", "", bars_page.read_text("utf-8"), flags=re.S)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:href="#|url\(#|aria-labelledby="|for=")([^")]+)', page):
        assert reference in ids, reference


def test_names_from_files_stay_text(strange_run: Run, tmp_path: Path) -> None:
    page = write_report(Study.open(strange_run), tmp_path / "page.html").read_text("utf-8")
    assert page.count("<script") == 2  # data and program
    assert "<img src=x" not in page
    assert HOSTILE in text_of(page)
    assert LONG in text_of(page)
    assert "a &amp; b" in page


@pytest.mark.usefixtures("brief")
def test_a_run_without_snapshots_says_so(bars_run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "old"
    shutil.copytree(bars_run.path, copy)
    shutil.rmtree(copy / "snapshots")
    (copy / "updates.jsonl").unlink(missing_ok=True)
    told = text_of(build.render(Study.open(Run.open(copy))))
    assert "It has not kept its weights after each epoch" in told


@pytest.mark.usefixtures("brief")
def test_a_run_without_mistakes_has_no_gallery(idx_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "perfect", idx_folder, dataset="idx", epochs=8, lr=0.02, model="mlp")
    study = Study.open(run)
    assert study.scores.errors == 0
    told = text_of(build.render(study))
    assert "None: every test image was named rightly" in told
    assert "Nothing was taken for anything else" in told
    assert "This network has no convolution" in told


@pytest.mark.usefixtures("brief")
def test_a_network_that_is_no_chain_has_a_report_without_the_drawing_panel(
    idx_folder: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "branched", idx_folder, dataset="idx", model="branched")
    page = build.render(Study.open(run))
    assert "it has branches, or steps between its layers" in text_of(page)
    assert 'id="pad"' not in page
    assert 'id="confusion"' in page
    assert text_of(page).count("Not shown for this run. left out of a test, <b>for speed</b>.") == 4


def test_long_parts_are_tracked_under_their_names(bars_run: Run) -> None:
    labels: list[str] = []

    def tracker(label: str) -> Any:
        labels.append(label)
        return untracked

    build.render(Study.open(bars_run), tracker)
    assert "epochs" in labels
    assert len(labels) == len(set(labels))


@pytest.mark.usefixtures("brief")
def test_images_in_the_page_stay_within_their_budget(
    bars_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(bars_run)
    everything = shown.choose(study)
    assert everything.left_out == 0
    for (true, said), places in everything.cells.items():
        assert 0 < len(places) <= shown.A_CELL
        for place in places:
            index = everything.indices[place]
            assert (study.labels[index], study.predicted[index]) == (true, said)
    monkeypatch.setattr(shown, "EXAMPLES", 3)
    monkeypatch.setattr(shown, "BYTES", 4 * 28 * 28)
    few = shown.choose(study)
    assert len(few.indices) == 4
    wrong = [i for i in few.indices if study.labels[i] != study.predicted[i]]
    assert few.left_out == study.scores.errors - len(wrong)
    assert few.left_out > 0
    assert f"{few.left_out} wrong answers are counted here without their image" in text_of(
        build.render(study)
    )


def test_a_command_is_told_only_if_there_was_one(
    bars_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(bars_run)
    assert facts.command(study) is None  # these tests are no lenetscope train
    facts_there = study.run.environment() | {"command": ["__main__.py", "train", "--run-dir", "a b"]}
    monkeypatch.setattr(Run, "environment", lambda _run: facts_there)
    assert facts.command(study) == "lenetscope train --run-dir 'a b'"


def test_scripts_share_one_scope_without_a_name_twice() -> None:
    script = build._script()
    assert not re.search(r"^(import|export)\b", script, re.M)
    names = re.findall(r"^(?:const|let|class|function) \{? ?(\w+)", script, re.M)
    assert len(names) == len(set(names))
