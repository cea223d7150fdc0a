"""``pt2``: a program of torch.export, which runs wherever torch does, without the network's source."""

import json
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from lenetscope.data.splits import Splits
from lenetscope.errors import RunError
from lenetscope.export import FORMATS, Format
from lenetscope.export.exportable import Exportable
from lenetscope.export.predictor import Predictor

METADATA = "lenetscope.json"
"""Name of the extra file inside the archive."""


def traced(exportable: Exportable) -> ExportedProgram:
    """Return the network with its preprocessing as a graph that takes any number of images."""
    images = (exportable.example,)
    return torch.export.export(exportable.module, images, dynamic_shapes=({0: Dim("images")},))


def write_pt2(exportable: Exportable, _splits: Splits, path: Path) -> None:
    """Write the program, with `Exportable.metadata` in the archive."""
    extra = {METADATA: json.dumps(exportable.metadata())}
    torch.export.save(traced(exportable), path, extra_files=extra)


def open_pt2(path: Path, _threads: int) -> Predictor:
    """Open a program that `write_pt2` wrote."""
    extra = {METADATA: ""}
    try:
        module = torch.export.load(path, extra_files=extra).module()
        config = json.loads(extra[METADATA])
    except Exception as error:  # of whatever the archive is made of
        raise RunError(f"{path} is not a pt2 file of lenetscope, or damaged: {error}.") from error
    return Predictor.of_module(module, config)


FORMATS.register("pt2")(
    Format(
        summary="torch.export: runs wherever torch does, without the network's source",
        file="model.pt2",
        write=write_pt2,
        open=open_pt2,
    )
)
