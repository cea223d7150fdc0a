"""Drawings that visitors kept with a label: a folder of images as `lenetscope train --data` reads it.

    digits/<class>/<n>.png

A class has a folder if it has drawings. Each file holds the pixels as the network was given them. All
are for networks of one size and the same classes, so that they stay one data set.
"""

import hashlib
import io
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image
from torch import Tensor

from lenetscope.data.dataset import reading
from lenetscope.data.pixels import in_channels, natural, of_file
from lenetscope.errors import UsageError, listed
from lenetscope.files import TEMPORARY_SUFFIX, whole_folder, write_bytes

MOST = 2000
"""Drawings in all."""

LONGEST = 60
"""Characters of a class's name in that of its folder, at most 240 bytes."""

DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for itself."""


class Drawing(NamedTuple):
    """A drawing: its class, its number in the folder of that class, and its pixels (C, H, W) uint8."""

    label: int
    number: int
    pixels: Tensor

    @property
    def digest(self) -> str:
        """Identifies the pixels, also when the file has another number."""
        return digest(self.pixels)


def digest(pixels: Tensor) -> str:
    """Return what tells an image (C, H, W) uint8 from others."""
    return hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Kept:
    """The drawings in a folder, as a network takes them.

    Args:
        folder: that of the classes' folders; it may be missing.
        classes: names of the network's classes.
        image_shape: (C, H, W) of its images.
    """

    folder: Path
    classes: Sequence[str]
    image_shape: tuple[int, int, int]

    def all(self) -> list[Drawing]:
        """Return the drawings, by class and number.

        Raises:
            UsageError: if they are of other classes, or of another size, than the network's, or it
                takes images that are neither grey nor in colour.
            DataError: if the folder cannot be read.
        """
        if self.image_shape[0] not in (1, 3):
            raise UsageError(
                f"images of {self.image_shape[0]} channels cannot be kept: PNG has 1 or 3."
            )
        names = folder_names(self.classes)
        with reading(self.folder):
            inside = list(self.folder.iterdir()) if self.folder.exists() else []
            there = {each.name for each in inside if each.is_dir() and not each.name.startswith(".")}
            if others := sorted(there - set(names), key=natural):
                raise self._refusal(f"holds drawings of other classes ({listed(others[:3])})")
            found = [
                Drawing(label, number, pixels)
                for label, name in enumerate(names)
                if name in there
                for number, pixels in _drawings(self.folder / name)
            ]
        for drawing in found[:MOST]:
            if drawing.pixels.shape[1:] != self.image_shape[1:]:
                size = "x".join(map(str, drawing.pixels.shape[1:]))
                raise self._refusal(f"holds drawings of {size} pixels")
        channels = self.image_shape[0]
        return [
            each._replace(pixels=in_channels(each.pixels[None], channels)[0]) for each in found[:MOST]
        ]

    def keep(self, label: int, pixels: Tensor, number: int | None = None) -> int:
        """Write a drawing, and return its number.

        Args:
            label: number of its class.
            pixels: (C, H, W) uint8.
            number: that it had before it was deleted; by default the next, as also if it is taken.

        Raises:
            UsageError: if there is no such class, there are too many drawings, or see `all`.
            DataError, StorageError: if the folder cannot be read, or written.
        """
        place, drawings = self._place(label), self.all()
        if len(drawings) >= MOST:
            raise UsageError(f"{MOST:,} drawings are kept, the limit: delete some in {self.folder}.")
        taken = [drawing.number for drawing in drawings if drawing.label == label]
        if number is None or number in taken:
            number = max(taken, default=0) + 1
        plain = pixels.permute(1, 2, 0).numpy()  # (H, W, C)
        content = io.BytesIO()
        Image.fromarray(plain[:, :, 0] if plain.shape[2] == 1 else plain).save(content, "PNG")
        if place.exists():
            write_bytes(place / f"{number}.png", content.getvalue())
            return number
        with whole_folder(place) as made:  # never an empty folder, which is no class
            (made / f"{number}.png").write_bytes(content.getvalue())
        return number

    def delete(self, label: int, number: int) -> None:
        """Delete a drawing, with the last of a class also its folder.

        Raises:
            UsageError: if there is none of that class and number.
            DataError: if the folder cannot be changed.
        """
        place = self._place(label)
        file = place / f"{number}.png"
        if not file.is_file():
            raise UsageError(f"there is no drawing {number} of the class '{self.classes[label]}'.")
        with reading(place):
            if any(each != file and not each.name.startswith(".") for each in place.iterdir()):
                file.unlink()
                return
            gone = place.with_name(f".{place.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
            place.rename(gone)  # in one step, so that there is never a class without images
        shutil.rmtree(gone, ignore_errors=True)

    def _place(self, label: int) -> Path:
        if not 0 <= label < len(self.classes):
            raise UsageError(f"classes are numbered from 0 to {len(self.classes) - 1}, not {label}.")
        return self.folder / folder_names(self.classes)[label]

    def _refusal(self, why: str) -> UsageError:
        return UsageError(
            f"{self.folder} {why}, which this network does not take. Start the playground with "
            "another --folder for drawings of this one."
        )


def folder_names(classes: Sequence[str]) -> list[str]:
    """Return the name of each class's folder: the class's own, but for what a folder cannot be called.

    Such characters are written as in an URL. Long names are cut, and those that would be the same, also
    without regard to case, end in the number of the class.

    >>> folder_names(["7", "a/b", "..", "A", "a"])
    ['7', 'a%2Fb', '%2E%2E', 'A %3', 'a %4']
    """
    made = [_safe(name)[:LONGEST] for name in classes]
    counts = Counter(name.casefold() for name in made)
    return [f"{name} %{k}" if counts[name.casefold()] > 1 else name for k, name in enumerate(made)]


def _safe(name: str) -> str:
    """Return a text that is a name of a folder on every system."""
    text = "".join(c if c.isalnum() or c in " -_.,()+&=!" else quote(c, safe="") for c in name)
    if not text or DEVICES.match(text) or text[0] in ". ":
        text = f"%{ord(text[0]):02X}{text[1:]}" if text else "%"
    return f"{text[:-1]}%{ord(text[-1]):02X}" if text[-1] in ". " else text


def _drawings(folder: Path) -> list[tuple[int, Tensor]]:
    """Return the numbers and pixels of a folder's drawings; a damaged file is left out."""
    numbers = [re.fullmatch(r"([1-9]\d{0,8})\.png", each.name) for each in folder.iterdir()]
    found = []
    for number in sorted(int(match[1]) for match in numbers if match)[:MOST]:
        file = folder / f"{number}.png"
        facts = file.stat()
        pixels = _decoded(file, facts.st_mtime_ns, facts.st_size)
        if pixels is not None:
            found.append((number, pixels))
    return found


@lru_cache(maxsize=2 * MOST)
def _decoded(file: Path, _changed: int, _size: int) -> Tensor | None:
    return of_file(file.read_bytes())
