"""Checkpoints that can be opened and hold what no training holds: refused, and nothing is changed."""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, rng
from lenetscope.errors import CheckpointError, DataError, UsageError
from lenetscope.training.checkpoint import dumps, load_into
from lenetscope.training.state import FORMAT

Content = dict[str, Any]
Place = tuple[Any, ...]

STEPS = 5
"""Per epoch."""


def sgd(model: nn.Module) -> tuple[optim.Optimizer, Any]:
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)
    return optimizer, lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3 * STEPS)


def adam(model: nn.Module) -> tuple[optim.Optimizer, Any]:
    optimizer = optim.Adam(model.parameters(), lr=0.001, fused=True)
    return optimizer, lr_scheduler.ReduceLROnPlateau(optimizer)


def make(choose: Callable[[nn.Module], tuple[optim.Optimizer, Any]] = sgd) -> Architecture:
    """Return a training that has not begun: the same each time."""
    generator = torch.Generator().manual_seed(5)
    images, labels = torch.rand(40, 1, 10, 10, generator=generator), torch.arange(40) % 3
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = SmallCNN()
    optimizer, scheduler = choose(model)
    arch = Architecture(model, nn.CrossEntropyLoss(), optimizer, device="cpu", threads=1)
    arch.set_lr_scheduler(scheduler)
    data = TensorDataset(images, labels)
    order = torch.Generator().manual_seed(1)
    arch.set_loaders(DataLoader(data, 8, shuffle=True, generator=order), DataLoader(data, 40))
    return arch


def in_the_middle(choose: Callable[[nn.Module], tuple[optim.Optimizer, Any]]) -> Content:
    """Return what a checkpoint holds after two steps of the second epoch."""
    arch = make(choose)
    arch.train(2, progress=False, stop=lambda: (arch.state.epoch, arch.state.step) == (1, 2))
    content: Content = torch.load(io.BytesIO(dumps(arch.state)), weights_only=True)
    return content


@pytest.fixture(scope="module")
def saved() -> dict[Any, Content]:
    return {each: in_the_middle(each) for each in (sgd, adam)}


def everything(arch: Architecture) -> bytes:
    """Return all that a failed restoration could have changed, bit for bit."""
    buffer = io.BytesIO()
    torch.save([arch.state.state_dict(), rng.capture(arch.train_loader)], buffer)
    return buffer.getvalue()


def refusal(arch: Architecture, content: Any, path: Path) -> str:
    """Return the message with which a checkpoint is refused; nothing was changed by it."""
    torch.save(content, path)
    before, memory = everything(arch), [p.data_ptr() for p in arch.model.parameters()]
    with pytest.raises(CheckpointError) as caught:
        load_into(arch.state, path)
    assert everything(arch) == before
    assert [p.data_ptr() for p in arch.model.parameters()] == memory
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600 + len(str(path))
    return message


def replaced(content: Any, place: Place, value: Any) -> Any:
    """Return a copy of nested lists and dicts with another value in one place."""
    if not place:
        return value
    first, *rest = place
    copied = list(content) if isinstance(content, (list, tuple)) else dict(content)
    copied[first] = replaced(copied[first], tuple(rest), value)
    return tuple(copied) if isinstance(content, tuple) else copied


def removed(content: Content, place: Place) -> Content:
    """Return a copy without an entry of a dict."""
    *parents, last = place
    parent = content
    for each in parents:
        parent = parent[each]
    return replaced(content, tuple(parents), {k: v for k, v in parent.items() if k != last})


WRONG: dict[str, Any] = {
    "none": None,
    "text": "1",
    "dict": {},
    "list": [],
    "nan": math.nan,
    "infinity": math.inf,
    "negative": -5,
    "fraction": 2.5,
    "huge": 2**70,
    "flag": True,
    "tensor": torch.zeros(2),
    "nested": [[[]]],
    "bytes": bytearray(b"12"),
}
FLOATS = {"fraction"}
LOSSES = {"none", "nan", "infinity", "negative", "fraction"}
OPTIONAL = {"none", "fraction"}

