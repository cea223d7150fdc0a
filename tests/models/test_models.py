"""The networks: shapes, parameters, and that initial weights depend on the seed alone."""

import pytest
import torch
from torch import nn

from conftest import same_weights
from lenetscope import Recipe
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import UsageError
from lenetscope.models import MODELS, build, memory_format
from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.reader import ReaderNet
from lenetscope.restore import eval_mode


def test_the_reference_network_layer_by_layer() -> None:
    model = LeNet()
    shapes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape)})
        )
    model(torch.zeros(2, 1, 28, 28))
    assert shapes == {
        "conv1": (2, 32, 28, 28), "pool1": (2, 32, 14, 14), "relu1": (2, 32, 14, 14),
        "conv2": (2, 64, 14, 14), "pool2": (2, 64, 7, 7), "relu2": (2, 64, 7, 7),
        "flatten": (2, 3136), "fc1": (2, 128), "relu3": (2, 128), "dropout": (2, 128), "fc2": (2, 10),
    }  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == 421_642
    assert model.dropout.p == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_relu_after_the_pooling_is_relu_before_it_bit_for_bit(dtype: torch.dtype) -> None:
    digits = load(Recipe.load("reference")).test.images[:64]
    images = Preprocess((0.5,), (0.5,))(digits).to(dtype)
    model = LeNet(dropout=0.0).to(dtype)
    usual = nn.Sequential(
        model.conv1, nn.ReLU(), nn.MaxPool2d(2), model.conv2, nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), model.fc1, nn.ReLU(), model.fc2,
    )  # fmt: skip
    results = []
    for network in (model, usual):
        model.zero_grad()
        logits = network(images)
        logits.square().sum().backward()
        results.append([logits, *(p.grad.clone() for p in model.parameters())])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*results, strict=True))
    assert all(bool(gradient.any()) for gradient in results[0])


def test_the_lean_network_layer_by_layer() -> None:
    model = LeanNet()
    x = torch.zeros(2, 1, 28, 28)
    shapes = [tuple((x := layer(x)).shape[1:]) for layer in model.children()]
    assert shapes == [
        (16, 24, 24), (16, 12, 12), (16, 12, 12), (32, 10, 10), (32, 5, 5), (32, 5, 5),
        (800,), (256,), (256,), (256,), (10,),
    ]  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == 212_682


def test_the_reading_network_block_by_block() -> None:
    model = ReaderNet()
    shapes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape[1:])})
        )
    model(torch.zeros(2, 1, 28, 28))
    assert shapes == {
        "block1": (16, 14, 14), "block2": (32, 14, 14), "block3": (32, 7, 7), "block4": (80, 7, 7),
        "block5": (80, 7, 7), "block6": (80, 7, 7), "average": (80, 1, 1), "flatten": (80,),
        "dropout": (80,), "fc": (11,),
    }  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == 153_995
    model.eval()
    images = torch.rand(3, 1, 28, 28)
    before = model.block4(model.block3(model.block2(model.block1(images))))
    after = before + model.block6(model.block5(before))
    assert torch.allclose(model(images), after.mean((2, 3)) @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize(("wanted", "found"), [("auto", "channels_last"), ("contiguous", "contiguous")])
def test_the_memory_format_changes_nothing_but_the_order_in_memory(wanted: str, found: str) -> None:
    recipe = Recipe.load("reference")
    model = build(recipe.replace(memory_format=wanted), (1, 28, 28), 10)
    assert memory_format(model) == found
    assert same_weights(model, build(recipe, (1, 28, 28), 10))
    assert memory_format(nn.Linear(2, 2)) == "contiguous"


def test_the_reference_network_computes_what_plain_functions_compute() -> None:
    model = LeNet().eval()
    images = torch.rand(3, 1, 28, 28)
    x = images
    for layer in (model.conv1, model.conv2):
        x = nn.functional.max_pool2d(
            nn.functional.conv2d(x, layer.weight, layer.bias, padding=1).relu(), 2
        )
    x = (x.flatten(1) @ model.fc1.weight.T + model.fc1.bias).relu()
    assert torch.allclose(model(images), x @ model.fc2.weight.T + model.fc2.bias, atol=1e-5)


@pytest.mark.parametrize("name", MODELS.names())
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 30)])
def test_every_network_takes_images_of_any_size(name: str, shape: tuple[int, int, int]) -> None:
    recipe = Recipe.load("reference", model=name)
    model = build(recipe, shape, 7)
    with eval_mode(model):  # else batch normalisation would update its statistics
        assert model(torch.zeros(2, *shape)).shape == (2, 7)
    state = torch.get_rng_state()
    torch.manual_seed(55)
    assert same_weights(model, build(recipe, shape, 7))
    torch.set_rng_state(state)
    assert not same_weights(model, build(recipe.replace(seed=1), shape, 7))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_be_built_is_reported() -> None:
    with pytest.raises(UsageError, match="unknown model 'lenett'"):
        build(Recipe.load("reference", model="lenett"), (1, 28, 28), 10)
    with pytest.raises(UsageError, match="at least 4x4, not 3x9"):
        LeNet((1, 3, 9))
    with pytest.raises(UsageError, match="at least 12x12, not 11x28"):
        LeanNet((1, 11, 28))
    with pytest.raises(UsageError, match="at least 4x4, not 3x9"):
        ReaderNet((1, 3, 9))


def test_eval_mode_gives_each_module_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()
    with pytest.raises(KeyError), eval_mode(model):
        assert not any(m.training for m in model.modules())
        raise KeyError
    assert [m.training for m in model.modules()] == [True, True, False]
