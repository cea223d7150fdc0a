"""``lenetscope data``: what a data set holds, in numbers and in a picture."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.recipe import Recipe


def data(
    data: str,
    /,
    *,
    data_dir: app.DataDir = None,
    download: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    image_size: app.Whole = 0,
    channels: app.Whole = 0,
    out: Path | None = None,
    as_json: app.Json = False,
) -> None:
    """Show what a data set holds: classes, sizes, duplicates, files that cannot be read.

    Parameters
    ----------
    data
        a name, a folder or a file, as for lenetscope train --data
    download
        add missing files of data with a name to the folder of --data-dir, or to the user's cache
    image_size
        height and width that images are resized to; 0: as they are
    channels
        1: images in grey, 3: in colour; 0: as they are
    out
        picture to write of each class: its mean image and some of its images
    """
    wanted = Recipe.load("reference", data=data, image_size=image_size, channels=channels)
    app.require_one_place(data, data_dir)
    from lenetscope.data.splits import load
    from lenetscope.data.summary import plot_classes, summarize
    from lenetscope.files import require_writable
    from lenetscope.plots import style

    if out:
        require_writable(out)
    app.prepare_process(wanted.threads)
    splits = load(wanted, data_dir, download)
    found = summarize(splits)
    text = str(found)
    if out:
        style.save(plot_classes(splits), out)
        text += f"\n\nfigure    {out}"
    app.show(as_json, found.as_dict() | {"figure": out and str(out)}, text)