PLACES: dict[Place, set[str]] = {
    ("epoch",): set(),
    ("step",): set(),
    ("seconds",): FLOATS,
    ("seed",): {"none"},
    ("learning_rates",): {"list"},
    ("learning_rates", 0): {"list"},
    ("learning_rates", 0, 0): {"fraction", "negative"},
    ("schedule_ends",): {"list"},
    ("optimizer_kind",): {"text"},  # see test_checkpoint.py
    ("history",): set(),
    ("history", 0): set(),
    ("history", 0, "epoch"): set(),
    ("history", 0, "train_loss"): LOSSES,
    ("history", 0, "valid_loss"): LOSSES,
    ("history", 0, "train_accuracy"): {"none"},
    ("history", 0, "valid_accuracy"): {"none"},
    ("history", 0, "lr"): {"none", "fraction", "negative"},
    ("history", 0, "train_seconds"): OPTIONAL,
    ("history", 0, "valid_seconds"): OPTIONAL,
    ("tally",): set(),
    ("tally", "n"): set(),
    ("tally", "loss_sum"): {"fraction", "negative"},
    ("tally", "confusion"): {"none"},
    ("rng",): set(),
    ("rng", 0): set(),
    ("rng", 0, "python"): set(),
    ("rng", 0, "python", 0): set(),
    ("rng", 0, "python", 1): set(),
    ("rng", 0, "python", 1, 0): set(),
    ("rng", 0, "python", 1, 624): set(),
    ("rng", 0, "python", 2): {"none", "fraction", "negative"},
    ("rng", 0, "numpy"): set(),
    ("rng", 0, "numpy", 0): set(),
    ("rng", 0, "numpy", 1): set(),
    ("rng", 0, "numpy", 2): set(),
    ("rng", 0, "numpy", 3): set(),
    ("rng", 0, "numpy", 4): {"fraction", "negative"},
    ("rng", 0, "torch"): set(),
    ("rng", 0, "loader"): {"list"},
    ("epoch_rng",): set(),
    ("epoch_rng", 0): set(),
    ("epoch_rng", 0, "torch"): set(),
    ("model",): set(),
    ("model", "conv1.weight"): set(),
    ("model", "fc.bias"): set(),
    ("optimizer",): set(),
    ("optimizer", "state"): {"dict"},  # as before the first step
    ("optimizer", "state", 0): {"dict"},
    ("optimizer", "param_groups"): set(),
    ("optimizer", "param_groups", 0): set(),
    ("optimizer", "param_groups", 0, "params"): set(),
    ("optimizer", "param_groups", 0, "params", 0): set(),
    ("optimizer", "param_groups", 0, "lr"): {"fraction", "negative"},
    ("optimizer", "param_groups", 0, "weight_decay"): FLOATS,
    ("optimizer", "param_groups", 0, "maximize"): {"flag"},
    ("scheduler",): set(),
    ("scheduler", "last_epoch"): set(),
    ("scheduler", "_last_lr"): set(),
    ("best",): {"none"},
    ("last",): {"none"},
}
"""Where a checkpoint is given each wrong value, and which of them are allowed there."""

OF_SGD: dict[Place, set[str]] = {
    ("optimizer", "state", 0, "momentum_buffer"): {"none"},
    ("optimizer", "param_groups", 0, "momentum"): FLOATS,
    ("scheduler", "total_steps"): {"fraction", "negative"},
    ("scheduler", "base_lrs", 0): {"negative", "fraction"},
    ("scheduler", "_schedule_phases"): set(),
    ("scheduler", "_schedule_phases", 0): set(),
    ("scheduler", "_schedule_phases", 0, "start_lr"): set(),
    ("scheduler", "_anneal_func_type"): set(),
}
OF_ADAM: dict[Place, set[str]] = {
    ("optimizer", "state", 0, "step"): FLOATS,
    ("optimizer", "state", 3, "exp_avg"): set(),
    ("optimizer", "state", 3, "exp_avg_sq"): set(),
    ("optimizer", "param_groups", 0, "betas"): set(),
    ("optimizer", "param_groups", 0, "betas", 1): FLOATS,
    ("optimizer", "param_groups", 0, "eps"): FLOATS,
    ("optimizer", "param_groups", 0, "amsgrad"): set(),
    ("scheduler", "mode"): set(),
    ("scheduler", "best"): {"nan", "infinity", "negative", "fraction"},
    ("scheduler", "num_bad_epochs"): {"negative", "fraction"},
}
LEFT_OUT = [("optimizer", "state", 0, "momentum_buffer")]
"""What may be missing: the buffer of a parameter that had no gradient yet."""
CASES = [(sgd, place) for place in {**PLACES, **OF_SGD}] + [(adam, place) for place in OF_ADAM]


