"""What torch complains about inside a network, in words that name the layer."""

import dis
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from lenetscope.arguments import shown
from lenetscope.errors import DataError

MENDS = {
    "more than 1 value per channel": "Leave a batch of one sample out, with DataLoader(…, "
    "drop_last=True), or choose another batch size.",
    "more than 1 spatial element": "Put this layer where maps are larger than 1x1, or give larger "
    "images.",
    "expected target dtype to be Long": "Class numbers are int64: labels.long().",
    "multi-target not supported": "Give one class number per sample, (N,): labels.flatten().",
    "desired output type Long": "This loss takes float32 labels: labels.float().",
    "must be the same as input size": "Give the labels the shape of the outputs.",
}
"""What to do about words of torch that do not say it."""


@contextmanager
def explained(model: nn.Module) -> Iterator[None]:
    """Say which layer cannot take what the model was given in the block, in place of torch's words.

    Raises:
        DataError: in place of what torch raised, see `complaint`.
    """
    try:
        yield
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        words = complaint(error)
        if words is None or not (why := _why(model, error, words)):
            raise
        raise DataError(why) from error


def reason(model: nn.Module, error: Exception) -> str:
    """Return why a model could not take what it was given: the layer, what arrived, and the words.

    Args:
        model: which was called.
        error: what it raised, whatever that is.
    """
    said = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
    return _why(model, error, complaint(error) or said) or f"{said}."


def complaint(error: Exception) -> str | None:
    """Return what torch says is wrong, and a mend; None if other code says so, or memory lacks."""
    *_, last = _traces(error)
    name, here = last.tb_frame.f_globals.get("__name__", ""), last.tb_frame.f_code
    raised = here.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]  # else torch's C++ raised
    torchs = name.startswith("torch.") or (isinstance(error, RuntimeError) and not raised)
    if not torchs or "memory" in str(error):
        return None
    words = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return ". ".join([words, *(mend for said, mend in MENDS.items() if said in words)]).rstrip(".")


def _why(model: nn.Module, error: Exception, words: str) -> str | None:
    """Return what the innermost module that failed was given, and takes."""
    frames = [trace.tb_frame for trace in _traces(error)]
    calls = [n for n, frame in enumerate(frames) if frame.f_code.co_name == "_call_impl"]
    names = [frame.f_code.co_name for frame in frames[calls[-1] + 1 :]] if calls else []
    if not calls or next((name for name in names if name != "inner"), "forward") != "forward":
        return None  # a hook raised
    layer, given = (frames[calls[-1]].f_locals[name] for name in ("self", "args"))
    whole = ", ".join(map(shown, frames[calls[0]].f_locals["args"]))
    start = f"the model cannot take {whole}: "
    name = next((name for name, each in model.named_modules() if each is layer), "")
    if not name:
        return f"{start}{words}."
    start += f"layer '{name}' ({type(layer).__name__})"
    if given and (takes := _takes(layer, given[0])):
        return f"{start} takes {takes}, and was given {shown(given[0])}."
    return f"{start} was given {', '.join(map(shown, given))}; {words}."


def _traces(error: Exception) -> Iterator[TracebackType]:
    """Yield the calls that led to an error, the outermost first."""
    trace = error.__traceback__
    while trace:
        yield trace
        trace = trace.tb_next


def _takes(layer: nn.Module, given: Any) -> str | None:
    """Return the shape, or the number format, that a layer takes and that is not the given one."""
    weight = getattr(layer, "weight", None)
    if not isinstance(given, Tensor) or not isinstance(weight, Tensor):
        return None
    kinds = {"2d": (4, "H, W"), "3d": (5, "D, H, W")}
    dimensions, rest = kinds.get(type(layer).__name__[-2:], (given.ndim, "…"))
    last = getattr(layer, "in_features", None) or getattr(layer, "normalized_shape", None)
    second = getattr(layer, "in_channels", None) or getattr(layer, "num_features", None)
    if last and given.shape[-len(last := last if isinstance(last, tuple) else (last,)) :] != last:
        return f"(…, {', '.join(map(str, last))})"
    if second and (given.shape[1:2] != (second,) or given.ndim != dimensions):
        return f"(N, {second}, {rest})"
    if given.dtype != weight.dtype and (last or second):
        return str(weight.dtype).removeprefix("torch.")
    return None
