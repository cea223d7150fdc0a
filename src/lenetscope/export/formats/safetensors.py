"""``safetensors``: weights and configuration, to load again or to share, with a script to predict.

The script needs torch alone: the network's source lies beside it as a program of torch.export, which is
right for every network, also for one of the user's own that imports other modules.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from lenetscope.data.splits import Splits
from lenetscope.errors import RunError
from lenetscope.export import FLOAT32, FORMATS, Format
from lenetscope.export.exportable import Exportable, WithPreprocessing
from lenetscope.export.formats.pt2 import open_pt2, write_pt2
from lenetscope.export.predictor import Predictor
from lenetscope.export.proof import prove
from lenetscope.files import write_json, write_text
from lenetscope.recipe import Recipe
from lenetscope.runs import records
from lenetscope.runs.folder import build_with_weights, read_weights
from lenetscope.schema import anything, mapping_of, record

WEIGHTS, CONFIG = "model.safetensors", "config.json"
PROGRAM, SCRIPT = "model.pt2", "predict.py"
CHECK = record({"recipe": mapping_of(anything)})


def write_safetensors(exportable: Exportable, splits: Splits, path: Path) -> None:
    """Write the weights, and beside them the configuration, the program and the script."""
    # copies: layers may share weights, which the format does not allow
    weights = {k: v.clone().contiguous() for k, v in exportable.model.state_dict().items()}
    # one key: the order of several is random
    save_file(weights, path, {"lenetscope": exportable.metadata()["lenetscope"]})
    recipe = {"recipe": exportable.recipe.as_dict()}
    write_json(path.with_name(CONFIG), exportable.metadata() | recipe)
    write_pt2(exportable, splits, path.with_name(PROGRAM))
    script = resources.files("lenetscope.export").joinpath("standalone.py").read_text("utf-8")
    write_text(path.with_name(SCRIPT), script)


def load_pretrained(folder: Path) -> tuple[nn.Module, Recipe, dict[str, Any]]:
    """Return the network of a folder with its weights, the recipe, and what config.json holds.

    Raises:
        RunError: if the folder is missing or damaged.
        CheckpointError: if the weights are of another network.
    """
    file = folder / CONFIG
    if not records.exists(file):
        raise RunError(f"there is no pretrained network in {folder}: it has no {CONFIG}.")
    config = records.read_object(file, records.CONFIG)
    records.require(file, CHECK, config)
    recipe = Recipe.load("reference", **config["recipe"])
    shape, classes = tuple(config["image_shape"]), len(config["classes"])
    file = folder / WEIGHTS
    model = build_with_weights(recipe, shape, classes, read_weights(file), file)
    return model.eval(), recipe, config


def open_safetensors(path: Path, _threads: int) -> Predictor:
    """Open weights that `write_safetensors` wrote; the network's class must be registered."""
    model, recipe, config = load_pretrained(path.parent)
    return Predictor.of_module(WithPreprocessing(model, recipe.mean, recipe.std).eval(), config)


def prove_program(exportable: Exportable, splits: Splits, path: Path) -> tuple[str, dict[str, Any]]:
    """Prove the program that the script runs as well."""
    proof = prove(exportable, splits, open_pt2(path.with_name(PROGRAM), 0))
    proof.require(FLOAT32)
    largest = max(row.largest for row in proof.agreements)
    words = f"`{PROGRAM}`, which `{SCRIPT}` runs, was compared too: the largest difference is"
    return f"{words} {largest:.1e}.", {"program": proof.as_dict()}


FORMATS.register("safetensors")(
    Format(
        summary="Weights, to load again or to share, with a script that needs torch only",
        file=WEIGHTS,
        write=write_safetensors,
        open=open_safetensors,
        measure=prove_program,
        usage="""\
`python predict.py picture.png` prints the most probable class. With lenetscope:

```python
from lenetscope import Architecture

arch = Architecture.from_pretrained("THIS-FOLDER")
```""",
    )
)
