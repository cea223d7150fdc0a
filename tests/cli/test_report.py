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

    def write_report(inspection: Inspection, path: Path, **_options: object) -> Path:
        assert inspection.layers
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
