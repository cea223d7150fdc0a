"""``lenetscope report``: one page about a run."""

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app


def report(
    run: app.RunFolder = None,
    /,
    *,
    out: Path | None = None,
    quick: Annotated[bool, Parameter(negative="")] = False,
    show: Annotated[bool, Parameter(name="--open", negative="")] = False,
    data_dir: app.DataOfRun = None,
    device: app.Device = None,
    as_json: app.Json = False,
) -> None:
    """Write a report of a run: one HTML page that opens in any browser, offline.

    Parameters
    ----------
    out
        the page (default: report.html in the run's folder)
    quick
        leave out what takes longest: ablation, embedding, training images similar to mistakes
    show
        open the page in the browser
    """
    from lenetscope.inspection import Inspection
    from lenetscope.report.build import write_report

    inspection = Inspection.open(app.open_run(run), device=device, data_dir=data_dir)
    file = out or inspection.run.path / "report.html"
    with app.progress_bar() as progress:
        page = write_report(inspection, file, quick=quick, show=progress)
    size = page.stat().st_size
    facts = {"run": str(inspection.run.path), "report": str(page), "bytes": size}
    app.show(as_json, facts, f"{page}  ({size / 1e6:.1f} MB)")
    if show and not webbrowser.open(page.resolve().as_uri()):
        app.note("No browser could be opened: open the page yourself.")
