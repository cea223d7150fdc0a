"""Every format of every network answers as PyTorch and torchvision do, and holds what it must."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torchvision.transforms import v2

from lenetscope.data.splits import Splits
from lenetscope.errors import ExportError
from lenetscope.evaluation.outputs import main_output
from lenetscope.export import FORMATS
from lenetscope.export.exportable import Exportable
from lenetscope.export.formats.onnx_int8 import CALIBRATION, calibration_batches
from lenetscope.export.formats.safetensors import write_safetensors
from lenetscope.export.predictor import open_predictor
from lenetscope.export.write import Exported, export
from lenetscope.models import MODELS, build
from lenetscope.models.reader import _block

Make = Callable[..., tuple[Exportable, Splits]]
FLOAT = ("onnx", "pt2", "safetensors")


@pytest.fixture(scope="module", params=[(1, 16, 16), (3, 20, 17)], ids=["grey", "colour"])
def shape(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return request.param


def _slow(name: str) -> object:
    """Mark the large network, which takes seconds to trace."""
    return pytest.param(name, marks=pytest.mark.slow) if name == "reader" else name


@pytest.fixture(scope="module", params=[_slow(name) for name in MODELS.names()])
def network(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=FLOAT)
def exported(
    request: pytest.FixtureRequest,
    network: str,
    shape: tuple[int, int, int],
    make: Make,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Exportable, Exported]:
    exportable, splits = make(network, shape)
    folder = tmp_path_factory.mktemp(network) / "a" / "b"
    return exportable, export(exportable, splits, request.param, folder)


def test_a_format_answers_as_pytorch_does_in_batches_of_any_size(
    exported: tuple[Exportable, Exported],
) -> None:
    exportable, made = exported
    predictor = open_predictor(made.file, threads=1)
    prepare = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize(exportable.mean, exportable.std)]
    )
    pixels = torch.randint(256, (33, *exportable.image_shape), dtype=torch.uint8)
    with torch.no_grad():
        logits = main_output(exportable.model(torch.stack([prepare(image) for image in pixels])))
    expected = logits.softmax(dim=1).numpy()
    for count in (1, 2, 5, 33):
        found = predictor.probabilities(pixels[:count].numpy())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    assert predictor.classes == exportable.classes == open_predictor(made.file.parent).classes
    assert predictor.image_shape == exportable.image_shape


def test_a_file_says_what_it_is(exported: tuple[Exportable, Exported]) -> None:
    exportable, made = exported
    if made.file.suffix == ".onnx":
        graph = onnx.load(made.file)
        found = {each.key: each.value for each in graph.metadata_props}
        found = {
            k: json.loads(v) if v[0] == "[" or v in ("true", "false") else v for k, v in found.items()
        }
        assert {i.data_location for i in graph.graph.initializer} == {0}  # nothing outside the file
        for value, kind in ((graph.graph.input[0], 2), (graph.graph.output[0], 1)):
            assert value.type.tensor_type.elem_type == kind  # uint8, float32
            assert value.type.tensor_type.shape.dim[0].dim_param == "images"
        assert (graph.graph.input[0].name, graph.graph.output[0].name) == ("pixels", "probabilities")
    elif made.file.suffix == ".pt2":
        with zipfile.ZipFile(made.file) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith("lenetscope.json")]
            found = json.loads(archive.read(name))
    else:
        with safe_open(made.file, "pt") as file:
            assert file.metadata() == {"lenetscope": exportable.metadata()["lenetscope"]}
            assert set(file.keys()) == set(exportable.model.state_dict())
        found = json.loads((made.file.parent / "config.json").read_text())
        assert found.pop("recipe") == exportable.recipe.as_dict()
    assert found == exportable.metadata()
    assert json.loads((made.file.parent / "export.json").read_text())["proof"]["n"] == 70
    names = {path.name for path in made.file.parent.iterdir()}
    beside = {"config.json", "model.pt2", "predict.py"} if "safe" in made.file.name else set()
    assert names == {made.file.name, "README.md", "export.json"} | beside
    assert [path.name for path in made.file.parents[1].iterdir()] == ["b"]


class _Normed(nn.Module):
    """A convolution with batch normalisation, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.flatten, self.fc = _block(1, 8), nn.Flatten(), nn.Linear(8 * 256, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flatten(self.block(images)))