@pytest.mark.parametrize(("choose", "place"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_each_field_is_checked(
    saved: dict[Any, Content], tmp_path: Path, choose: Any, place: Place
) -> None:
    content, allowed = saved[choose], {**PLACES, **OF_SGD, **OF_ADAM}[place]
    arch = make(choose)
    for kind, value in WRONG.items():
        if kind in allowed:
            continue
        message = refusal(arch, replaced(content, place, value), tmp_path / "c.pt")
        assert place[0] in message or "network" in message or "schedule" in message, (kind, message)
    if isinstance(place[-1], str) and place not in LEFT_OUT:
        message = refusal(arch, removed(content, place), tmp_path / "c.pt")
        assert f"{place[-1]} is missing" in message


def of(tensor: Tensor) -> Iterator[tuple[str, Any]]:
    """Yield what is not a tensor like this one, and can be saved."""
    shape = [*tensor.shape]
    yield "longer", torch.zeros([n + 1 for n in shape] or [1], dtype=tensor.dtype)
    yield "shorter", torch.zeros([n - 1 for n in shape] or [0], dtype=tensor.dtype)
    yield "scalar" if shape else "vector", torch.zeros([] if shape else [2], dtype=tensor.dtype)
    yield "one more dimension", tensor[None]
    yield (
        "huge, of one number",
        torch.zeros(1, dtype=tensor.dtype).expand([999 for _ in shape] or [9]),
    )
    yield "meta", torch.zeros(shape, dtype=tensor.dtype, device="meta")
    yield "complex", torch.zeros(shape, dtype=torch.complex64)
    yield "bool", torch.zeros(shape, dtype=torch.bool)
    if shape:  # a single number is one in any format
        yield "float16", torch.zeros(shape, dtype=torch.float16)
    yield "sparse", torch.zeros(shape, dtype=tensor.dtype).to_sparse()
    with warnings.catch_warnings(action="ignore"):
        yield "nested", torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
        if shape:
            yield "quantized", torch.quantize_per_tensor(torch.zeros(shape), 1.0, 0, torch.quint8)
    if tensor.is_floating_point():
        yield "infinite" if shape else "not a number", torch.full_like(tensor, math.nan)


TENSORS: list[tuple[Any, Place]] = [
    (sgd, ("model", "conv1.weight")),
    (sgd, ("tally", "confusion")),
    (sgd, ("rng", 0, "numpy", 1)),
    (sgd, ("rng", 0, "torch")),
    (sgd, ("rng", 0, "loader", 0)),
    (sgd, ("optimizer", "state", 0, "momentum_buffer")),
    (sgd, ("optimizer", "state", 1, "momentum_buffer")),
    (adam, ("optimizer", "state", 0, "step")),
    (adam, ("optimizer", "state", 0, "exp_avg")),
    (adam, ("optimizer", "state", 3, "exp_avg_sq")),
]


ALLOWED = {("optimizer", "infinite"), ("tally", "longer"), ("tally", "shorter")}
"""Moments may overflow; how many classes there are, the first batch will tell."""


@pytest.mark.parametrize(("choose", "place"), TENSORS, ids=lambda v: getattr(v, "__name__", None))
def test_each_tensor_is_checked(
    saved: dict[Any, Content], tmp_path: Path, choose: Any, place: Place
) -> None:
    content: Any = saved[choose]
    tensor = content
    for each in place:
        tensor = tensor[each]
    for kind, value in of(tensor):
        if (place[0], kind) in ALLOWED:
            continue
        message = refusal(make(choose), replaced(content, place, value), tmp_path / "c.pt")
        assert str(place[-1]) in message or str(place[0]) in message, (kind, message)


SAME: dict[str, Callable[[Tensor], Any]] = {
    "requires_grad": lambda t: t.clone().requires_grad_(),
    "parameter": lambda t: nn.Parameter(t.clone()),
    "other strides": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "of a large storage": lambda t: torch.cat([t, t, t])[: len(t)],
}


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("choose", [sgd, adam])
def test_a_tensor_with_the_same_numbers_trains_to_the_same_bits(
    saved: dict[Any, Content], tmp_path: Path, choose: Any, kind: str
) -> None:
    content = saved[choose]
    for part, each in (("model", content["model"]), *content["optimizer"]["state"].items()):
        for name, tensor in each.items():
            place = (part, name) if part == "model" else ("optimizer", "state", part, name)
            if tensor.ndim:
                content = replaced(content, place, SAME[kind](tensor))
    weights = []
    for each in (saved[choose], content):
        arch = make(choose)
        torch.save(each, tmp_path / "c.pt")
        arch.load_checkpoint(tmp_path / "c.pt")
        arch.train(2, progress=False)
        weights.append(arch.model)
    assert same_weights(*weights)


def test_a_buffer_for_which_there_is_no_parameter_is_named(
    saved: dict[Any, Content], tmp_path: Path
) -> None:
    state = saved[sgd]["optimizer"]["state"]
    for index, entry in ((4, state[0]), (-1, state[0]), (0, {**state[0], "more": torch.zeros(2)})):
        content = replaced(saved[sgd], ("optimizer", "state"), {**state, index: entry})
        assert "optimizer" in refusal(make(), content, tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 2}, "history must have a row for each of 2 epochs"),
        ({"epoch": 0}, "history must have a row for each of 0 epochs"),
        ({"step": 0}, "step is 0, and tally.n is 16"),
        ({"rng": None}, "step is 2, and the random streams rng and epoch_rng are missing"),
        ({"epoch_rng": None}, "step is 2, and the random streams rng and epoch_rng are missing"),
        ({"tally": {"n": 0, "loss_sum": 1.0, "confusion": None}}, "tally.n is 0, and the sums"),
        ({"tally": {"n": 0, "loss_sum": 0, "confusion": None}}, "step is 2, and tally.n is 0"),
        ({"learning_rates": [[0.1, "0.1"]]}, "must be a finite number, not '0.1'"),
    ],
)  # fmt: skip
def test_fields_that_contradict_each_other_are_named(
    saved: dict[Any, Content], tmp_path: Path, changes: Content, message: str
) -> None:
    assert re.search(message, refusal(make(), saved[sgd] | changes, tmp_path / "c.pt"))


