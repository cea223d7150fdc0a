"""Export to C: whole numbers near the network's, C equal to them, and nothing left out in silence."""

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from export.c_networks import NETWORKS, made, pictures, run
from lenetscope import Architecture
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import Splits
from lenetscope.errors import ExportError, RunError, UsageError
from lenetscope.export import FORMATS
from lenetscope.export.c import compiler
from lenetscope.export.c.integers import IntegerNetwork, rescale
from lenetscope.export.c.memory import plan
from lenetscope.export.c.quantize import choose_scale, fixed_point, normalized_pixels, quantize
from lenetscope.export.c.source import literal, write_c
from lenetscope.export.exportable import Exportable
from lenetscope.models import MODELS

MEAN, STD = [0.3], [0.4]


def quantized(model: nn.Module, shape: tuple[int, int, int]) -> IntegerNetwork:
    return quantize(model, shape, MEAN, STD, pictures(200, shape, seed=1))


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(Preprocess(MEAN, STD)(images))


def test_one_layer_by_hand() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0, -1.0], [0.5, 0.25]])
    network = quantize(model, (1, 1, 2), [0.0], [1.0], torch.zeros(1, 1, 1, 2, dtype=torch.uint8))
    images = torch.tensor([[[[255, 0]]], [[[51, 102]]]], dtype=torch.uint8)
    # pixels keep their 256 values; weights are 127, -127 and 127, 64 (63.5 goes to the even number):
    # the second score is (255 * 127 + 0 * 64) * 0.5 / 127 / 255, in units of 2**-16
    expected = [[1.0, 0.5], [0.2 - 0.4, 0.1 + 0.4 * 64 / 254]]
    assert network.score_bits == 16
    assert network.scores(images).tolist() == [[round(v * 65536) for v in row] for row in expected]


def test_rounding() -> None:
    products = torch.arange(-1000, 1000)
    for shift in (1, 3, 7):
        expected = (products / 2**shift + 0.5).floor().long()
        assert torch.equal(rescale(products, shift), expected)
    assert rescale(torch.tensor(2**62 - 1), 62).item() == 1


def test_fixed_point_multiplies_to_31_bits() -> None:
    factors = torch.tensor([1e-30, 1e-9, 0.3, 0.5, 0.99999999999, 1.0, 1000.0], dtype=torch.float64)
    multiplier, shift = fixed_point(factors)
    assert int(multiplier.max()) < 2**31
    assert int(shift.min()) >= 1
    assert int(shift.max()) <= 62
    found = multiplier.double() / 2.0 ** shift.double()
    assert torch.allclose(found[1:], factors[1:], rtol=2**-30, atol=0)
    assert found[0] < 1e-18


def test_a_scale_covers_the_values_and_gives_up_outliers() -> None:
    scale = choose_scale(torch.linspace(-1, 3, 10001))
    assert scale.size == pytest.approx(4 / 255, rel=0.03)
    assert scale.zero == -128 + round(1 / scale.size)
    assert scale.quantize(torch.tensor([0.0])).item() == scale.zero
    values = torch.cat([torch.linspace(0, 3, 1_000_000), torch.tensor([30.0])])
    assert 3 / 255 < choose_scale(values).size < 0.7 * 30 / 255
    assert choose_scale(torch.zeros(5)).quantize(torch.zeros(1)).item() == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_numbers_are_near_the_networks(name: str) -> None:
    model, shape = made(name)
    images = pictures(300, shape, seed=2)
    network = quantized(model, shape)
    expected = logits_of(model, images)
    found = network.scores(images) / 2**network.score_bits
    # int8 keeps two digits: a mistake, such as a window that is off by one, costs more than 4 %
    spread = expected.std(dim=0).mean()
    assert (found - expected).abs().mean() < 0.04 * spread


@pytest.mark.parametrize("name", ["lenet", "lean", "mlp"])
def test_registered_networks(name: str) -> None:
    torch.manual_seed(0)
    shape = (1, 28, 28)
    model = MODELS.get(name)(image_shape=shape, classes=10, dropout=0.5).eval()
    images = pictures(60, shape, seed=2)
    network = quantized(model, shape)
    expected = logits_of(model, images)
    found = network.scores(images) / 2**network.score_bits
    assert (found - expected).abs().mean() < 0.04 * expected.std(dim=0).mean()


