"""What a request holds, as images: pictures, pixels as numbers, or pictures as base64 in JSON.

Pictures are decoded as ``lenetscope predict`` decodes them. What is wrong is told as an `HTTPException`
with a status between 400 and 499, and a line that says what is allowed.
"""

import base64
import json
from collections.abc import AsyncGenerator, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from lenetscope.data.pixels import fit_to
from lenetscope.errors import ImageError
from lenetscope.evaluation.outputs import Array
from lenetscope.pictures import decode
from lenetscope.serving import Limits

FIELD = "image"
"""Name of the pictures in a form."""

OTHERS = 100
"""Fields that a form may have besides; they are ignored."""

Shape = tuple[int, int, int]


class _InMemory(MultiPartParser):
    """A parser of forms that writes no temporary files; the size of a form is checked before."""

    spool_max_size = 0  # of Python's temporary files: never


async def form_pictures(headers: Headers, body: bytes, limits: Limits) -> list[bytes]:
    """Return the files of a form's fields ``image``.

    Args:
        headers: with the boundary in the content type.
        body: of the request.
        limits: of images.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = _InMemory(
            headers,
            stream(),
            max_files=limits.max_images,
            max_fields=OTHERS,
            max_part_size=limits.max_bytes,
        )
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:  # ValueError: a strange boundary
        refuse(400, f"the form cannot be read: {getattr(error, 'message', error)}")
    values = form.getlist(FIELD)
    files = [await value.read() for value in values if isinstance(value, UploadFile)]
    await form.close()
    if not files or len(files) < len(values):
        refuse(
            422, f"a form must have one or more files in its field '{FIELD}': curl -F {FIELD}=@a.png"
        )
    return files


def decode_pictures(files: Sequence[bytes], shape: Shape, limits: Limits) -> Array:
    """Return pictures as images (N, C, H, W) uint8, resized as ``lenetscope predict`` does it.

    Args:
        files: bytes of picture files.
        shape: (C, H, W) of an image.
        limits: of images, and of pixels per picture.
    """
    _require_few(len(files), limits)
    channels, height, width = shape
    images = np.empty((len(files), *shape), dtype=np.uint8)
    for place, file in enumerate(files):
        name = f"picture {place + 1}" if len(files) > 1 else "the picture"
        try:
            pixels = decode(file, channels, name=name, most=limits.max_pixels)
        except ImageError as error:
            refuse(422, str(error))
        images[place] = fit_to(pixels, (height, width)).numpy()
    return images


def json_images(body: bytes, shape: Shape, limits: Limits) -> Array:
    """Return what JSON holds as images (N, C, H, W) uint8.

    Args:
        body: ``{"images": …}`` with whole numbers from 0 to 255, nested as (N, C, H, W), or (C, H, W)
            for one image, where C may be left out if it is 1; or with base64 of picture files.
        shape: (C, H, W) of an image.
        limits: of images, and of pixels per picture.
    """
    try:
        # recursion: brackets that are nested a thousand deep
        given = json.loads(body, parse_constant=lambda name: refuse(400, f"{name} is not JSON."))
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, json.JSONDecodeError) else "its text cannot be decoded"
        refuse(400, f"the body is not JSON: {why}.")
    if not isinstance(given, dict) or given.keys() != {"images"}:
        refuse(422, 'the body must be an object with one name, {"images": …}.')
    images = [given["images"]] if isinstance(given["images"], str) else given["images"]
    if not isinstance(images, list) or not images:
        refuse(422, "images must be a list, of at least one image.")
    if all(isinstance(image, str) for image in images):
        _require_few(len(images), limits)
        return decode_pictures([_from_base64(text) for text in images], shape, limits)
    return _pixels(images, shape, limits)


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> NoReturn:
    """Raise what is answered as an error."""
    raise HTTPException(status, message, headers)


def _require_few(count: int, limits: Limits) -> None:
    if count > limits.max_images:
        refuse(422, f"{count} images are too many for one request; the limit is {limits.max_images}.")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        refuse(422, "texts in images must be base64 of picture files, without line breaks.")


def _pixels(images: list[Any], shape: Shape, limits: Limits) -> Array:
    """Return nested lists of whole numbers as images (N, C, H, W)."""
    depth, first = 1, images[0]
    while isinstance(first, list) and depth <= len(shape):
        depth, first = depth + 1, first[0] if first else None
    inner = shape[1:] if shape[0] == 1 and depth < 4 else shape
    if depth not in (len(inner), len(inner) + 1):
        _refuse_shape(shape)
    level: list[Any] = [images] if depth == len(inner) else images
    count = len(level)
    _require_few(count, limits)
    for size in inner:
        if not all(type(part) is list and len(part) == size for part in level):
            _refuse_shape(shape)
        level = list(chain.from_iterable(level))
    kinds = set(map(type, level))
    if float in kinds:  # 5.0 is a whole number in JSON
        level = [int(v) if type(v) is float and v.is_integer() else v for v in level]
    try:
        if bool not in kinds:
            return np.frombuffer(bytes(level), dtype=np.uint8).reshape(count, *shape)
    except (TypeError, ValueError):  # of what is no number, or no byte
        pass
    refuse(422, "pixels must be whole numbers from 0 to 255.")


def _refuse_shape(shape: Shape) -> NoReturn:
    channels, height, width = shape
    without = f" or (N, {height}, {width})" if channels == 1 else ""
    allowed = f"(N, {channels}, {height}, {width}){without}"
    refuse(422, f"images must be lists of whole numbers, {allowed}, or texts, base64 of picture files.")
