"""``lenetscope read``: the numbers written in pictures."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.errors import ImageError, UsageError, unknown
from lenetscope.files import require_writable

if TYPE_CHECKING:
    from lenetscope.reading.reader import Recogniser
    from lenetscope.reading.results import Reading

OPTIONS = ("--run", "--threshold", "--explain", "--json")


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
        lowest score (probability per digit, times that of digits alone), from 0 to 1 (default: the
        network's own)
    explain
        folder for a figure of each reading: what the network says along the line, and other views
    """
    from lenetscope.pictures.files import find_pictures, names_for
    from lenetscope.reading.reader import load_reader, reader_of

    for path in images:  # a hyphen in front is allowed, because - is standard input
        if str(path).startswith("--") and not path.exists():
            raise UsageError(unknown("option", str(path), OPTIONS))
    reader = load_reader() if run is None else reader_of(app.open_run(run))
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
    readings = _readings(paths, reader, threshold, explain is not None)
    for number, (path, found) in enumerate(zip(paths, readings, strict=True)):
        if isinstance(found, ImageError):
            app.complain(found)
            failed = True
            continue
        if figures:
            from lenetscope.plots import style
            from lenetscope.reading.explain import plot_reading

            name = "standard input" if str(path) == "-" else path.name
            style.save(plot_reading(found, reader, name), figures[number])
            written.append(figures[number])
        app.show(as_json, {"path": str(path), **found.as_dict()}, f"{path!s:{width}}  {found}")
    if written:
        one = len(written) == 1
        app.note(f"wrote {written[0]}" if one else f"wrote {len(written)} figures in {explain}")
    if failed:
        sys.exit(1)


def _readings(
    paths: list[Path], reader: "Recogniser", threshold: float | None, explain: bool
) -> "Iterator[Reading | ImageError]":
    """Yield the readings in the order of the paths, computed by as many threads as there are cores."""
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from lenetscope.reading.pipeline import read as read_picture

    def one(path: Path) -> "Reading | ImageError":
        source, name = (sys.stdin.buffer, "standard input") if str(path) == "-" else (path, str(path))
        try:
            return read_picture(source, reader=reader, threshold=threshold, explain=explain, name=name)
        except ImageError as error:
            return error

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(paths) == 1 or cores == 1:
        yield from map(one, paths)
        return
    torch.set_num_threads(1)  # the cores are shared among pictures instead
    with ThreadPoolExecutor(cores) as pool:
        yield from pool.map(one, paths)
