"""Untrained networks and a few images, which every format is tested with."""

from collections.abc import Callable

import pytest
import torch

from lenetscope.data.dataset import LabelledImages
from lenetscope.data.splits import Splits
from lenetscope.export.exportable import Exportable
from lenetscope.models import build
from lenetscope.recipe import Recipe

Shape = tuple[int, int, int]
NAMES = ("zero", "ein, zwei", 'drei "3"')


def make_splits(shape: Shape, train: int = 40, test: int = 70) -> Splits:
    """Return random images of three classes; the labels are random, too."""
    generator = torch.Generator().manual_seed(1)

    def part(count: int) -> LabelledImages:
        images = torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
        return LabelledImages(images, torch.randint(3, (count,), generator=generator))

    trained, tested = part(train), part(test)
    return Splits(trained, tested, NAMES, {"noise": "1"}, "noise", None, valid=tested)


@pytest.fixture(scope="session")
def make() -> Callable[..., tuple[Exportable, Splits]]:
    """Return a function that builds the untrained network of a name, with images for it."""
    made: dict[tuple[str, Shape], tuple[Exportable, Splits]] = {}  # tracing takes longest

    def make(name: str = "mlp", shape: Shape = (1, 16, 16)) -> tuple[Exportable, Splits]:
        if (name, shape) not in made:
            channels = shape[0]
            recipe = Recipe.load(
                "reference", model=name, mean=[0.2, 0.5, 0.6][:channels], std=[0.3, 0.4, 0.9][:channels]
            )
            model = build(recipe, shape, len(NAMES))
            for module in model.modules():  # statistics that are not those of a layer that saw nothing
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
                    torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            exportable = Exportable.of(model, recipe, shape, NAMES, {"epoch": 3})
            made[name, shape] = exportable, make_splits(shape)
        return made[name, shape]

    return make
