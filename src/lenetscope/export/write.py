"""Exporting: write, prove, and only then keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenetscope.arguments import as_path
from lenetscope.data.splits import Splits
from lenetscope.errors import StorageError
from lenetscope.export import FORMATS
from lenetscope.export.card import card, facts
from lenetscope.export.exportable import Exportable
from lenetscope.export.proof import Proof, prove
from lenetscope.files import whole_folder, write_json, write_text

RECORD = "export.json"
"""What a folder of an export is known by: all facts about it."""


@dataclass(frozen=True)
class Exported:
    """An exported file that was proved.

    Attributes:
        file: in a folder of its own, beside ``README.md`` and ``export.json``.
        proof: how it compares with PyTorch.
        facts: what ``export.json`` holds.
    """

    file: Path
    proof: Proof
    facts: dict[str, Any]


def export(
    exportable: Exportable,
    splits: Splits,
    name: str,
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> Exported:
    """Write a network in a format, prove the file, and keep it with its card in a folder.

    Args:
        exportable: the network.
        splits: its data: the test images prove the file, and training images may calibrate it.
        name: of the format.
        folder: to make.
        overwrite: whether the folder of an earlier export is replaced.

    Raises:
        UsageError: if there is no such format, or what it needs is not installed.
        StorageError: if the folder exists or cannot be written.
        ExportError: if the file disagrees with PyTorch; nothing is left of it.
    """
    form, folder = FORMATS.get(name), as_path(folder)
    require_free(folder, overwrite)
    with whole_folder(folder, replace=overwrite) as temporary:
        file = temporary / form.file
        form.write(exportable, splits, file)
        proof = prove(exportable, splits, form.open(file, 0))
        proof.require(form.limits)
        known = facts(exportable, splits, name, file, proof)
        more, measured = form.measure(exportable, splits, file) if form.measure else ("", {})
        known |= measured
        write_text(temporary / "README.md", card(exportable, form, known, proof, more))
        write_json(temporary / RECORD, known)
    return Exported(folder / form.file, proof, known)


def require_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that must not be replaced.

    Raises:
        StorageError: if it exists and is no export, or one that is to be kept.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / RECORD).exists():
        raise StorageError(
            f"{folder} exists and is no export: it is not overwritten. Choose another folder."
        )
    if not overwrite:
        raise StorageError(
            f"{folder} exists already and is not overwritten: choose another folder, or --overwrite."
        )
