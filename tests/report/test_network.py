"""A network as a graph: what is described, what is refused, and that a browser runs it like PyTorch."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser
from torch import Tensor, nn
from torch.nn import functional

from conftest import SmallCNN
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import LayerError
from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.mlp import MLP
from lenetscope.recipe import Recipe
from lenetscope.report import build, network

STATIC = Path(network.__file__).parent / "static"
SCRIPT = re.sub(
    r"^import .*$|^export ",
    "",
    "".join((STATIC / f"{name}.js").read_text("utf-8") for name in ("operations", "network")),
    flags=re.M,
)


def run_in_browser(browser: Browser, graph: network.Graph, images: Tensor) -> np.ndarray:
    """Return what the page's script computes for preprocessed images, (N, K)."""
    page = browser.new_page()
    page.set_content(f'<script type="module">{SCRIPT}; window.Network = Network</script>')
    page.wait_for_function("window.Network !== undefined")
    flat = images.flatten(1).numpy().astype("<f4")
    outputs = page.evaluate(
        """({ graph, images, count }) => {
          const bytes = Uint8Array.from(atob(images), (c) => c.charCodeAt(0));
          const numbers = new Float32Array(bytes.buffer);
          const size = numbers.length / count;
          const network = new Network(graph);
          return Array.from({ length: count }, (_, i) =>
            Array.from(network.run(numbers.subarray(i * size, (i + 1) * size)).logits));
        }""",
        {
            "graph": graph.as_dict(),
            "images": base64.b64encode(flat.tobytes()).decode(),
            "count": len(images),
        },
    )
    page.close()
    return np.array(outputs)


@pytest.fixture(scope="module")
def mnist() -> tuple[Tensor, Tensor, Tensor]:
    """Test images, preprocessed, and some training images with labels."""
    recipe = Recipe.load("reference")
    splits = load(recipe)
    preprocess = Preprocess(recipe.mean, recipe.std)
    train = preprocess(splits.train.images[:2560])
    return preprocess(splits.test.images[:200]), train, splits.train.labels[:2560]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LeNet, LeanNet, MLP])
def test_the_page_gives_the_logits_of_pytorch(
    browser: Browser, kind: type[nn.Module], mnist: tuple[Tensor, Tensor, Tensor]
) -> None:
    images, train, labels = mnist
    torch.manual_seed(1)
    model = kind()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for batch, true in zip(train.split(64), labels.split(64), strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), true).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        expected = model(images).numpy()
    assert np.abs(expected).max() > 5  # trained: the logits are not near zero
    found = run_in_browser(browser, network.describe(model, (1, 28, 28)), images)
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.slow
def test_every_setting_of_a_layer_is_run_as_pytorch_runs_it(browser: Browser) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.Conv2d(6, 6, (3, 5), padding="same", bias=False, dilation=(2, 1)),
        nn.MaxPool2d(3, stride=2, padding=1, dilation=1),
        nn.Identity(),
        nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
        nn.Sigmoid(),
        nn.AvgPool2d((2, 3), stride=1, padding=1),
        nn.AvgPool2d(2, stride=1, divisor_override=3),
        nn.BatchNorm2d(6, affine=False),
        nn.Flatten(),
        nn.LazyLinear(9),
        nn.ReLU(),
        nn.Dropout(0.9),
        nn.Linear(9, 5, bias=False),
        nn.Softmax(dim=1),
    )
    images = torch.randn(8, 4, 13, 11)
    for _ in range(3):  # statistics other than 0 and 1
        model(images)
    model.eval()
    with torch.no_grad():
        expected = model(images).numpy()
    assert expected.std(axis=0).min() > 1e-6
    found = run_in_browser(browser, network.describe(model, (4, 13, 11)), images)
    assert np.abs(found - expected).max() < 1e-5


