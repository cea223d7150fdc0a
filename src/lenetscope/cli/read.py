"""``lenetscope read``: the numbers written in pictures."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.errors import ImageError
from lenetscope.files import require_writable


def read(
    images: Annotated[list[Path], Parameter(negative="", allow_leading_hyphen=True)],
    /,
    *,
    run: Path | None = None,
    threshold: float | None = None,
    explain: Path | None = None,
    as_json: app.Json = False,
) -> None:
    """Read the number written in each photo, scan or drawing, or report that it is unreadable.

    Parameters
    ----------
    images
        picture files, folders of them, or - for a picture on standard input
    run
        folder of a run whose network to use (default: that of the recipe reader, which is installed)
    threshold
        lowest probability that each character is a digit, from 0 to 1 (default: the network's own)
    explain
        folder for a figure of all steps of each reading
    """
    from lenetscope import reading
    from lenetscope.reading.files import find_pictures, names_for

    judge = None
    if run is not None:
        folder = app.open_run(run)
        recipe = folder.recipe()
        judge = reading.NetworkJudge(folder.load_model(), recipe.mean, recipe.std)
    paths: list[Path] = []
    others: list[Path] = []
    failed = False
    for path in images:
        try:
            pictures, rest = find_pictures(path)
        except ImageError as error:
            app.complain(error)
            failed = True
        else:
            paths += pictures
            others += rest
    if others:
        names = ", ".join([str(path) for path in others[:5]] + ["…"] * (len(others) > 5))
        app.note(f"skipped, not pictures in a format that is read: {names}")
    width = max((len(str(path)) for path in paths), default=0)
    figures = [] if explain is None else [explain / name for name in names_for(paths, ".png")]
    for figure in figures:
        require_writable(figure)
    written: list[Path] = []
    for number, path in enumerate(paths):
        source, name = (sys.stdin.buffer, "standard input") if str(path) == "-" else (path, str(path))
        try:
            found = reading.read(
                source, judge=judge, threshold=threshold, explain=explain is not None, name=name
            )
        except ImageError as error:
            app.complain(error)
            failed = True
            continue
        if figures:
            from lenetscope.plots import style
            from lenetscope.reading.explain import plot_steps

            style.save(plot_steps(found, f"{Path(name).name}: {found}"), figures[number])
            written.append(figures[number])
        app.show(as_json, {"path": str(path), **found.as_dict()}, f"{path!s:{width}}  {found}")
    if written:
        one = len(written) == 1
        app.note(f"wrote {written[0]}" if one else f"wrote {len(written)} figures in {explain}")
    if failed:
        sys.exit(1)
