"""``lenetscope report``; what the page holds is tested with the report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lenetscope.inspection import Inspection

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a page of 52,000 bytes in place of the report, which takes seconds."""

    def write_report(inspection: Inspection, path: Path, **options: object) -> Path:
        assert inspection.layers
        (path.parent / "quick").write_text(str(options["quick"]))
        path.write_bytes(bytes(52_000))
        return path

    monkeypatch.setattr("lenetscope.report.build.write_report", write_report)


def test_the_page_is_in_the_run_or_where_it_was_asked_for(cli: Cli, run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert cli("report", run, "--out", page) == (0, f"{page}  (0.1 MB)\n", "")
    assert page.stat().st_size == 52_000
    status, out, _ = cli("report", run, "--json")
    assert status == 0
    assert json.loads(out) == {"run": str(run), "report": f"{run}/report.html", "bytes": 52_000}
    assert (run / "report.html").exists()


def test_a_quick_report_can_be_asked_for_and_opened_in_the_browser(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    page, monkeypatched = tmp_path / "a b.html", "lenetscope.cli.report.webbrowser.open"
    monkeypatch.setattr(monkeypatched, lambda address: not opened.append(address))
    assert cli("report", run, "--out", page, "--quick", "--open") == (0, f"{page}  (0.1 MB)\n", "")
    assert (tmp_path / "quick").read_text() == "True"
    assert opened == [page.as_uri()]
    monkeypatch.setattr(monkeypatched, lambda _address: False)
    status, _, err = cli("report", run, "--out", page, "--open")
    assert (status, err) == (0, "No browser could be opened: open the page yourself.\n")
    assert (tmp_path / "quick").read_text() == "False"
