"""A network that the page cannot run: the server runs it, and the page shows its maps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lenetscope.models import MODELS
from report_runs import make_run
from visitors import Visitor, serve

pytestmark = pytest.mark.slow


@MODELS.register("undecided")
class Undecided(nn.Module):
    """A network whose way depends on the image, so that it cannot be traced."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.bright = nn.Conv2d(image_shape[0], 4, 5, stride=2)
        self.dark = nn.Conv2d(image_shape[0], 4, 5, stride=2)
        self.fc = nn.LazyLinear(classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.bright(images) if images.mean() > -0.9 else self.dark(images)
        out: Tensor = self.fc(maps.relu().flatten(1))
        return out


def test_its_maps_and_its_prediction_are_those_of_pytorch(
    visit: Callable[..., Visitor], idx_folder: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", idx_folder, model="undecided", lr=0.05, epochs=3)
    for place in serve(tmp_path, run):
        visitor = visit(place=place)
        inspection = place.lab.run().inspection
        for number in (0, 4):
            pixels = inspection.pixels[number]
            visitor.value(f"page.load(new Uint8Array({pixels.flatten().tolist()}), 'an image')")
            visitor.until("page.outputs !== null")
            expected = inspection.probabilities[number].numpy()
            visitor.until(
                f"Math.abs(page.outputs.probabilities[0] - {expected[0]}) < 1e-5 && !page.empty"
            )
            found = visitor.value(
                "page.outputs.layers.map(({name, shape, values}) => [name, shape, [...values]])"
            )
            with torch.no_grad():
                maps = inspection.model.bright(inspection.prepared(pixels[None]))
            name, shape, values = found[0]
            assert (name, shape) == ("bright", list(maps.shape[1:]))
            assert np.allclose(values, maps.flatten(), atol=1e-5)
            assert np.allclose(found[-1][2], expected, atol=1e-5)
        predicted = inspection.classes[int(expected.argmax())]
        assert visitor.prediction.startswith(f"{predicted}, with")

        page = visitor.page
        assert (
            page.locator("#layers .layer").count() == 1 + 2 + 1
        )  # image, convolution, linear, softmax
        page.locator("#layers button").nth(2).hover()
        page.locator("#layers button").nth(2).click()
        assert page.locator("#trouble").inner_text().startswith("The server runs this network")
        for tab in ("why", "epochs", "filters", "train", "gallery", "digits"):
            page.locator(f"#tab-{tab}").click()
            page.wait_for_timeout(300)
        page.close()
