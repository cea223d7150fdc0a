"""Files are written completely or not at all: on a full disk, and over an existing file."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import obey_permissions
from lenetscope.errors import StorageError
from lenetscope.files import require_writable, whole_folder, write_bytes, write_json, write_text


def test_what_is_written_is_read_back_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "grüß")
    write_text(tmp_path / "new" / "a.txt", "again")
    write_json(tmp_path / "new" / "b.json", {"x": [1]})
    assert (tmp_path / "new" / "a.txt").read_text("utf-8") == "again"
    assert (tmp_path / "new" / "b.json").read_text("utf-8") == '{\n  "x": [\n    1\n  ]\n}\n'
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.txt", "b.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch, call: str) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def fails(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if call == "fsync" else Path, call, fails)
    with pytest.raises(StorageError, match="No space left on device"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]  # noqa: PTH208


@pytest.mark.slow
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """The operating system itself refuses: the process may write files of 1,000 bytes at most."""
    code = (
        "import pathlib, sys; from lenetscope.files import write_bytes\n"
        "try: write_bytes(pathlib.Path(sys.argv[1]), bytes(5000))\n"
        "except OSError as error: print(type(error).__name__, error)"
    )
    path = tmp_path / "a"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert done.stdout.startswith(f"StorageError cannot write {path}: File too large")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_can_be_written_is_found_out_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    require_writable(tmp_path / "old")
    require_writable(tmp_path / "new" / "deep" / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "it is a folder, not a file"),
        ("file/a", "Not a directory"),
        ("file/deep/a", "Not a directory"),
        ("fifo", "it is a device, not a file"),
        ("x" * 250, "File name too long"),  # the temporary file's name is longer
        (f"{'x' * 300}/a", "File name too long"),
        ("a\0b", "embedded null"),
    ],
)
@pytest.mark.parametrize("write", [require_writable, lambda path: write_bytes(path, b"")])
def test_what_cannot_be_written_is_refused_in_one_line(
    tmp_path: Path, write: Callable[[Path], None], name: str, reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match=f"^cannot write .*: {reason}.*\\.$"):
        write(tmp_path / name)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["fifo", "file", "folder"]


def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    code = (
        "import pathlib, sys; from lenetscope.files import require_writable, write_bytes\n"
        "for write in require_writable, lambda path: write_bytes(path, b''):\n"
        "    try: write(pathlib.Path('new', 'a'))\n"
        "    except OSError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, preexec_fn=obey_permissions,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "StorageError cannot write new/a: Permission denied.\n" * 2
    assert not any(tmp_path.iterdir())


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c"
    with pytest.raises(KeyError), whole_folder(path) as folder:
        (folder / "x").write_text("half")
        raise KeyError
    assert not any(tmp_path.iterdir())
    with whole_folder(path) as folder:
        assert not path.exists()
        (folder / "sub").mkdir()
        (folder / "sub" / "x").write_text("whole")
    assert (path / "sub" / "x").read_text() == "whole"
    with pytest.raises(StorageError, match="cannot write .*c: "), whole_folder(path):
        pass
    with pytest.raises(KeyError), whole_folder(path, replace=True):
        raise KeyError
    assert (path / "sub" / "x").read_text() == "whole"
    with whole_folder(path, replace=True) as folder:
        (folder / "y").write_text("new")
    assert [each.name for each in path.parent.iterdir()] == ["c"]
    assert [each.name for each in path.iterdir()] == ["y"]


def test_a_folder_whose_new_version_cannot_take_its_place_stays(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "c"
    path.mkdir()
    (path / "x").write_text("old")
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if target == path and (self / "y").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(StorageError, match="No space left"), whole_folder(path, replace=True) as new:
        (new / "y").write_text("new")
    assert [each.name for each in tmp_path.iterdir()] == ["c"]
    assert (path / "x").read_text() == "old"
