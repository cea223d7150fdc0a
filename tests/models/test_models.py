"""The networks: shapes, parameters, and that initial weights depend on the seed alone."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from conftest import same_weights
from lenetscope import Recipe
from lenetscope.arguments import main_output
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import UsageError
from lenetscope.models import MODELS, build, memory_format
from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.lenet5 import LeNet5, bitmaps
from lenetscope.models.reader import BatchRenorm, ReaderNet, single
from lenetscope.models.resnet import ResNet
from lenetscope.registry import Registry
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


def test_renormalisation_begins_as_batch_normalisation() -> None:
    torch.manual_seed(0)
    norm, plain = BatchRenorm(3), nn.BatchNorm2d(3, momentum=0.01)
    for _ in range(2):
        x = 4 * torch.randn(5, 3, 6, 7) + 2
        assert torch.allclose(norm(x), plain(x), atol=1e-5)
    for name, value in plain.state_dict().items():
        assert torch.allclose(norm.state_dict()[name], value, atol=1e-6), name
    assert torch.equal(norm.eval()(x), plain.eval()(x))


def test_renormalisation_in_training_gives_later_what_it_gives_afterwards() -> None:
    torch.manual_seed(0)
    norm = BatchRenorm(2)
    norm.num_batches_tracked.fill_(BatchRenorm.RELAXED)
    norm.running_mean.copy_(torch.tensor([1.0, -3.0]))
    norm.running_var.copy_(torch.tensor([4.0, 0.5]))
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.7, 2.0]))
        norm.bias.copy_(torch.tensor([0.1, -0.2]))
    x = (torch.randn(6, 2, 5, 5) * torch.tensor([1.5, 1.0])[:, None, None]).requires_grad_()
    wanted = norm.eval()(x).detach()
    found = norm.train()(x)
    assert torch.allclose(found, wanted, atol=1e-4)
    (found * torch.randn_like(found)).sum().backward()
    assert x.grad is not None
    # gradients are those of batch normalisation: a constant added to all values changes nothing
    assert torch.allclose(x.grad.sum(dim=(0, 2, 3)), torch.zeros(2), atol=1e-4)
    far = norm(x.detach() + 1000)
    assert far.mean(dim=(0, 2, 3)).tolist() == pytest.approx(
        [0.1 + 0.7 * BatchRenorm.FARTHEST, -0.2 + 2 * BatchRenorm.FARTHEST], abs=1e-3
    )


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
    with pytest.raises(UsageError, match="at least 8x8, not 7x28"):
        ResNet((1, 7, 28))


def test_eval_mode_gives_each_module_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()
    with pytest.raises(KeyError), eval_mode(model):
        assert not any(m.training for m in model.modules())
        raise KeyError
    assert [m.training for m in model.modules()] == [True, True, False]


def test_lenet5_has_the_layers_of_the_paper() -> None:
    model = LeNet5()
    shapes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape[1:])})
        )
    model(torch.zeros(2, 1, 28, 28))
    assert shapes == {
        "pad": (1, 32, 32),
        "c1": (6, 28, 28), "squash1": (6, 28, 28), "s2": (6, 14, 14), "squash2": (6, 14, 14),
        "c3": (16, 10, 10), "squash3": (16, 10, 10), "s4": (16, 5, 5), "squash4": (16, 5, 5),
        "c5": (120, 1, 1), "squash5": (120, 1, 1), "flatten": (120,), "f6": (84,), "squash6": (84,),
        "rbf": (10,),
    }  # fmt: skip
    counts = {
        name: sum(p.numel() for p in layer.parameters()) for name, layer in model.named_children()
    }
    assert {name: count for name, count in counts.items() if count} == {
        "c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164,
    }  # fmt: skip
    assert sum(counts.values()) == 60_000


def test_lenet5_computes_what_the_paper_says() -> None:
    torch.manual_seed(4)
    model = LeNet5((1, 32, 32)).double()
    images = torch.rand(3, 1, 32, 32, dtype=torch.float64)

    def squash(x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 * x / 3)

    def subsample(x: Tensor, layer: nn.Module) -> Tensor:
        total = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
        return squash(total * layer.weight.view(-1, 1, 1) + layer.bias.view(-1, 1, 1))

    x = subsample(squash(nn.functional.conv2d(images, model.c1.weight, model.c1.bias)), model.s2.scale)
    # table I, a column per map of C3 and a row per map of S2
    rows = (
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    )
    filters = [
        (conv.weight[k], conv.bias[k])
        for conv in (model.c3.of3, model.c3.of4, model.c3.of6)
        for k in range(conv.out_channels)
    ]
    maps = []
    for column, (weight, bias) in zip(zip(*rows, strict=True), filters, strict=True):
        chosen = [k for k, mark in enumerate(column) if mark == "X"]
        maps.append(nn.functional.conv2d(x[:, chosen], weight[None], bias[None]))
    x = subsample(squash(torch.cat(maps, 1)), model.s4.scale)
    x = squash(x.flatten(1) @ model.c5.weight.flatten(1).T + model.c5.bias)
    x = squash(x @ model.f6.weight.T + model.f6.bias)
    centres = bitmaps().double()
    distances = torch.stack([((x - centre) ** 2).sum(1) for centre in centres], 1)
    assert torch.allclose(model(images), -distances / 2, atol=1e-9)
    assert torch.equal(centres.abs(), torch.ones(10, 84, dtype=torch.float64))
    assert len({tuple(centre.tolist()) for centre in centres}) == 10
    assert squash(torch.tensor([1.0, -1.0])).tolist() == pytest.approx([1, -1], abs=1e-4)


def test_lenet5_begins_with_the_weights_of_the_paper_and_other_centres_for_other_classes() -> None:
    model = LeNet5(classes=12)
    for layer, inputs in ((model.c1, 25), (model.s2.scale, 4), (model.c3.of4, 100), (model.f6, 120)):
        largest = max(float(p.detach().abs().max()) for p in layer.parameters())
        assert 0.6 * 2.4 / inputs < largest <= 2.4 / inputs
    assert model.rbf.centres.shape == (12, 84)
    assert model.rbf.centres.unique().tolist() == [-1, 1]
    assert not model.rbf.centres.requires_grad


@pytest.mark.parametrize(("shape", "kernel"), [((3, 1, 7), (5, 5)), ((1, 40, 32), (7, 5))])
def test_lenet5_pads_what_is_small_with_its_edge_and_covers_what_is_large(
    shape: tuple[int, int, int], kernel: tuple[int, int]
) -> None:
    model = LeNet5(shape)
    images = torch.rand(2, *shape)
    padded = model.pad(images)
    assert padded.shape[2:] == (max(32, shape[1]), max(32, shape[2]))
    assert torch.equal(padded[..., 0, 0], images[..., 0, 0])
    assert model.c5.kernel_size == kernel
    assert model(images).shape == (2, 10)


def test_the_residual_network_layer_by_layer() -> None:
    model = ResNet().eval()
    x = torch.rand(2, 1, 28, 28)
    shapes = [tuple((x := layer(x)).shape[1:]) for layer in model.children()]
    assert shapes == [
        (32, 28, 28), (32, 28, 28), (32, 28, 28), (32, 28, 28), (64, 14, 14), (96, 7, 7),
        (96, 1, 1), (96,), (96,), (10,),
    ]  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == 222_570
    block, maps = model.stage2, torch.rand(2, 32, 9, 9)
    y = block.norm1(nn.functional.conv2d(maps, block.conv1.weight, stride=2, padding=1)).relu()
    y = block.norm2(nn.functional.conv2d(y, block.conv2.weight, padding=1))
    around = block.shortcut[1](nn.functional.conv2d(maps, block.shortcut[0].weight, stride=2))
    assert torch.allclose(block(maps), (y + around).relu(), atol=1e-6)
    with torch.no_grad():
        block.norm2.weight.zero_()  # then a block adds nothing to its input
        assert torch.equal(block(maps), around.relu())


class Few(nn.Module):
    """Takes no argument at all."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.LazyLinear(10)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.fc(images.flatten(1))
        return out


