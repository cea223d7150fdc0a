"""Checkpoints: a whole state in one file that is safe to open.

A checkpoint holds tensors and plain values only, and is opened in a way that runs no code in it. All of
it is checked, and a step is tried with copies of optimizer and scheduler, before anything is changed.
"""

import copy
import io
import math
import warnings
import zipfile
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, optim
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.serialization import safe_globals

from lenetscope import schema
from lenetscope.errors import CheckpointError
from lenetscope.evaluation.tally import Tally
from lenetscope.schema import Check, SchemaError
from lenetscope.training.state import FORMAT, PLAIN, ROW, TrainState, require_consistent

PICKLE = b"\x80"
"""First byte of a bare pickle, which is a program; `torch.save` writes zip archives."""

BOOK = {"epoch", "model_state_dict", "optimizer_state_dict", "loss", "val_loss"}
"""What a checkpoint of the book's class StepByStep holds, see `lenetscope.architecture`."""

_BUILT_IN = [k for k in vars(optim).values() if isinstance(k, type) and issubclass(k, optim.Optimizer)]
REHEARSED = tuple(set(_BUILT_IN) - {optim.Optimizer, optim.LBFGS, optim.SparseAdam})
"""Optimizers that can take a step with dense gradients and without computing the loss again."""

LISTED = 10
"""Tensors that a message names at most."""


def dumps(state: TrainState) -> bytes:
    """Return the state as the bytes of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    return buffer.getvalue()


def load_into(state: TrainState, path: Path) -> None:
    """Restore a state from a checkpoint, or leave it as it is; StepByStep's are read, too.

    Raises:
        CheckpointError: if the file is missing, truncated, holds code, is of another version or of
            another network, optimizer or schedule, or holds anything that no state holds.
    """
    content = _read(path)
    try:
        if isinstance(content, dict) and set(content) >= BOOK:
            content = _from_book(state, content)
        if not isinstance(content, dict) or "format" not in content:
            raise CheckpointError(f"{path} is not a checkpoint of lenetscope.")
        if type(content["format"]) is not int or content["format"] != FORMAT:
            raise CheckpointError(
                f"{path} has checkpoint format {schema.described(content['format'])}; this version of "
                f"lenetscope reads format {FORMAT}."
            )
        restored = _checked(state, content, path)
    except SchemaError as error:
        raise CheckpointError(
            f"{path} does not fit this training, and nothing of it was restored: {error}. Give a "
            "checkpoint of the same network, optimizer and schedule."
        ) from error
    state.load_state_dict(restored)


def _read(path: Path) -> Any:
    """Read tensors and plain values from a file that `torch.save` wrote."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    try:
        if corrupt := zipfile.ZipFile(io.BytesIO(data)).testzip():
            raise zipfile.BadZipFile(corrupt)
        with safe_globals(NUMPY), warnings.catch_warnings(action="ignore"):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the readers raise whatever they like
        unsafe = isinstance(error, UnpicklingError) and "GLOBAL" in str(error)
        if unsafe or data.startswith(PICKLE):
            raise CheckpointError(
                f"{path} holds code besides numbers and is not opened: it could run anything. Only "
                "open checkpoints that lenetscope wrote."
            ) from error
        raise CheckpointError(f"the checkpoint {path} is truncated or damaged.") from error


class _NumpyType:
    """Stands for ``numpy.dtype`` in a file: NumPy's own would take any state for granted."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = {"f8": "<f8", "f4": "<f4", "i8": "<i8"}[code]

    def __setstate__(self, _state: Any) -> None: ...


def _number_of(kind: _NumpyType, data: bytes) -> Any:
    """Return a scalar of NumPy's as a plain number."""
    return np.frombuffer(data, kind.code, count=1)[0].item()


