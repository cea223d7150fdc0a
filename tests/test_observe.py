"""Observing: hooks see what the model computes, and nothing is left behind."""

import copy
import io
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import lenetscope
from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.observe import (
    Call,
    batches,
    find_layer,
    find_layers,
    is_observed,
    layer_outputs,
    observe,
    require_images,
)
from lenetscope.restore import restored


class Twice(nn.Module):
    """One ReLU called twice, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(x))))


def test_layers_are_found_by_name_by_call_and_by_pattern() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 2))
    assert list(find_layers(model)) == ["0.0", "0.1", "1"]
    assert list(find_layers(model, "0.*")) == ["0.0", "0.1"]
    assert list(find_layers(model, ["1", "*.1"])) == ["1", "0.1"]
    assert list(find_layers(model, ["0.1:2", "1:0"])) == ["0.1:2", "1"]
    assert find_layer(model, "0.1:1") == ("0.1:1", model[0][1])
    for name in ("", "0.0.0", "Linear", "2*", "1:x"):
        with pytest.raises(LayerError, match="unknown layer"):
            find_layers(model, [name])
    with pytest.raises(LayerError, match="unknown layer"):
        find_layer(model, "0.*")
    assert list(find_layers(torch.compile(model), "1")) == ["1"]


@pytest.mark.parametrize(
    ("layers", "keys"),
    [
        (None, ["first", "relu", "second", "relu:1"]),
        ("relu", ["relu", "relu:1"]),
        ("relu:1", ["relu:1"]),
        (["relu:1", "relu"], ["relu", "relu:1"]),
    ],
)
def test_calls_of_a_layer_are_counted_in_each_pass(layers: object, keys: list[str]) -> None:
    seen: list[str] = []
    with observe(model := Twice(), layers, lambda call: seen.append(call.key)):
        model(torch.rand(3, 2))
        model(torch.rand(1, 2))
    assert seen == keys * 2


def test_a_callback_sees_inputs_before_and_can_replace_outputs_after() -> None:
    model, x = Twice(), torch.tensor([[1.0, -2.0]])
    given: list[torch.Tensor] = []
    with observe(model, "relu", lambda call: given.append(call.inputs[0].clone()), when="before"):
        model(x)
    assert torch.equal(given[0], model.first(x))
    with observe(model, "relu:1", lambda call: torch.full_like(call.outputs, 7.0)):
        assert model(x).tolist() == [[7.0, 7.0]]


def test_a_compiled_model_is_observed_inside_the_block() -> None:
    model, x = Twice(), torch.rand(2, 2)
    compiled = torch.compile(model)
    with torch.no_grad():
        expected = compiled(x)
        seen: list[torch.Tensor] = []
        for asked in (compiled, model):
            with observe(asked, "relu:1", lambda call: seen.append(call.tensor.clone())):
                compiled(x)
    assert len(seen) == 2
    assert all(torch.allclose(values, expected) for values in seen)


@pytest.mark.parametrize("fails", [False, True])
def test_a_block_restores_everything(fails: bool) -> None:
    model = SmallCNN().train()
    model.dropout.eval()
    model(torch.rand(2, 1, 10, 10)).sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    modes, stream = [m.training for m in model.modules()], torch.get_rng_state()

    def see(_call: Call) -> None:
        torch.rand(3)
        if fails:
            raise RuntimeError("broken")

    def run() -> None:
        with observe(model, "fc", see, mode="eval"):
            assert is_observed(model)
            assert not any(m.training for m in model.modules())
            model.zero_grad()
            model(torch.rand(2, 1, 10, 10)).sum().backward()

    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            run()
    else:
        run()
    assert not is_observed(model)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))


def test_copies_of_an_observed_model_are_not_observed() -> None:
    model, seen = Twice(), []
    observer = observe(model, "relu", seen.append)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    buffer = io.BytesIO()
    torch.save(model, buffer)
    for each in copies:
        each(torch.rand(1, 2))
    assert seen == []
    model(torch.rand(1, 2))
    assert [call.key for call in seen] == ["relu", "relu:1"]
    observer.remove()
    assert not is_observed(model)


def test_images_go_through_in_batches_and_are_not_changed() -> None:
    model, images = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 1)), torch.randn(5, 2)
    kept, seen = images.clone(), []
    layer_outputs(model, images, "0", lambda call: seen.append(call.tensor.clone()), batch_size=2)
    assert [len(values) for values in seen] == [2, 2, 1]
    assert torch.equal(torch.cat(seen), kept.relu())
    assert torch.equal(images, kept)
    with pytest.raises(LayerError, match="'1:1' does not run"):
        layer_outputs(model, images, "1:1", lambda call: None)
    with pytest.raises(UsageError, match="batch_size"):
        list(batches(model, images, 0))


def test_models_and_images_that_cannot_be_observed_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    model = nn.Flatten()
    with pytest.raises(UsageError, match="the model takes 2 inputs \\(x, y\\)"):
        require_images(Two(), torch.rand(1, 2))
    for images in (torch.rand(3), torch.rand(0, 2), [[1.0]]):
        with pytest.raises(DataError, match="with N of at least 1"):
            require_images(model, images)
    for images in (torch.rand(3, 2), torch.zeros(1, 1, 2, 2, dtype=torch.uint8)):
        with pytest.raises(DataError, match="must be floats"):
            require_images(model, images, 4)
    with pytest.raises(DataError, match="infinite or NaN"):
        require_images(model, torch.full((1, 1, 2, 2), torch.nan), 4)
    with pytest.raises(UsageError, match="mode 'train' is not one of 'as is' or 'eval'"):
        observe(model, None, print, mode="train")


def test_gradients_are_restored_bit_for_bit() -> None:
    model = nn.Linear(2, 1)
    model.weight.grad = (kept := torch.ones(1, 2))
    with restored(model):
        model(torch.rand(4, 2)).sum().backward()
    assert model.weight.grad is kept
    assert kept.tolist() == [[1.0, 1.0]]
    assert model.bias.grad is None


def test_hooks_are_registered_in_one_module() -> None:
    root = Path(lenetscope.__file__).parent
    files = [
        p
        for p in root.rglob("*.py")
        if re.search(r"\.register_(?!comm_)\w*hook\(", p.read_text("utf-8"))
    ]
    assert [str(p.relative_to(root)) for p in files] == ["observe.py"]