def two_convolutions(classes: int, **options: object) -> nn.Module:
    """Fit for 1x28x28 images only."""
    assert set(options) == {"image_shape", "dropout"}
    inner = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))
    return nn.Sequential(inner, nn.Flatten(), nn.Linear(3, classes))


class Picky(Few):
    def forward(self, images: Tensor) -> Tensor:
        raise KeyError("no\nsuch thing")


class Wide(Few):
    def __init__(self, width: int) -> None:
        super().__init__()


def broken(classes: int) -> nn.Module:
    raise RuntimeError("out of\nideas")


def forgetful(image_shape: tuple[int, int, int]) -> None:
    """Return nothing."""


def counts(classes: int) -> nn.Module:
    """Return one output fewer than there are classes."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes - 1))


network = Few()
text = "Few"


def own(name: str, classes: int = 10) -> nn.Module:
    """Build a network of this file as ``--model`` names it."""
    return build(Recipe.load("reference", model=f"{__name__}:{name}"), (1, 28, 28), classes)


def test_a_network_of_ones_own_is_given_what_it_takes() -> None:
    model = own("Few")
    assert model.fc.in_features == 784  # lazy layers have found their size
    assert same_weights(model, own("Few"))
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two_convolutions", r"the model cannot take \(2, 1, 28, 28\) of float32: layer '0.2' "
         r"\(Conv2d\) takes \(N, 4, H, W\), and was given \(2, 3, 26, 26\) of float32"),
        ("Picky", r"fit the images: .* \(2, 1, 28, 28\) of float32: KeyError: 'no\\nsuch thing'"),
        ("Wide", "needs 'width', and only image_shape, classes and dropout can be given"),
        ("broken", "cannot be made with classes=10: RuntimeError: out of ideas"),
        ("forgetful", "returns a NoneType, not a torch.nn.Module"),
        ("counts", r"returns \(2, 9\) of float32 for 2 images; it must return logits.*: \(2, 10\)"),
        ("network", "is a Few; name a class, or a function that returns a torch.nn.Module"),
        ("text", "is a str; name a class"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_network_of_ones_own_is_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        own(name)
    assert "\n" not in str(raised.value)
    assert f"{__name__}:{name}" in str(raised.value)


def test_the_page_about_networks_counts_the_parameters_of_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| .*? \| ([\d,]+) \|", page, re.M))
    recipe = Recipe.load("reference")
    counted = {
        name: sum(p.numel() for p in build(recipe.replace(model=name), (1, 28, 28), 10).parameters())
        for name in Registry("model", "lenetscope.models").names()
    }
    assert told == {name: f"{count:,}" for name, count in counted.items()}