@pytest.mark.parametrize(
    "content", [None, [], {}, {"format": None}, {"format": FORMAT}, torch.zeros(2)]
)
def test_only_a_part_of_a_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    refusal(make(), content, tmp_path / "c.pt")


def test_streams_that_would_be_read_outside_of_their_memory_are_refused(
    saved: dict[Any, Content], tmp_path: Path
) -> None:
    """A place beyond the 624 words of NumPy's and Python's generators."""
    for place, value in ((("numpy", 2), 625), (("python", 1, 624), 625)):
        content = replaced(saved[sgd], ("rng", 0, *place), value)
        assert "rng[0]" in refusal(make(), content, tmp_path / "c.pt")


def test_more_steps_than_an_epoch_has_are_refused_before_training(
    saved: dict[Any, Content], tmp_path: Path
) -> None:
    torch.save(saved[sgd] | {"step": STEPS + 1}, tmp_path / "c.pt")
    arch = make()
    arch.load_checkpoint(tmp_path / "c.pt")
    before = everything(arch)
    with pytest.raises(UsageError, match="6 steps of this epoch are done, and the loader has 5"):
        arch.train(1, progress=False)
    assert everything(arch) == before


def test_a_tally_of_other_classes_is_refused_with_the_first_batch(
    saved: dict[Any, Content], tmp_path: Path
) -> None:
    counts = torch.ones(4, 4, dtype=torch.int64)
    torch.save(replaced(saved[sgd], ("tally", "confusion"), counts), tmp_path / "c.pt")
    arch = make()
    arch.load_checkpoint(tmp_path / "c.pt")
    with pytest.raises(DataError, match="returns 3 classes for this batch, and returned 4"):
        arch.train(2, progress=False)
