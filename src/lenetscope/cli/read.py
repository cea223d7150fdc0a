"""``lenetscope read``: the numbers written in pictures."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.errors import ImageError


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
        lowest probability that each sign is a digit, from 0 to 1 (default: the network's own)
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
        app.note(f"passed over {len(others)} files that are not pictures: {names}")
    width = max((len(str(path)) for path in paths), default=0)
    figures: list[Path] = []
    for path, file in zip(paths, names_for(paths, ".png"), strict=True):
        source, name = (sys.stdin.buffer, "standard input") if str(path) == "-" else (path, str(path))
        try:
            found = reading.read(
                source, judge=judge, threshold=threshold, explain=explain is not None, name=name
            )
        except ImageError as error:
            app.complain(error)
            failed = True
            continue
        if explain is not None:
            from lenetscope.plots import style
            from lenetscope.reading.explain import plot_steps

            figures.append(explain / file)
            style.save(plot_steps(found, f"{Path(name).name}: {found}"), figures[-1])
        app.show(as_json, {"path": str(path), **found.as_dict()}, f"{path!s:{width}}  {found}")
    if figures:
        one = len(figures) == 1
        app.note(f"wrote {figures[0]}" if one else f"wrote {len(figures)} figures in {explain}")
    if failed:
        sys.exit(1)
