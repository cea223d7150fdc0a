"""``lenetscope inspect``: the layers of a network, and figures that answer questions about a run."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.questions import QUESTIONS

_WHAT = f"{', '.join(QUESTIONS.names())}; all; or list, to print what they ask (default: quick ones)"


def inspect(
    run: app.RunFolder = None,
    /,
    *,
    what: Annotated[list[str] | None, Parameter(help=_WHAT, negative="", consume_multiple=True)] = None,
    image: Annotated[list[Path] | None, Parameter(negative="")] = None,
    layers: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    format: Literal["png", "svg"] = "png",
    out: Path | None = None,
    data_dir: app.DataOfRun = None,
    device: app.Device = None,
    as_json: app.Json = False,
) -> None:
    """List the layers of a run's network, and draw figures that answer questions about it.

    Parameters
    ----------
    image
        picture to show to the network; may be given several times (default: four test images)
    layers
        names of layers, or patterns such as "conv*" (default: what suits the question)
    format
        format of the figures
    out
        folder of the figures (default: figures in the run's folder)
    """
    asked = [name for each in what or [] for name in each.split(",") if name]
    if "list" in asked:
        summaries = {name: QUESTIONS.get(name).summary for name in QUESTIONS.names()}
        width = max(map(len, summaries))
        lines = [f"{name:{width}}  {text}" for name, text in summaries.items()]
        app.show(as_json, {"questions": summaries}, "\n".join(lines))
        return
    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

    inspection = Inspection.open(app.open_run(run), device=device, data_dir=data_dir)
    selection = Selection.of(inspection, image or [], layers)
    with app.progress_bar() as show:
        paths = inspection.draw(asked, selection, out=out, format=format, show=show)
    rows, parameters = inspection.layers, inspection.arch.count_parameters()
    facts = {"run": str(inspection.run.path), "layers": rows.as_dicts(), "parameters": parameters}
    lines = [str(rows), f"parameters  {parameters:,}", *map(str, paths)]
    facts["figures"] = [str(path) for path in paths if path.suffix != ".html"]
    facts["index"] = next((str(path) for path in paths if path.suffix == ".html"), None)
    app.show(as_json, facts, "\n".join(lines))