NUMPY: list[Any] = [(_NumpyType, "numpy.dtype")]
NUMPY += [(_number_of, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]


def _from_book(state: TrainState, content: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of StepByStep in the form of a `TrainState`."""
    losses, valid = (
        schema.list_of(schema.anything)(content[name], name) for name in ("loss", "val_loss")
    )
    pairs = enumerate(zip_longest(losses, valid), start=1)
    history = [
        dict.fromkeys(ROW) | {"epoch": n, "train_loss": t, "valid_loss": v} for n, (t, v) in pairs
    ]
    shape = {
        "state": schema.anything,
        "param_groups": schema.list_of(schema.mapping_of(schema.anything)),
    }
    optimizer = schema.record(shape)(content["optimizer_state_dict"], "optimizer_state_dict")
    for mine, theirs in zip(state.optimizer.param_groups, optimizer["param_groups"], strict=False):
        for name, value in mine.items():
            if value is None or isinstance(value, bool):  # a switch that older versions did not have
                theirs.setdefault(name, value)
    found = {"model": content["model_state_dict"], "optimizer": optimizer}
    fresh = TrainState(state.model, state.optimizer).state_dict()
    return fresh | found | {"epoch": content["epoch"], "history": history}


def _checked(state: TrainState, content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, ready to be restored.

    Raises:
        SchemaError: if it cannot be a state, or is of another optimizer or schedule.
        CheckpointError: if it is of another network.
    """
    mine = state.state_dict()
    found: dict[str, Any] = schema.record(dict.fromkeys(mine, schema.anything))(content, "")
    for name, check in {"optimizer_kind": schema.text, "tally": Tally.checked, **PLAIN}.items():
        found[name] = check(found[name], name)
    theirs, own = found["optimizer_kind"], mine["optimizer_kind"]
    if theirs != own:
        raise SchemaError(f"it is of optimizer {theirs:.60}, the training of {own}")
    if (found["scheduler"] is None) != (state.scheduler is None):
        raise SchemaError(
            f"only the {'training' if state.scheduler else 'checkpoint'} has a learning rate schedule"
        )
    for name in ("model", "best", "last"):
        if name == "model" or found[name] is not None:
            found[name] = require_same_tensors(mine["model"], found[name], path)
    require_consistent(found)
    found["scheduler"] = _like_schedule(mine["scheduler"])(found["scheduler"], "scheduler")
    found["optimizer"] = _like_optimizer(mine["optimizer"])(found["optimizer"], "optimizer")
    found["optimizer"]["state"] = _moments(state, found)
    return found


def require_same_tensors(expected: Mapping[str, Any], found: Any, path: Path) -> dict[str, Any]:
    """Compare the tensors of a network with those of a file, and return copies of the latter.

    Raises:
        CheckpointError: naming each tensor that is missing, unexpected, of another shape or dtype, or
            spoiled by infinity or NaN.
    """
    try:
        found = schema.mapping_of(schema.anything)(found, "model")
    except SchemaError as error:
        raise CheckpointError(f"{path} holds no network: {error}.") from error
    differences = [f"{name} is missing" for name in expected if name not in found]
    differences += [f"{name:.60} is not in the network" for name in found if name not in expected]
    tensors = {}
    for name in expected.keys() & found.keys():
        try:
            tensors[name] = schema.like(expected[name], lambda _: schema.number(), {})(
                found[name], name
            )
        except SchemaError as error:
            differences.append(str(error))
    if differences:
        more = f"; and {len(differences) - LISTED} more" if len(differences) > LISTED else ""
        raise CheckpointError(
            f"{path} is of another network: {'; '.join(sorted(differences)[:LISTED])}{more}."
        )
    if spoiled := [name for name in expected if _finite(expected[name]) and not _finite(tensors[name])]:
        raise CheckpointError(
            f"{path} holds infinity or NaN in {', '.join(spoiled[:LISTED])}: it is damaged, or its "
            "training diverged. Take the weights of an earlier epoch, or train again."
        )
    return tensors


def _finite(value: Any) -> bool:
    """Tell whether a value has only finite numbers; a tensor without memory has none."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return True
    values = value if value.itemsize > 1 else value.float()  # torch cannot tell for one byte
    return not value.is_meta and bool(torch.isfinite(values).all())


def _like_schedule(mine: Any) -> Check:
    named = {
        "last_epoch": schema.whole(-1),
        "_step_count": schema.whole(),
        "best": schema.number(finite=False),  # of ReduceLROnPlateau, at first infinite
    }
    return schema.like(mine, lambda value: schema.number(finite=math.isfinite(value)), named)


def _like_optimizer(mine: dict[str, Any]) -> Check:
    """Return the check of an optimizer's state: of its groups, not of what it keeps per parameter."""

    def number(value: float) -> Check:
        return schema.number(0 if value >= 0 else -math.inf)

    groups = []
    for group in mine["param_groups"]:
        named = {"params": schema.items(*map(schema.equal, group["params"]))}
        if not isinstance(group["lr"], Tensor):
            named["lr"] = schema.number()  # rounding may bring the end of a schedule below 0
        groups.append(schema.like(group, number, named))
    state = schema.mapping_of(schema.mapping_of(schema.anything), key=schema.whole())
    return schema.record({"state": state, "param_groups": schema.items(*groups)})


def _moments(state: TrainState, found: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return what the optimizer keeps per parameter, each tensor as it keeps it itself after a step.

    Raises:
        SchemaError: if anything is missing or of another kind, or no step can be taken.
    """
    kept: dict[int, dict[str, Any]] = found["optimizer"]["state"]
    if not isinstance(state.optimizer, REHEARSED):
        return kept
    moments, rehearsed = {}, _rehearsed(state, found["optimizer"]["param_groups"], found["scheduler"])
    for index, values in kept.items():
        where, known = f"optimizer.state.{index}", {n: v for n, v in values.items() if v is not None}
        if index >= len(rehearsed):
            raise SchemaError(f"{where} is of no parameter: the optimizer has {len(rehearsed)}")
        parameter, mine = rehearsed[index]
        # what a step does not need is left of another choice, such as momentum, and may be needed again
        left = dict.fromkeys(known.keys() - mine.keys(), schema.tensor_like(parameter))
        needed = {name: _like_moment(value) for name, value in mine.items()}
        moments[index] = schema.record(needed, left)(known, where) if known else {}
    return moments


def _like_moment(mine: Any) -> Check:
    """Return the check of a tensor like another one, or, if that is a single number, of a number."""
    if not isinstance(mine, Tensor) or mine.ndim:
        return schema.like(mine, lambda _: schema.number(), {})

    def check(value: Any, where: str) -> Tensor:
        single = isinstance(value, Tensor) and schema.described(value).startswith("a tensor []")
        return torch.full_like(mine, schema.number(0)(value.item() if single else value, where))

    return check


def _rehearsed(state: TrainState, groups: Any, schedule: Any) -> list[tuple[Tensor, dict[str, Any]]]:
    """Take a step with copies of optimizer and scheduler: the parameters, and what is kept of each.

    Raises:
        SchemaError: if the step cannot be taken with these settings.
    """
    groups, schedule = copy.deepcopy((groups, schedule))
    optimizer = copy.deepcopy(state.optimizer)
    for name in vars(state.optimizer).keys() - vars(optimizer).keys() - {"step"}:  # of a subclass
        setattr(optimizer, name, getattr(state.optimizer, name))
    for mine, theirs in zip(optimizer.param_groups, groups, strict=True):
        mine.update({**theirs, "params": mine["params"]})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    scheduler = copy.deepcopy(state.scheduler, {id(state.optimizer): optimizer})
    try:
        with warnings.catch_warnings(action="ignore"):
            optimizer.step()
            if isinstance(scheduler, LRScheduler):
                scheduler.load_state_dict(schedule)
                scheduler.step(0) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()
        for group in optimizer.param_groups:
            schema.number()(float(group["lr"]), "the next learning rate")
    except Exception as error:
        if "Tried to step" not in str(error):  # a schedule that has ended is in order
            why = str(error).partition("\n")[0]
            raise SchemaError(f"optimizer or scheduler cannot go on: {why:.200}") from error
    return [(p, optimizer.state.get(p, {})) for p in parameters]
