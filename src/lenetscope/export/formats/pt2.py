"""``pt2``: a program of torch.export, which runs wherever torch does, without the network's source."""

import json
from pathlib import Path

import torch

from lenetscope.data.splits import Splits
from lenetscope.errors import RunError
from lenetscope.export import FORMATS, Format
from lenetscope.export.exportable import Exportable
from lenetscope.export.predictor import Predictor

METADATA = "lenetscope.json"
"""Name of the extra file inside the archive."""


def write_pt2(exportable: Exportable, _splits: Splits, path: Path) -> None:
    """Write the program, with `Exportable.metadata` in the archive."""
    extra = {METADATA: json.dumps(exportable.metadata())}
    torch.export.save(exportable.program, path, extra_files=extra)


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
        summary="A program of torch.export: runs wherever torch does, without the network's source",
        file="model.pt2",
        write=write_pt2,
        open=open_pt2,
        usage="""\
```python
import torch

network = torch.export.load("model.pt2").module()
with torch.no_grad():
    probabilities = network(pixels)  # (N, K), for your images (N, C, H, W) of uint8
```

Open only files from people you trust.""",
    )
)
