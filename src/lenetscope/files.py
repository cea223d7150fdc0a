"""Writing files, and folders of them, atomically.

The bytes are written to a temporary file in the same folder, flushed to the disk, and renamed in one
step. A reader never sees part of a file, and neither a crash nor a power cut leaves one.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lenetscope.errors import StorageError

TEMPORARY_SUFFIX = ".tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` completely or not at all; the folder is created if it is missing.

    Raises:
        StorageError: if the disk is full or read-only, or the folder is not writable.
    """
    with _refusals(path):
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path, path.parent)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def require_writable(path: Path) -> None:
    """Raise at once what `write_bytes` would raise later; neither a file nor a folder is left behind.

    Raises:
        StorageError: if the path is a folder, or its folder is not writable or could not be created.
    """
    with _refusals(path):
        folder = next(each for each in path.absolute().parents if each.exists())
        temporary = _temporary(path, folder)
        temporary.touch(exist_ok=False)
        temporary.unlink()


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Raise what the system refuses of a file as a `StorageError` that names the path."""
    with _refused(path):
        if path.exists() and not path.is_file():  # a rename would replace even /dev/null
            raise OSError(f"it is {'a folder' if path.is_dir() else 'a device'}, not a file")
        yield


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a character that no path can have
        raise StorageError(
            f"cannot write {path}: {getattr(error, 'strerror', '') or error}."
        ) from error


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that gets its name when the block ends, or is removed if the block raises.

    Args:
        path: the name, which no other than an empty folder may have.
        replace: whether to put it in the place of what has the name.

    Raises:
        StorageError: if it cannot be written.
    """
    path = path.absolute()
    made = [each for each in path.parents if not each.exists()]
    temporary, former = _temporary(path, path.parent), _temporary(path, path.parent)
    try:
        with _refused(path):
            temporary.mkdir(parents=True)
        yield temporary
        with _refused(path):
            for file in [each for each in temporary.rglob("*") if each.is_file()]:
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
            if replace and path.exists():
                path.rename(former)
            try:
                temporary.rename(path)
            except OSError:
                if former.exists():
                    former.rename(path)
                raise
            sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):  # one of them has something in it
            for folder in made:
                folder.rmdir()
        raise
    shutil.rmtree(former, ignore_errors=True)


def _temporary(path: Path, folder: Path) -> Path:
    return folder / f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; see `write_bytes`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it is durable; not on Windows."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
