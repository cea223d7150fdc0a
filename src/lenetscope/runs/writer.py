"""Writing a run folder while its training goes on.

Its files are complete at any moment, and a process that resumes the run repairs what a killed one left.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from lenetscope.errors import StorageError
from lenetscope.files import TEMPORARY_SUFFIX, write_bytes, write_text
from lenetscope.runs.folder import Run
from lenetscope.training.callbacks import best_epoch
from lenetscope.training.checkpoint import dumps
from lenetscope.training.state import TrainState
from lenetscope.training.updates import UpdateRatios


class RunWriter(UpdateRatios):
    """Keep a run folder up to date: the checkpoint first, from which all else can be written again.

    Except for the update ratios that it measures, which no checkpoint holds: they are written before
    it, and what is ahead of it is dropped when the run is resumed.

    Args:
        run: the folder, as `Run.create` or `Run.open` returned it.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Repair what a killed process left: files half written, and files behind the checkpoint."""
        super().on_train_begin(state, epochs, steps)
        if not state.is_main:
            return
        for folder in (self.run.path, self.run.snapshots):
            for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                _remove(leftover)
        if state.step == 0:
            self._write_epoch(state)
        self.resume(self.run.updates(), state)

    def on_checkpoint(self, state: TrainState) -> None:
        """Write the checkpoint and, at the end of an epoch, history, weights and their snapshot."""
        if not state.is_main:
            return
        _write_rows(self.run.updates_file, map(dataclasses.asdict, self.rows))
        _remove(self.run.scores_file)  # those of a finished run that goes on
        write_bytes(self.run.checkpoint_file, dumps(state))
        if state.step == 0:
            self._write_epoch(state)

    def _write_epoch(self, state: TrainState) -> None:
        last = _weights(state.model.state_dict(), state.epoch)
        if state.epoch:
            _write_rows(self.run.history_file, state.history)
            best = state.best and _weights(state.best, best_epoch(state.history))
            write_bytes(self.run.weights_file, best or last)
        write_bytes(self.run.snapshot_file(state.epoch), last)


def _weights(tensors: dict[str, Tensor], epoch: int) -> bytes:
    # copies, because a layer may have two names, and safetensors refuses weights that are shared
    plain = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    return safetensors_bytes(plain, {"epoch": str(epoch)})  # one key: the order of several is random


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror}.") from error


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
