"""The page as a file: what is in it, for which runs, and that it is the same each time."""

import base64
import hashlib
import importlib
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from lenetscope.cli import main
from lenetscope.errors import DataError, StorageError
from lenetscope.inspection import Inspection
from lenetscope.questions import QUESTIONS, Part, Question
from lenetscope.registry import Registry
from lenetscope.report import build, facts, operations, write_report
from lenetscope.runs.folder import Run
from report_runs import HOSTILE, LONG, make_run


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask only quick questions, where a test is about something else."""
    few: Registry[Question] = Registry("question")
    for name in ("confusion", "curves", "forgetting", "health", "snapshots", "filters"):
        few.register(name)(QUESTIONS.get(name))
    monkeypatch.setattr(build, "QUESTIONS", few)


def text_of(page: str) -> str:
    """Return what a reader sees, without scripts and styles."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_same_run_gives_the_same_bytes_and_nothing_else_is_left(
    bars_run: Run, bars_page: Path
) -> None:
    before = bars_page.read_bytes()
    write_report(Inspection.open(bars_run), bars_page)
    assert bars_page.read_bytes() == before
    assert [path.name for path in bars_page.parent.iterdir()] == ["report.html"]
    assert len(before) < 4_000_000


def test_it_says_what_was_trained_how_good_it_is_and_how_to_repeat_it(
    bars_run: Run, bars_page: Path
) -> None:
    scores, text = bars_run.scores(), text_of(bars_page.read_text("utf-8"))
    assert scores is not None
    assert scores["errors"] > 0
    low, high = scores["accuracy_interval"]
    assert f"{100 * scores['accuracy']:.2f} %" in text
    assert f"95 % interval {100 * low:.2f} to {100 * high:.2f} %" in text
    for key, value in bars_run.recipe().as_dict().items():
        if key not in ("mean", "std", "compile", "name", "summary"):
            assert re.search(rf"{key.replace('_', ' ')} {re.escape(str(value))}", text), key
    assert "60 grey training images of 28×28 pixels" in text
    assert "lenetscope train --recipe recipe.toml" in text
    for name, checksum in bars_run.environment()["data"].items():
        assert f"{name} {checksum}" in text


def test_nothing_that_others_measured_is_said_of_this_run(bars_run: Run, bars_page: Path) -> None:
    page = bars_page.read_text("utf-8")
    assert bars_run.recipe().summary
    assert bars_run.recipe().summary not in page
    name = bars_run.path.name
    data = Inspection.open(bars_run).splits.name
    assert f"<title>{name}: lenet on {data}, accuracy" in page
    assert f"<h1>lenet, trained on {data}</h1>" in page