@pytest.mark.parametrize("mean", [0.0, 0.1307, 0.5, 1.0])
def test_padding_is_that_of_the_normalised_image(mean: float) -> None:
    side = 5
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(25, 25))
    nn.init.ones_(model[0].weight)
    model[2].weight.data, model[2].bias.data = torch.eye(25), torch.zeros(25)
    images = pictures(100, (1, side, side))
    network = quantize(model, (1, side, side), [mean], [0.3], images)
    with torch.no_grad():
        expected = model(Preprocess([mean], [0.3])(images))
    found = network.scores(images) / 2**network.score_bits
    step = (expected.max() - expected.min()) / 255
    # half a step of rounding, and up to half a grey level for each of five pixels outside
    assert (found - expected).abs().max() < 1.1 * step + 5 * 0.5 / 255 / 0.3


def test_pixels_are_normalised_per_channel() -> None:
    values = normalized_pixels(2, [0.5, 0.25], [0.5, 0.1])
    assert values[:, [0, 255]].tolist() == [[-1, 1], [pytest.approx(-2.5), pytest.approx(7.5)]]
    assert normalized_pixels(3, [0.5], [0.5]).shape == (3, 256)


def test_the_model_stays_as_it_is() -> None:
    model, shape = made("residual")
    model.train()
    before = copy.deepcopy(model.state_dict())
    quantized(model, shape)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NETWORKS)
def test_memory_is_not_shared_by_what_is_needed_together(name: str) -> None:
    layers = quantized(*made(name)).layers
    found = plan(layers)
    sizes = [math.prod(layer.shape) for layer in layers[:-1]]
    ends = [start + size for start, size in zip(found.offsets, sizes, strict=True)]
    last_use = {place: step for step, layer in enumerate(layers) for place in layer.inputs}
    for first in range(len(found.offsets)):
        for second in range(first):
            if last_use[second] >= first:
                assert found.offsets[first] >= ends[second] or found.offsets[second] >= ends[first]
    assert found.size == max(ends)


def test_memory_of_a_chain_is_that_of_its_largest_neighbours() -> None:
    layers = quantized(MODELS.get("lenet")((1, 28, 28), 10, 0.5), (1, 28, 28)).layers
    assert plan(layers).size == 32 * 14 * 14 + 64 * 7 * 7


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_c_equals_the_whole_numbers(name: str, tmp_path: Path) -> None:
    model, shape = made(name)
    images = pictures(300, shape, seed=2)
    network = quantized(model, shape)
    classes = [f"class {k}" for k in range(network.layers[-1].shape[0])]
    options = "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    scores, answers = run(write_c(network, "net", classes), images, tmp_path, *options)
    assert torch.equal(scores, network.scores(images))
    assert torch.equal(answers.long(), scores.argmax(dim=1))


@pytest.mark.slow
def test_c_equals_the_whole_numbers_on_digits(tmp_path: Path) -> None:
    arch = Architecture.from_recipe("fast")
    assert arch.splits is not None
    shape, (images, _) = (1, 28, 28), arch.splits.test
    model = arch.model.eval()
    network = quantize(model, shape, [0.1307], [0.3081], arch.splits.train.images[:200])
    some = images[::100]
    scores, _ = run(write_c(network, "net", arch.splits.classes), some, tmp_path, "-O2")
    assert torch.equal(scores, network.scores(some))


def test_source_is_plain_c() -> None:
    names = sorted(NETWORKS)
    for name in names:
        network = quantized(*made(name))
        source = write_c(network, "net", ["a"] * network.layers[-1].shape[0])
        code = re.sub(r"/\*.*?\*/", "", source.source + source.header, flags=re.DOTALL)
        assert re.findall(r"#include (\S+)", code) == ['"net.h"', "<stdint.h>"]
        assert not re.search(r"\b(float|double|malloc|free|printf)\b|//", code)
        assert 'extern "C"' in source.header
        assert source.source.isascii()


def test_an_unused_layer_is_not_written() -> None:
    source = write_c(quantized(*made("one-layer")), "net", ["a", "b", "c"]).source
    assert "score(" in source
    assert "convolve(" not in source


