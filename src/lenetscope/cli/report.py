"""``lenetscope report``: one page about a run."""

from pathlib import Path

from lenetscope.cli import app


def report(
    run: app.RunFolder,
    *,
    out: Path | None = None,
    data_dir: app.DataDir = None,
    device: app.Device = None,
    as_json: app.Json = False,
) -> None:
    """Write a report of a run: one HTML page that opens in any browser, offline.

    Parameters
    ----------
    out
        the page (default: report.html in the run's folder)
    """
    from lenetscope.inspection import Inspection
    from lenetscope.report.build import write_report

    inspection = Inspection.open(app.open_run(run), device=device, data_dir=data_dir)
    file = out or inspection.run.path / "report.html"
    page = write_report(inspection, file, tracker=app.progress_bar)
    size = page.stat().st_size
    facts = {"run": str(run), "report": str(page), "bytes": size}
    app.show(as_json, facts, f"{page}  ({size / 1e6:.1f} MB)")
