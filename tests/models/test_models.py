"""The networks: shapes, parameters, and that initial weights depend on the seed alone."""

import pytest
import torch
from torch import nn

from conftest import same_weights
from lenetscope import Recipe
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import UsageError
from lenetscope.evaluation.outputs import main_output
from lenetscope.models import MODELS, build, memory_format
from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.reader import ReaderNet, single
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


@pytest.mark.parametrize("width", [28, 29, 100])
def test_the_reading_network_says_something_at_every_second_pixel(width: int) -> None:
    model = ReaderNet().eval()
    shapes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape[1:])})
        )
    logits, positions = model(torch.rand(2, 1, 28, width))
    quarter = -(-width // 4)
    assert shapes == {
        "block1": (24, 14, -(-width // 2)), "block2": (48, 7, quarter), "block3": (80, 7, quarter),
        "block4": (80, 7, quarter), "block5": (80, 4, quarter), "block6": (112, 4, quarter),
        "column": (160, 1, quarter), "context": (160, 1, quarter), "dropout": (160, 1, quarter),
        "head": (24, 1, quarter),
    }  # fmt: skip
    assert positions.shape == (2, 12, 2 * quarter)
    assert torch.allclose(positions.exp().sum(dim=1), torch.ones(2, 2 * quarter), atol=1e-5)
    assert torch.allclose(logits.exp().sum(dim=1), torch.ones(2), atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) == 692_800


@pytest.mark.parametrize("height", [16, 17, 23, 28, 32, 33, 64])
def test_the_reading_network_takes_lines_of_any_height(height: int) -> None:
    model = ReaderNet((1, height, 28)).eval()
    assert model.column[0].kernel_size == (-(-height // 8), 3)
    logits, positions = model(torch.rand(3, 1, height, 50))
    assert (logits.shape, positions.shape) == ((3, 11), (3, 12, 26))


def test_the_reading_network_reads_one_digit_as_a_line_of_length_one() -> None:
    model = ReaderNet((3, 20, 28), classes=4).eval()
    with torch.no_grad():
        outputs = model(torch.rand(2, 3, 20, 70))
    assert outputs.logits.shape == (2, 4)
    assert torch.equal(outputs.logits, single(outputs.positions))
    for line, row in zip(outputs.positions.double(), outputs.logits, strict=True):
        for label in range(3):
            length = line.shape[1]
            likely = -torch.inf * torch.ones((), dtype=torch.float64)
            for first in range(length):  # where the label begins and ends, blank outside
                for last in range(first, length):
                    path = line[-1].clone()
                    path[first : last + 1] = line[label, first : last + 1]
                    likely = torch.logaddexp(likely, path.sum())
            assert float(row[label]) == pytest.approx(float(likely), abs=1e-3)


def test_the_reading_network_sees_the_same_wherever_a_digit_stands() -> None:
    model = ReaderNet().eval()
    line = torch.zeros(1, 1, 28, 320)
    line[..., 150:170] = torch.rand(28, 20)
    here, there = model(line).positions, model(line.roll(40, dims=3)).positions
    # 40 pixels are 20 positions; far from both ends, which are seen as paper
    assert torch.allclose(here[..., 60:100], there[..., 80:120], atol=1e-4)


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
        logits = main_output(model(torch.zeros(2, *shape)))
        assert logits is not None
        assert logits.shape == (2, 7)
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
    with pytest.raises(UsageError, match="at least 16 pixels, not 15"):
        ReaderNet((1, 15, 90))


def test_eval_mode_gives_each_module_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()
    with pytest.raises(KeyError), eval_mode(model):
        assert not any(m.training for m in model.modules())
        raise KeyError
    assert [m.training for m in model.modules()] == [True, True, False]