def test_an_unfinished_run_says_how_many_epochs_were_planned(
    bars_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspection, history = Inspection.open(bars_run), Run.history
    assert facts.headlines(inspection)[3][2] == "2 epochs"
    monkeypatch.setattr(Run, "history", lambda run: [row | {"epoch": 1} for row in history(run)[:1]])
    assert facts.headlines(inspection)[3][1:] == ("of training", "1 epoch of 2 planned")


@pytest.mark.usefixtures("brief")
def test_a_run_that_was_extended_says_how(bars_run: Run, tmp_path: Path) -> None:
    copy = Run.open(shutil.copytree(bars_run.path, tmp_path / "longer"))
    assert facts.extensions(Inspection.open(copy)) == []
    copy.add_to_environment({"after_epoch": 2, "epochs": 5})
    inspection = Inspection.open(copy)
    assert facts.extensions(inspection) == [f"lenetscope train --resume {copy.path} --epochs 5"]
    assert facts.headlines(inspection)[3][2] == "2 epochs of 5 planned"
    assert f"--resume {copy.path} --epochs 5" in text_of(build.render(inspection))


def test_a_quick_report_leaves_out_what_is_slow_and_says_so(bars_run: Run, tmp_path: Path) -> None:
    inspection = Inspection.open(bars_run)
    page = write_report(inspection, tmp_path / "quick.html", quick=True).read_text("utf-8")
    slow = [q for q in map(QUESTIONS.get, QUESTIONS.names()) if q.part and not q.costs.quick]
    assert {question.name for question in slow} == {"ablation", "embedding"}
    assert page.count("Left out of this quick report") == len(slow)
    for question in slow:
        assert question.heading in unescape(page)
    assert "train_features" not in vars(inspection)
    assert "the training images that are most similar" not in page


def test_what_cannot_be_written_is_known_before_any_question_is_asked(
    bars_run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    inspection = Inspection.open(bars_run)
    for path in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(StorageError, match="cannot write"):
            write_report(inspection, path, show=lambda *_: pytest.fail("asked"))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_report_that_is_stopped_says_what_was_kept(bars_run: Run, tmp_path: Path) -> None:
    def stop(_done: float, _task: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        write_report(Inspection.open(bars_run), tmp_path / "report.html", show=stop)
    assert stopped.value.__notes__ == [f"{tmp_path}/report.html was not written."]
    assert not any(tmp_path.iterdir())


def test_every_question_with_a_part_is_in_its_chapter_in_order(bars_page: Path) -> None:
    page = bars_page.read_text("utf-8")
    assert "Not shown for this run" not in text_of(page)
    questions = [QUESTIONS.get(name) for name in QUESTIONS.names()]
    for chapter in build.CHAPTERS:
        section = re.search(rf'<section id="{chapter}".*?</section>', page, re.S)
        assert section is not None
        found = [unescape(heading) for heading in re.findall(r"<h3>(.*?)</h3>", section[0])]
        here = sorted((q.place, q.heading) for q in questions if q.part and q.chapter == chapter)
        assert found == [heading for _, heading in here]


@pytest.fixture
def one_more() -> Iterator[str]:
    """A question that somebody adds, and that is gone afterwards."""
    importlib.import_module("lenetscope.cli.inspect")  # its help lists what is registered by then
    name, marked = "one-more", "<p>What <b>one more</b> question found.</p>"

    def part(inspection: Inspection) -> Part:
        return Part(marked, {"images": len(inspection.labels)})

    Question(name, "One more.", lambda *_: (), part, chapter="errors", heading="One & more").register()
    yield name
    del QUESTIONS._entries[name]


def test_a_question_needs_no_more_than_its_registration(
    bars_run: Run, one_more: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", str(bars_run.path), "--what", "list"])
    assert re.search(rf"^{one_more} +One more\.$", capsys.readouterr().out, re.M)
    few: Registry[Question] = Registry("question")
    few.register(one_more)(QUESTIONS.get(one_more))
    monkeypatch.setattr(build, "QUESTIONS", few)  # the others are in the report above
    page = build.render(Inspection.open(bars_run))
    section = page[page.index('<section id="errors"') : page.index('<section id="inside"')]
    assert (
        '<h3>One &amp; more</h3>\n<div class="part">\n<p>What <b>one more</b> question found.</p>'
        in section
    )
    assert '"questions":{"one-more":{"images":23}}' in page


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
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy[1]


def test_ids_are_unique_and_links_find_their_part(bars_page: Path) -> None:
    page = re.sub(r"<(script|style).*?</\1>", "", bars_page.read_text("utf-8"), flags=re.S)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:href="#|url\(#|aria-labelledby="|for=")([^")]+)', page):
        assert reference in ids, reference


def test_names_from_files_stay_text(strange_page: Path) -> None:
    page = strange_page.read_text("utf-8")
    assert page.count("<script") == 2  # data and program
    assert "<img src=x" not in page
    assert HOSTILE in text_of(page)
    assert LONG in text_of(page)
    assert "a &amp; b" in page


@pytest.mark.usefixtures("brief")
def test_a_run_without_snapshots_and_history_says_so(bars_run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "old"
    shutil.copytree(bars_run.path, copy)
    shutil.rmtree(copy / "snapshots")
    for file in ("updates.jsonl", "history.jsonl"):
        (copy / file).unlink()
    text = text_of(build.render(Inspection.open(Run.open(copy))))
    assert "Not shown for this run: the run has no record of its epochs." in text
    assert len(re.findall(r"Not shown for this run: \S+ has kept no snapshots", text)) == 3


@pytest.mark.usefixtures("brief")
def test_a_run_of_one_snapshot_has_no_slider(bars_run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "old"
    shutil.copytree(bars_run.path, copy)
    for epoch in (0, 1):
        Run(copy).snapshot_file(epoch).unlink()
    page = build.render(Inspection.open(Run.open(copy)))
    assert "the run has kept the weights of one epoch only" in text_of(page)
    assert 'id="epoch"' not in page
    assert '"questions":{}' in page


def test_a_run_without_mistakes_and_convolutions(idx_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "perfect", idx_folder, epochs=8, lr=0.02, model="mlp")
    inspection = Inspection.open(run)
    assert inspection.scores.errors == 0
    text = text_of(build.render(inspection))
    assert "0 errors in 23 images" in text
    assert re.search("Not shown for this run: [^.]*no convolution", text)


@pytest.mark.usefixtures("brief")
def test_a_part_that_raises_is_replaced_by_the_reason(
    bars_run: Run, idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(_inspection: Inspection) -> Part:
        raise DataError("left out,\n<b>for speed</b>.")

    question = Question("refused", "", lambda *_: (), part, heading="Refused")
    build.QUESTIONS.register("refused")(question)
    run = make_run(tmp_path / "branched", idx_folder, model="branched")
    with monkeypatch.context() as patched:
        patched.delitem(operations.OPERATIONS, "add")
        page = build.render(Inspection.open(run))
    reason = "a step between the layers (add) uses 'add', which the page cannot run."
    assert f"Not shown for this run: {reason}" in text_of(page)
    assert 'id="pad"' not in page
    assert 'id="confusion"' in page
    assert "Refused Not shown for this run: left out, <b>for speed</b>." in text_of(page)
    monkeypatch.setattr(build, "MOST_WEIGHTS", 10)
    assert "and a page holds 10." in build.render(Inspection.open(bars_run))


@pytest.mark.usefixtures("brief")
def test_the_slider_leaves_epochs_out_where_filters_are_large(
    bars_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lenetscope.questions.snapshots.PAGE_BYTES", 1)
    page = build.render(Inspection.open(bars_run))
    assert "Epochs left out to keep the page small: 1." in text_of(page)
    assert re.search(r'"epochs":\[\{"epoch":0,.*?\{"epoch":2,', page)


@pytest.mark.usefixtures("brief")
def test_one_bar_goes_over_all_questions(bars_run: Run) -> None:
    shown: list[tuple[float, str]] = []
    build.render(Inspection.open(bars_run), show=lambda *done: shown.append(done))
    assert sorted({name for _, name in shown}) == build.QUESTIONS.names()
    fractions = [done for done, _ in shown]
    assert fractions[0] == 0
    assert fractions == sorted(fractions)
    assert 0.5 < fractions[-1] < 1


def test_the_command_is_given_only_if_there_was_one(
    bars_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspection = Inspection.open(bars_run)
    assert facts.command(inspection) is None  # these tests are not lenetscope train
    known = bars_run.environment() | {"command": ["__main__.py", "train", "--run-dir", "a b"]}
    monkeypatch.setattr(Run, "environment", lambda _run: known)
    assert facts.command(inspection) == "lenetscope train --run-dir 'a b'"


def test_scripts_share_one_scope_without_a_name_twice() -> None:
    script = build._script()
    assert not re.search(r"^(import|export)\b", script, re.M)
    names = re.findall(r"^(?:const|let|class|function) \{? ?(\w+)", script, re.M)
    assert len(names) == len(set(names))