def test_int8_has_a_scale_for_each_channel_and_no_batch_normalisation(
    make: Make, tmp_path: Path
) -> None:
    exportable, splits = make()
    torch.manual_seed(0)
    exportable = Exportable.of(_Normed(), exportable.recipe, (1, 16, 16), exportable.classes, {})
    made = export(exportable, splits, "onnx-int8", tmp_path / "x")
    graph = onnx.load(made.file).graph
    kinds = [node.op_type for node in graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds[-1] == "Softmax"  # probabilities are not rounded to 255 steps
    weights = {each.name: each for each in graph.initializer}
    scales = sorted(
        weights[node.input[1]].dims[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in weights
        and len(weights[node.input[0]].dims) > 1
        and weights[node.input[0]].data_type == onnx.TensorProto.INT8
    )
    assert scales == [3, 8]
    found = {each.key for each in onnx.load(made.file).metadata_props}
    assert set(exportable.metadata()) <= found
    assert made.facts["bytes_float32"] > made.file.stat().st_size
    assert set(made.facts["microseconds"]) == {1, 64}
    card = (made.file.parent / "README.md").read_text()
    assert "times smaller" in card
    assert "| µs for 64 images |" in card
    expected = exportable.module(splits.test.images).detach().numpy()
    answers = open_predictor(made.file).probabilities(splits.test.images.numpy())
    assert 0 < np.abs(answers - expected).max() < 0.1


def test_int8_is_calibrated_on_training_images_that_the_seed_chooses(make: Make) -> None:
    _, splits = make()
    numbered = torch.arange(3000, dtype=torch.int32)[:, None, None, None]
    train = splits.train._replace(images=numbered, labels=torch.zeros(3000))
    many = Splits(**vars(splits) | {"train": train})

    def chosen(seed: int) -> list[int]:
        return np.concatenate(list(calibration_batches(seed, many))).flatten().tolist()

    assert len(set(chosen(0))) == CALIBRATION == len(chosen(0))
    assert chosen(0) == chosen(0) != chosen(1)
    assert max(chosen(0)) > 2000
    few = np.concatenate(list(calibration_batches(0, splits)))
    assert sorted(map(bytes, few)) == sorted(map(bytes, splits.train.images.numpy()))


def test_the_model_that_is_exported_stays_as_it_was(make: Make) -> None:
    exportable, _ = make()
    model = build(exportable.recipe, (1, 16, 16), 3).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    copied = Exportable.of(model, exportable.recipe, [1, 16, 16], list("abc"), {})
    nn.init.zeros_(next(copied.model.parameters()))
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert not any(module.training for module in copied.module.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class _Undecided(nn.Module):
    """A network that looks at the pixels before it decides what to do."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(1)[:, :3]
        return rows if rows.sum() > 0 else -rows


class _Two(nn.Module):
    """A network for two images at a time."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(2, -1)[:, :3]


@pytest.mark.parametrize("network", [_Undecided, _Two])
def test_a_network_that_cannot_be_traced_gets_one_line(
    make: Make, tmp_path: Path, network: type[nn.Module]
) -> None:
    exportable, splits = make()
    strange = Exportable.of(network(), exportable.recipe, (1, 16, 16), exportable.classes, {})
    with pytest.raises(ExportError, match="'mlp' cannot be traced: .* batches of any size") as raised:
        export(strange, splits, "pt2", tmp_path / "x")
    assert "\n" not in str(raised.value)
    assert not any(tmp_path.iterdir())


def test_layers_that_share_their_weights_are_exported(make: Make, tmp_path: Path) -> None:
    exportable, splits = make()
    fc = nn.Linear(256, 256)
    tied = nn.Sequential(nn.Flatten(), fc, nn.ReLU(), fc, nn.ReLU(), nn.Linear(256, 3))
    shared = Exportable.of(tied, exportable.recipe, (1, 16, 16), exportable.classes, {})
    write_safetensors(shared, splits, tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == tied.state_dict().keys()


def test_every_format_is_a_file_of_its_name() -> None:
    assert FORMATS.names() == sorted(FORMATS.names())
    assert set(FLOAT) | {"onnx-int8"} <= set(FORMATS.names())
    assert len({FORMATS.get(name).file for name in FORMATS.names()}) == len(FORMATS.names())