class Residual(nn.Module):
    """What is no chain of layers: branches, steps in place, and one layer that runs three times."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.scale = nn.Parameter(torch.rand(6, 1, 1))
        self.fc = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        y = self.conv2(x)
        y += x * self.scale
        x = self.relu(y) - 0.5 * self.relu(self.conv2(y))
        means, largest = x.mean((2, 3)), functional.adaptive_max_pool2d(x, 1).view(x.size(0), -1)
        out: Tensor = self.fc(torch.cat([means / (1 + largest), largest], 1))
        return out


class Moved(nn.Module):
    """Whatever puts values elsewhere."""

    def forward(self, x: Tensor) -> Tensor:  # (N, 2, 6, 5)
        x = functional.pad(x, (1, 2, 0, 1), value=-3.0)  # (N, 2, 7, 8)
        x = functional.pad(x, (1, 0, 1, 0), mode="reflect")  # (N, 2, 8, 9)
        x = functional.pad(x, (0, 1, 0, 0), mode="replicate")  # (N, 2, 8, 10)
        x = x[:, [1, 0, 1]].transpose(2, 3).flip(3)  # (N, 3, 10, 8)
        first, second = x.chunk(2, dim=2)
        x = torch.stack([first[..., ::2], second[..., 1::2]], dim=1)  # (N, 2, 3, 5, 4)
        x = functional.pixel_shuffle(x.flatten(1, 2).expand(-1, 6, 5, 4)[:, :4], 2)
        return x.permute(0, 3, 1, 2).reshape(x.shape[0], -1)


class Alone(nn.Module):
    """Functions of one value, and of values along dimensions."""

    def forward(self, x: Tensor) -> Tensor:  # (N, 2, 6, 5)
        parts = [f(x).flatten(1) for f in FUNCTIONS]
        parts += [f(x.abs() + 0.1).flatten(1) for f in (torch.log, torch.sqrt, torch.rsqrt)]
        parts += [
            x.sum(1).flatten(1), x.mean((1, 2)), x.amax(3).flatten(1), x.amin((2, 3)),
            x.logsumexp(2).flatten(1), x.norm(dim=1).flatten(1), x.softmax(1).flatten(1),
            x.log_softmax(3).flatten(1), x.cumsum(2).flatten(1), x.logcumsumexp(3).flatten(1),
            torch.maximum(x, x.mean(2, keepdim=True)).flatten(1), torch.minimum(x, 1 - x).flatten(1),
            functional.linear(x, WEIGHT).flatten(1), (x @ WEIGHT.T).flatten(1),
        ]  # fmt: skip
        return torch.cat(parts, 1)


WEIGHT = torch.rand(3, 5, generator=torch.Generator().manual_seed(8))
FUNCTIONS = [
    functional.gelu, functional.silu, functional.elu, functional.selu, functional.softplus,
    functional.mish, functional.hardswish, functional.hardsigmoid, functional.relu6,
    functional.leaky_relu, lambda x: functional.gelu(x, approximate="tanh"), torch.exp, torch.neg,
    torch.abs, torch.log1p, torch.reciprocal, torch.square, lambda x: x.clamp(-0.5), lambda x: x**3,
    lambda x: x.clamp_max(0.3), lambda x: x.clamp(-0.2, 0.2), functional.hardtanh, torch.tanh,
    lambda x: functional.leaky_relu(x, 0.3), lambda x: functional.elu(x, 0.4), torch.sigmoid,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Residual, Moved, Alone])
def test_branches_and_steps_between_the_layers_are_run_as_pytorch_runs_them(
    browser: Browser, kind: type[nn.Module]
) -> None:
    torch.manual_seed(6)
    model, images = kind().eval(), torch.randn(9, 2, 6, 5)
    images = images.clamp_min(-0.9) if kind is Alone else images  # log1p
    with torch.no_grad():
        expected = model(images.clone()).numpy()
    found = run_in_browser(browser, network.describe(model, (2, 6, 5)), images)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())


class Loud(nn.Conv2d):
    """A convolution of a class that does more than its parent."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def ends(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(2))


class Asks(nn.Module):
    """Takes another way for bright images."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.mean() > 0 else -x.flatten(1)


class Mixes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)).flatten(1)


class Drops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 1e-9).flatten(1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Asks(), "cannot be traced, because they depend on the image"),
        (Mixes(), r"a step between the layers \(mean\) mixes the images of a batch"),
        (ends(nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (3, 4)))), "mixes the images of a batch"),
        (Drops(), r"\(dropout\) drops values in evaluation mode, too, which the page cannot run"),
        (ends(nn.GroupNorm(1, 1)), r"layer '0' \(group_norm\) uses 'group_norm', which the page"),
        (ends(nn.AvgPool2d(3, 2, 1, ceil_mode=True)), r"layer '0' \(avg_pool2d\) rounds its size up"),
        (ends(nn.AdaptiveAvgPool2d((1, 3))), r"\(adaptive_avg_pool2d\) pools parts of unequal size"),
        (ends(nn.BatchNorm2d(1, track_running_stats=False)), "has no running statistics"),
        (nn.Sequential(nn.Conv2d(1, 1, 2)), "the model returns 1x1x1 per image, not one number per"),
        (nn.Identity(), "has no layers inside"),
    ],
)
def test_what_the_page_cannot_run_is_refused_and_left_as_it_was(model: nn.Module, message: str) -> None:
    with torch.no_grad():
        model(torch.zeros(3, 1, 2, 2))  # lazy layers find their size
    model.train()
    with pytest.raises(LayerError, match=message):
        network.describe(model, (1, 2, 2))
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_step_says_what_it_does_and_where_its_weights_are() -> None:
    model = SmallCNN().train()
    model.fc.eval()
    graph = network.describe(model, (1, 10, 10))
    assert model.training
    assert not model.fc.training
    kinds = ["Conv2d", "ReLU", "MaxPool2d", "Flatten", "Dropout", "Linear"]
    assert [layer["kind"] for layer in graph.layers] == kinds
    assert [layer["shape"] for layer in graph.layers][2:] == [[4, 5, 5], [100], [100], [3]]
    conv, fc = graph.layers[0], graph.layers[-1]
    assert (conv["weight"], conv["bias"], fc["weight"], fc["bias"]) == (0, 36, 40, 340)
    assert np.array_equal(graph.weights[40:340], model.fc.weight.detach().numpy().ravel())
    weights = base64.b64decode(json.loads(build.json_in_html(graph.as_dict()))["weights"])
    assert np.array_equal(np.frombuffer(weights, "<f4"), graph.weights)
