"""A network as a chain: what is described, what is refused, and that a browser runs it like PyTorch."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import LayerError
from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.mlp import MLP
from lenetscope.recipe import Recipe
from lenetscope.report import build, network

SCRIPT = (Path(network.__file__).parent / "static" / "network.js").read_text("utf-8")


def run_in_browser(browser: Browser, chain: network.Chain, images: Tensor) -> np.ndarray:
    """Return what the page's script computes for preprocessed images, (N, K)."""
    page = browser.new_page()
    page.set_content(
        f'<script type="module">{SCRIPT.replace("export ", "")}; window.Network = Network</script>'
    )
    page.wait_for_function("window.Network !== undefined")
    flat = images.flatten(1).numpy().astype("<f4")
    outputs = page.evaluate(
        """({ chain, images, count }) => {
          const bytes = Uint8Array.from(atob(images), (c) => c.charCodeAt(0));
          const numbers = new Float32Array(bytes.buffer);
          const size = numbers.length / count;
          const network = new Network(chain);
          return Array.from({ length: count }, (_, i) =>
            Array.from(network.run(numbers.subarray(i * size, (i + 1) * size)).logits));
        }""",
        {
            "chain": chain.as_dict(),
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


class Functional(nn.Module):
    """A step between its layers that is not a layer: it changes only values above one."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 4), nn.Linear(4, 2)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.fc1(self.flatten(x)).clamp(max=1))
        return out


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.flatten, self.fc = nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.flatten(x + self.conv(x)))
        return out


class Loud(nn.Conv2d):
    """A convolution of a class that does more than its parent."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def ends(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Functional(), "has branches, or steps between"),
        (Residual(), "has branches, or steps between"),
        (ends(Loud(1, 1, 1)), "layer '0' is a Loud; the page can run 'Conv2d'"),
        (ends(nn.GELU()), "layer '0' is a GELU"),
        (ends(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "pads with 'reflect'"),
        (ends(nn.MaxPool2d(2, ceil_mode=True)), r"layer '0' \(MaxPool2d\) rounds its size up"),
        (ends(nn.BatchNorm2d(1, track_running_stats=False)), "has no running statistics"),
        (ends(nn.Linear(2, 3)), "works on one side of a map only"),
        (nn.Sequential(nn.Conv2d(1, 1, 2)), "the model returns 1x1x1, not one number per class"),
        (nn.Linear(2, 2), "has no layers inside"),
    ],
)
def test_what_is_not_such_a_chain_is_refused_and_left_as_it_was(model: nn.Module, message: str) -> None:
    with torch.no_grad():
        model(torch.zeros(2, 1, 2, 2))  # lazy layers find their size
    model.train()
    with pytest.raises(LayerError, match=message):
        network.describe(model, (1, 2, 2))
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_chain_says_what_each_layer_does_and_where_its_weights_are() -> None:
    model = SmallCNN().train()
    model.fc.eval()
    chain = network.describe(model, (1, 10, 10))
    assert model.training
    assert not model.fc.training
    kinds = ["Conv2d", "ReLU", "MaxPool2d", "Flatten", "Dropout", "Linear"]
    assert [layer["kind"] for layer in chain.layers] == kinds
    assert [layer["shape"] for layer in chain.layers][2:] == [[4, 5, 5], [100], [100], [3]]
    conv, fc = chain.layers[0], chain.layers[-1]
    assert (conv["weight"], conv["bias"], fc["weight"], fc["bias"]) == (0, 36, 40, 340)
    assert np.array_equal(chain.weights[40:340], model.fc.weight.detach().numpy().ravel())
    weights = base64.b64decode(json.loads(build.json_in_html(chain.as_dict()))["weights"])
    assert np.array_equal(np.frombuffer(weights, "<f4"), chain.weights)
