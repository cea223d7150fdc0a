"""Picture files: which ones a path stands for, and how they are opened safely.

Only `FORMATS` are opened, which Pillow decodes by itself. It hands EPS to Ghostscript, and so runs the
program that such a file is. What a file holds decides, not its name.
"""

import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from lenetscope.errors import ImageError

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
"""Formats that are read, by Pillow's names."""
READ_ARE = f"formats that are read: {', '.join(FORMATS)}"

MAX_BYTES = 200_000_000
"""The largest file that is read, in bytes: 50 megapixels of RGB, uncompressed, are 150 million."""
MAX_READS = 1_500_000
"""How often a decoder may read from a file: a file of millions of empty parts would take minutes."""
MAX_TILE = 50_000_000
"""The largest tile of a TIFF that is decoded, in pixels; it is held whole, however small the image."""
MAX_SCANNED = 1_250_000_000
"""Scans of a progressive JPEG, times its pixels: 25 of 50 megapixels; encoders make about 10."""

_HEAD = 16
"""Bytes by which a format is recognised."""

_FOREIGN = {
    (0, b"%!PS"): "EPS",
    (0, b"\xc5\xd0\xd3\xc6"): "EPS",
    (0, b"%PDF"): "PDF",
    (0, b"<svg"): "SVG",
    (0, b"<?xml"): "XML",
    (0, b"\xd7\xcd\xc6\x9a"): "WMF",
    (0, b"\0\0\1\0"): "ICO",
    (0, b"8BPS"): "PSD",
    (4, b"ftyphei"): "HEIC",
    (4, b"jP  "): "JPEG 2000",
    (4, b"JXL "): "JPEG XL",
}
"""Place and first bytes of other formats that people have pictures in."""


@contextmanager
def opened(source: Any, name: str) -> Iterator[Image.Image]:
    """Open a picture, whose pixels are not decoded yet.

    Args:
        source: a path, the bytes of a file, or an open binary file, which is read from its beginning.
        name: of the picture in messages.

    Raises:
        ImageError: if there is no such file, or it is not a picture of `FORMATS`, or too large.
    """
    with _file(source, name) as file:
        size = file.seek(0, os.SEEK_END)
        if size > MAX_BYTES:
            raise ImageError(f"{name} has more than {MAX_BYTES / 1e6:.0f} MB, the limit. Reduce it.")
        if size == 0:
            raise ImageError(f"{name} is empty.")
        try:
            picture = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            file.seek(0)
            kind = _format_of(file.read(_HEAD))
            what = (
                f"is in {kind} format"
                if kind and kind not in FORMATS
                else "is not a picture that can be read"
            )
            raise ImageError(f"{name} {what}; {READ_ARE}.") from None
        _refuse_labour(picture, file, name)
        with picture:
            yield picture


def _refuse_labour(picture: Image.Image, file: BinaryIO, name: str) -> None:
    """Refuse small files that decoders would work at for long, or fill the memory for."""
    if picture.format in ("JPEG", "MPO"):
        file.seek(0)
        scans = file.read().count(b"\xff\xda")
        if scans * picture.width * picture.height > MAX_SCANNED:
            raise ImageError(f"{name} has {scans} scans, too many to decode; save it anew.")
    if isinstance(picture, TiffImageFile):
        tile = (picture.tag_v2.get(TILEWIDTH, 1), picture.tag_v2.get(TILELENGTH, 1))
        if tile[0] * tile[1] > MAX_TILE:
            raise ImageError(f"{name} has tiles of {tile[0]}x{tile[1]}, too large; save it anew.")


def refuse_foreign(picture: Image.Image, name: str) -> None:
    """Refuse an image of another format; Pillow decodes it late, and may run a program then.

    Raises:
        ImageError: if it was opened from such a file.
    """
    if picture.format not in (None, "MPO", *FORMATS):  # MPO: two JPEGs in one
        raise ImageError(f"{name} is in {picture.format} format; {READ_ARE}.")


def find_pictures(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in a folder, sorted by name, and its other files; any other path alone.

    What cannot be opened counts as a picture, so that reading it reports the reason.

    Raises:
        ImageError: if there is no picture in the folder, or it cannot be listed.
    """
    if not _is_folder(path):
        return [path], []
    try:
        files = sorted(file for file in path.iterdir() if not _is_folder(file))
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror}.") from error
    pictures: list[Path] = []
    others: list[Path] = []
    for file in files:
        (pictures if _may_be_read(file) else others).append(file)
    if not pictures:
        raise ImageError(f"there is no picture in the folder {path.absolute()}; {READ_ARE}.")
    return pictures, others


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


class _Counted(io.BufferedReader):
    """A file that ends the work of a decoder which reads from it more than `MAX_READS` times."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise OSError("it consists of too many parts")
        return super().read(size)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no permission
        return False


def _file(source: Any, name: str) -> BinaryIO:
    """Return an open file, in memory if it is not given by its path."""
    given = isinstance(source, (str, os.PathLike))
    return _Counted(_open(Path(source), name) if given else _held(source, name))


def _open(path: Path, name: str) -> io.FileIO:
    """Open a file, unless it is a pipe or a device, which might never end."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb", buffering=0)
    except FileNotFoundError:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name):
            raise ImageError(
                f"nothing is downloaded: save {name} as a file and give its path."
            ) from None
        link = f"; it is a link to {path.readlink()}" if path.is_symlink() else ""
        raise ImageError(f"there is no file {name}{link}.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(f"{name} cannot be opened: {getattr(error, 'strerror', error)}.") from None
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name} is a folder, not a picture.")
    raise ImageError(f"{name} is a pipe or a device; save the picture in a file first.")


def _held(source: Any, name: str) -> io.BytesIO:
    """Return a file in memory with the bytes of a file, no more of them than may be read."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if not hasattr(source, "read"):
        raise ImageError(
            f"{name} is of type {type(source).__name__}; a picture is a path, the bytes of a file, an "
            "open binary file, a PIL image, or pixels as an array or tensor."
        )
    if source.seekable():
        source.seek(0)
    return io.BytesIO(source.read(MAX_BYTES + 1))


def _may_be_read(path: Path) -> bool:
    """Return whether a file begins like a picture, or why it cannot be read is yet to be reported."""
    try:
        with _open(path, str(path)) as file:
            return _format_of(file.read(_HEAD)) in FORMATS
    except ImageError:
        return True


def _format_of(head: bytes) -> str | None:
    """Return the name of the format that a file with these first bytes has, None if unknown."""
    Image.init()
    for name in FORMATS:
        accepts = Image.OPEN[name][1]
        if accepts is not None and accepts(head):
            return name
    return next((name for (at, first), name in _FOREIGN.items() if head.startswith(first, at)), None)
