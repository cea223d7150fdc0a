"""Checkpoints: a whole state in one file that is safe to open.

A checkpoint holds tensors and plain values only, and is opened in a way that runs no code in it. It is
compared with the network, name by name and shape by shape, before anything is changed.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from lenetscope.errors import CheckpointError
from lenetscope.training.state import FORMAT, TrainState

PICKLE = b"\x80"
"""First byte of a bare pickle, which is a program; `torch.save` writes zip archives."""


def dumps(state: TrainState) -> bytes:
    """Return the state as the bytes of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    return buffer.getvalue()


def load_into(state: TrainState, path: Path) -> None:
    """Restore a state from a checkpoint, or leave it as it is.

    Raises:
        CheckpointError: if the file is missing, truncated, holds code, is of another version, or is
            of another network, optimizer or schedule; the message lists the tensors that differ.
    """
    content = _read(path)
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of lenetscope.")
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {content['format']}; this version of lenetscope reads "
            f"format {FORMAT}."
        )
    require_same_tensors(state.model.state_dict(), content["model"], path)
    state.load_state_dict(content)


def _read(path: Path) -> Any:
    """Read tensors and plain values from a file that `torch.save` wrote."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    try:
        if corrupt := zipfile.ZipFile(io.BytesIO(data)).testzip():
            raise zipfile.BadZipFile(corrupt)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the readers raise whatever they like
        unsafe = isinstance(error, UnpicklingError) and "GLOBAL" in str(error)
        if unsafe or data.startswith(PICKLE):
            raise CheckpointError(
                f"{path} holds code besides numbers and is not opened: it could run anything. Only "
                "open checkpoints that lenetscope wrote."
            ) from error
        raise CheckpointError(f"the checkpoint {path} is truncated or damaged.") from error


def require_same_tensors(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path
) -> None:
    """Compare the tensors of a network with those of a file.

    Raises:
        CheckpointError: naming each tensor that is missing, unexpected, or of another shape or dtype.
    """
    differences = [f"{name} is missing" for name in expected if name not in found]
    differences += [f"{name} is not in the network" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        mine, theirs = ((list(each[name].shape), each[name].dtype) for each in (expected, found))
        if mine != theirs:
            part = 0 if mine[0] != theirs[0] else 1
            differences.append(f"{name} is {theirs[part]} in the file and {mine[part]} in the network")
    if differences:
        raise CheckpointError(f"{path} is of another network: {'; '.join(sorted(differences))}.")
