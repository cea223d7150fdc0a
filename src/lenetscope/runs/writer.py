"""Writing a run folder while its training goes on.

In: the moments of a training. Out: files that are whole at any moment, and that a process which takes
the run up again puts right.
"""

import dataclasses
import json

from safetensors.torch import save as safetensors_bytes

from lenetscope.files import TEMPORARY_SUFFIX, write_bytes, write_text
from lenetscope.runs.folder import Run
from lenetscope.training import Callback, TrainState
from lenetscope.training.checkpoint import dumps
from lenetscope.training.updates import UpdateRatios


class RunWriter(Callback):
    """Keep a run folder up to date: the checkpoint first, from which all else can be made again.

    Except for the update ratios, which no checkpoint holds: they are written before it, and what is
    ahead of it is dropped when the run is taken up again.

    Args:
        run: the folder, as `Run.create` or `Run.open` returned it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._updates = UpdateRatios()

    def on_start(self, state: TrainState, epochs: int, steps: int) -> None:
        """Put right what a killed process left: half written files, files behind the checkpoint."""
        if not state.is_main:
            return
        for folder in (self.run.path, self.run.snapshots):
            for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                leftover.unlink(missing_ok=True)
        if state.epoch and state.step == 0:
            self._write_epoch(state)
        elif state.step == 0:
            write_bytes(self.run.snapshot_file(0), _weights(state))
        self._updates.go_on(self.run.updates(), state.epoch, state.step)
        self._updates.on_start(state, epochs, steps)

    def on_step(self, state: TrainState) -> None:
        """Measure the update ratios, at some steps."""
        self._updates.on_step(state)

    def on_epoch(self, state: TrainState) -> None:
        """Make the update ratios ready for the next epoch."""
        self._updates.on_epoch(state)

    def on_checkpoint(self, state: TrainState) -> None:
        """Write the checkpoint and, at the end of an epoch, history, weights and their snapshot."""
        if not state.is_main:
            return
        rows = "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in self._updates.rows)
        write_text(self.run.updates_file, rows)
        write_bytes(self.run.checkpoint_file, dumps(state))
        if state.step == 0:
            self._write_epoch(state)

    def on_stop(self, state: TrainState) -> None:
        """Let go of what the update ratios hold."""
        self._updates.on_stop(state)

    def _write_epoch(self, state: TrainState) -> None:
        rows = "".join(json.dumps(row) + "\n" for row in state.history)
        write_text(self.run.history_file, rows)
        weights = _weights(state)
        write_bytes(self.run.weights_file, weights)
        write_bytes(self.run.snapshot_file(state.epoch), weights)


def _weights(state: TrainState) -> bytes:
    tensors = state.model.state_dict()
    weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"epoch": str(state.epoch)}  # one key: the order of several is random
    return safetensors_bytes(weights, metadata)
