"""Finds the picture files that paths on the command line stand for, and names for their output."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from lenetscope.errors import ImageError


def find_pictures(path: Path) -> list[Path]:
    """Return the pictures in a folder, sorted by name; any other path alone.

    Raises:
        ImageError: if there is no picture in the folder.
    """
    if not path.is_dir():
        return [path]
    known = Image.registered_extensions()
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in known and file.is_file())
    if not found:
        raise ImageError(f"there is no picture in the folder {path}.")
    return found


def names_for(paths: Iterable[Path], suffix: str) -> Iterator[str]:
    """Yield a different file name per path, made of its own name and numbered where two are equal.

    >>> list(names_for([Path("a/1.png"), Path("b/1.jpg")], ".png"))
    ['1.png', '1-2.png']
    """
    taken: set[str] = set()
    for path in paths:
        stem = "stdin" if str(path) == "-" else path.stem
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        yield name + suffix
