"""Pictures in folders, and data as other programs write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def write_picture(tmp_path: Path) -> Write:
    """Return a function that writes a picture of one grey value, or pixels, below the folder."""

    def write(name: str, pixels: object = 0, size: tuple[int, int] = (5, 6), **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(pixels, int):
            pixels = np.full(size, pixels)
        Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
        return path

    return write
