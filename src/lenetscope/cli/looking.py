"""The commands that look into a run: ``inspect``, ``report``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lenetscope.cli.app import DataDir, Json, app, print_json


@app.command
def inspect(
    run: Path,
    *,
    what: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    image: Annotated[list[Path] | None, Parameter(negative="")] = None,
    layers: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    form: Annotated[Literal["png", "svg"], Parameter(name="--format")] = "png",
    out: Path | None = None,
    data_dir: DataDir = None,
    device: str | None = None,
    as_json: Json = False,
) -> None:
    """Show the layers of a run's network, and draw what you ask about it.

    Parameters
    ----------
    run
        Folder of a run.
    what
        Questions, such as filters,maps; "all" for every one; "list" to see them
        (default: curves,confusion,filters,maps).
    image
        Picture to look at; may be given several times (default: four test images).
    layers
        Layers to look at, names or patterns such as "conv*" (default: what suits the question).
    form
        Format of the pictures.
    out
        Folder of the pictures (default: figures in the run's folder).
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    from lenetscope import output
    from lenetscope.inspection import QUESTIONS, Choice, Study, draw

    asked = [name for each in what or [] for name in each.split(",") if name]
    if "list" in asked:
        answers = {name: QUESTIONS.get(name).__doc__ or "" for name in QUESTIONS.names()}
        if as_json:
            print_json({"questions": answers})
        else:
            print("\n".join(f"{name:12} {text.splitlines()[0]}" for name, text in answers.items()))
        return
    study = Study.open(run, device=device, data_dir=data_dir)
    choice = Choice.of(study, image or [], layers)
    pictures = draw(study, choice, what=asked or None, out=out, form=form, tracker=output.tracker)
    if as_json:
        print_json(
            {
                "run": str(run),
                "layers": study.layers.as_dicts(),
                "parameters": study.arch.count_parameters(),
                "pictures": [str(path) for path in pictures],
            }
        )
        return
    print(study.layers)
    print(f"parameters  {study.arch.count_parameters():,}")
    for path in pictures:
        print(path)
    if any(path.stem == "health" for path in pictures):
        print("\n".join(study.health_warnings) or "health: nothing looks ill.")


@app.command
def report(
    run: Path,
    *,
    out: Path | None = None,
    data_dir: DataDir = None,
    device: str | None = None,
    as_json: Json = False,
) -> None:
    """Write one page that tells the whole story of a run; it opens in any browser, offline.

    Parameters
    ----------
    run
        Folder of a run.
    out
        The page (default: report.html in the run's folder).
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    from lenetscope import output
    from lenetscope.inspection import Study
    from lenetscope.report import write_report

    study = Study.open(run, device=device, data_dir=data_dir)
    page = write_report(study, out or study.run.report_file, tracker=output.tracker)
    if as_json:
        print_json({"run": str(run), "report": str(page), "bytes": page.stat().st_size})
    else:
        print(f"{page}  ({page.stat().st_size / 1e6:.1f} MB)")