@pytest.mark.slow
def test_names_of_classes_and_comments_survive(tmp_path: Path) -> None:
    classes = ['"', "a\\", "??/ */ \n\x7f 数字 0"]
    network = quantized(*made("one-layer"))
    facts = ["ends */ int x; /* ??/", "backslash \\", "long " * 60, "数字"]
    source = write_c(network, "net", classes, facts)
    (tmp_path / "net.c").write_text(source.source, "utf-8")
    (tmp_path / "net.h").write_text(source.header, "utf-8")
    compiled = compiler.load(tmp_path / "net.c")
    assert compiled.classes == tuple(classes)
    assert compiled.image_shape == (1, 3, 4)
    images = pictures(20, (1, 3, 4))
    assert torch.equal(torch.from_numpy(compiled.scores(images.numpy())), network.scores(images))


def test_octal_escapes_do_not_swallow_digits() -> None:
    assert literal("é1") == '"\\303\\2511"'


def test_names_of_layers_are_made_to_fit_c() -> None:
    model = nn.Sequential()
    for name, layer in (("flat", nn.Flatten()), ("int", nn.Linear(12, 4)), ("a b", nn.Tanh()),
                        ("a-b", nn.Linear(4, 4)), ("*/", nn.Linear(4, 3))):  # fmt: skip
        model.add_module(name, layer)
    source = write_c(quantized(model, (1, 3, 4)), "net", ["a", "b", "c"]).source
    names = re.findall(r"static const \w+ (\w+)\[", source)
    assert len(names) == len(set(names))
    assert {"int_weight", "a_b_table", "a_b_2_weight", "layer_weight"} <= set(names)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.fc(x.flatten(1))
        return self.fc_two(x), x

    def fc_two(self, x: Tensor) -> Tensor:
        return self.relu(x)


class Joined(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], dim=1)


def chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "kind of layer": (chain(nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 3)), "'1' (LayerNorm)"),
    "function": (chain(Joined(), nn.Flatten(), nn.Linear(24, 3)), "'cat'"),
    "padding": (chain(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")), "'circular'"),
    "even size": (chain(nn.Conv2d(1, 1, 2, padding="same", dilation=3)), "one side more"),
    "ceiling": (chain(nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode"),
    "mean": (chain(nn.AvgPool2d(3, 1, 1, count_include_pad=False)), "does not count its padding"),
    "uneven": (chain(nn.AdaptiveAvgPool2d(2)), "windows differ"),
    "one side": (chain(nn.Linear(4, 3)), "on one side"),
    "end": (
        chain(nn.Flatten(), nn.Linear(12, 3), nn.ReLU()),
        "'1': the scores must come",
    ),
    "softmax": (chain(nn.Flatten(), nn.Linear(12, 3), nn.Softmax(1)), "'2' (Softmax)"),
    "statistics": (
        chain(nn.BatchNorm2d(1, track_running_stats=False)),
        "without running statistics",
    ),
    "decisions": (Branching, "must not decide by the values"),
    "outputs": (Twice, "'relu' (one that changes in place what others take)"),
    "batch": (chain(nn.Flatten(0), nn.Linear(24, 3)), "mixes the images"),
}
"""By what is not supported: such a network for images of 1x3x4, and what the message names."""


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, of the even size
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_supported_is_refused_by_name(what: str) -> None:
    make, words = REFUSED[what]
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        quantized(make(), (1, 3, 4))
    assert "\n" not in str(error.value)


def test_weights_that_are_not_numbers_are_refused() -> None:
    model, shape = made("one-layer")
    model[1].weight.data[0, 0] = torch.nan
    with pytest.raises(UsageError, match="layer '1' has weights that are not finite"):
        quantized(model, shape)


def test_a_channel_without_weights_keeps_its_bias() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    model[1].weight.data, model[1].bias.data = torch.zeros(2, 2), torch.tensor([5.0, 0.0])
    network = quantize(model, (1, 1, 2), MEAN, STD, pictures(5, (1, 1, 2)))
    assert network.scores(pictures(5, (1, 1, 2)))[2].tolist() == [5 * 65536, 0]


@pytest.fixture(scope="module")
def trained() -> Architecture:
    """An MLP after an epoch of MNIST."""
    arch = Architecture.from_recipe("fast", model="mlp", precision="32-true")
    arch.train()
    return arch


def exportable(arch: Architecture) -> tuple[Exportable, Splits]:
    assert arch.recipe is not None
    assert arch.splits is not None
    assert arch.image_shape is not None
    made = Exportable.of(arch.model, arch.recipe, arch.image_shape, arch.splits.classes, {})
    return made, arch.splits


@pytest.mark.slow
def test_the_format_keeps_the_accuracy_and_says_so(trained: Architecture, tmp_path: Path) -> None:
    network, splits = exportable(trained)
    path, form = tmp_path / "model.c", FORMATS.get("c")
    form.write(network, splits, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.c", "model.h"]

    images, labels = splits.test
    found = torch.from_numpy(form.open(path, 0).probabilities(images[:].numpy()))
    expected = trained.predict_proba(images[:])
    right = int((found.argmax(dim=1) == labels).sum())
    right_in_torch = int((torch.from_numpy(expected).argmax(dim=1) == labels).sum())
    assert right >= right_in_torch - 10  # of 10,000
    assert (found - torch.from_numpy(expected)).abs().max() < form.limits.largest
    assert torch.allclose(found.sum(dim=1), torch.ones(len(found)))

    header = path.with_suffix(".h").read_text("utf-8")
    said = [
        int(number.replace(",", "")) for number in re.findall(r"([\d,]+) of (?:them|10,000)", header)
    ]
    assert said[0] == right
    assert f"{right_in_torch:,} of them" in header
    # 101,632 weights; 138 biases and multipliers of 4 bytes, and shifts; 256 bytes for the pixels
    tables = 101_632 + 138 * 9 + 256
    assert f"{tables:,} of them tables" in header
    assert form.measure is not None
    text, facts = form.measure(network, splits, path)
    assert facts["ram_bytes"] == 784 + 128
    assert tables < facts["flash_bytes"] < tables + 2000
    assert "bit for bit" in text


@pytest.mark.slow
def test_c_equals_the_whole_numbers_on_all_of_mnist(trained: Architecture, tmp_path: Path) -> None:
    made, splits = exportable(trained)
    images = splits.test.images[:]
    network = quantize(made.model, made.image_shape, made.mean, made.std, splits.train.images[:200])
    scores, answers = run(write_c(network, "net", made.classes), images, tmp_path, "-O2")
    assert scores.shape == (10_000, 10)
    assert torch.equal(scores, network.scores(images))
    assert torch.equal(answers.long(), scores.argmax(dim=1))


@pytest.mark.slow
def test_one_wrong_weight_is_found(
    trained: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compiler.load

    def damaged(path: Path) -> compiler.Compiled:
        text = path.read_text("utf-8")
        at = text.index("{", text.index("fc2_bias"))
        number = re.compile(r"-?\d+").search(text, at)
        assert number is not None
        path.write_text(
            text[: number.start()] + str(int(number[0]) + 100) + text[number.end() :], "utf-8"
        )
        return real(path)

    monkeypatch.setattr(compiler, "load", damaged)
    with pytest.raises(ExportError, match="other scores than the arithmetic"):
        FORMATS.get("c").write(*exportable(trained), tmp_path / "model.c")


def test_without_a_compiler_nothing_is_written(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arch = Architecture.from_recipe("reference", model="mlp", data=idx_folder)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="there is no C compiler"):
        FORMATS.get("c").write(*exportable(arch), tmp_path / "model.c")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_a_counter_of_bytes_the_tables_are_counted(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arch = Architecture.from_recipe("reference", model="mlp", data=idx_folder)
    monkeypatch.setattr(compiler, "TARGETS", ())
    FORMATS.get("c").write(*exportable(arch), tmp_path / "model.c")
    header = (tmp_path / "model.h").read_text("utf-8")
    assert "bytes of tables, and the code, which was not measured" in header
    assert "of 23 test images" in header


@pytest.mark.slow
def test_files_that_are_no_export_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.c"
    path.write_text("int x;", "utf-8")
    with pytest.raises(RunError, match="must lie beside it"):
        compiler.load(path)
    (tmp_path / "model.h").write_text("", "utf-8")
    with pytest.raises(RunError, match="not the header of an export"):
        compiler.load(path)
    (tmp_path / "model.h").write_text("/* model_class_names */", "utf-8")
    with pytest.raises(ExportError, match="does not compile"):
        compiler.load(path)
