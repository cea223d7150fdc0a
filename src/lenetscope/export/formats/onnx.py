"""``onnx``: for other languages, browsers and telephones, by torch.onnx.export."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from lenetscope.data.splits import Splits
from lenetscope.errors import RunError, UsageError
from lenetscope.evaluation.outputs import Array
from lenetscope.export import FORMATS, Format
from lenetscope.export.exportable import Exportable, untraceable
from lenetscope.export.predictor import Predictor

INPUT, OUTPUT = "pixels", "probabilities"
"""Names of what the graph takes and gives."""

CONFIG = ("image_shape", "classes", "light_on_dark")
"""Keys of the metadata without which nothing can be predicted."""

EMBEDDED = 2**30
"""Bytes of weights up to which they lie in the file itself; protobuf ends at 2 GiB."""


def require_onnx() -> None:
    """Make sure that ONNX and its runtime are installed.

    Raises:
        UsageError: if they are not.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]:
        raise UsageError(f"{missing[0]} is not installed: pip install 'lenetscope[onnx]'.")


def write_onnx(exportable: Exportable, _splits: Splits, path: Path) -> None:
    """Write the graph, with `Exportable.metadata` among its metadata_props."""
    require_onnx()
    import onnx

    size = sum(p.numel() * p.element_size() for p in exportable.model.parameters())
    with untraceable(exportable.recipe.model):
        program = torch.onnx.export(
            exportable.program,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            external_data=size > EMBEDDED,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    program.save(path, external_data=size > EMBEDDED)
    add_metadata(path, exportable.metadata())
    onnx.checker.check_model(path, full_check=True)


def add_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Put values into a file's metadata_props: texts as they are, others as JSON."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    model.producer_name, model.producer_version = "lenetscope", metadata["lenetscope"]
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    onnx.helper.set_model_props(model, texts)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "images"
    onnx.save(model, path)


def open_onnx(path: Path, threads: int) -> Predictor:
    """Open a graph that `write_onnx` wrote, with ONNX Runtime on the CPU."""
    require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        config = {k: json.loads(session.get_modelmeta().custom_metadata_map[k]) for k in CONFIG}
    except Exception as error:  # its errors have no base class of their own
        why = " ".join(str(error).split())
        raise RunError(f"{path} is not an ONNX file of lenetscope, or damaged: {why}.") from error

    def compute(images: Array) -> Array:
        (found,) = session.run([OUTPUT], {INPUT: images})
        return found  # type: ignore[no-any-return]

    return Predictor.of(compute, config)


def usage(file: str) -> str:
    """Return how a file is used without lenetscope, for its card."""
    return f"""\
```python
import json, numpy, onnxruntime

session = onnxruntime.InferenceSession("{file}")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
pixels = numpy.zeros((1, *session.get_inputs()[0].shape[1:]), dtype=numpy.uint8)  # your images
(probabilities,) = session.run(None, {{"{INPUT}": pixels}})
print(classes[probabilities[0].argmax()])
```"""


FORMATS.register("onnx")(
    Format(
        summary="ONNX: for other languages, browsers and telephones",
        file="model.onnx",
        write=write_onnx,
        open=open_onnx,
        usage=usage("model.onnx"),
    )
)
