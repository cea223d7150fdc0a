"""``onnx-int8``: ONNX with weights and activations of 8 bits, calibrated on training images.

Quantize and dequantize nodes around convolutions and linear layers, with a scale for each channel of
the weights. What linear layers return, the logits among it, stays float32.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lenetscope.data.splits import Splits
from lenetscope.evaluation.outputs import Array
from lenetscope.export import FORMATS, Format, Limits
from lenetscope.export.exportable import Exportable
from lenetscope.export.formats.onnx import (
    INPUT,
    add_metadata,
    open_onnx,
    require_onnx,
    usage,
    write_onnx,
)
from lenetscope.table import counted

CALIBRATION = 1000
"""Training images whose activations give the ranges; which, the recipe's seed determines."""

CALIBRATION_BATCH = 50

INT8 = Limits(largest=0.5, mean=0.005)
"""No sure answer may turn into its opposite. 8 bits moved the probabilities of lenet (one epoch of
MNIST) by 9e-5 on average and 0.02 at most; what counts is the accuracy, see `ACCURACY_LOST`."""

QUANTIZED = ("Conv", "Gemm", "MatMul")
"""Kinds of nodes. With ReLU, pooling and the preprocessing as well, one image took a fifth longer."""

REPEATS = {1: 101, 64: 31}
"""How often each file is timed, by images per batch."""

# processor time, which other programs hardly change; Windows counts it in steps that are too long
_fine = time.get_clock_info("thread_time").resolution < 1e-6
_clock = time.thread_time if _fine else time.perf_counter


def write_onnx_int8(exportable: Exportable, splits: Splits, path: Path) -> None:
    """Write the float32 graph, fold what can be folded, and quantize it."""
    require_onnx()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            self.batches = calibration_batches(exportable.recipe.seed, splits)

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as folder:
        plain, folded = Path(folder) / "plain.onnx", Path(folder) / "folded.onnx"
        write_onnx(exportable, splits, plain)
        quant_pre_process(plain, folded)  # batch normalisation goes into the convolutions
        quantization.quantize_static(
            folded,
            path,
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
    add_metadata(path, exportable.metadata())


def calibration_batches(seed: int, splits: Splits) -> Iterator[Array]:
    """Yield the training images that calibrate, in batches (N, C, H, W) uint8."""
    images, labels = splits.train
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    for part in torch.split(order[:CALIBRATION], CALIBRATION_BATCH):
        yield np.asarray(images[part])


def compare_with_float32(
    exportable: Exportable, splits: Splits, path: Path
) -> tuple[str, dict[str, Any]]:
    """Compare size and speed with those of the float32 graph, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        write_onnx(exportable, splits, plain)
        sizes = plain.stat().st_size, path.stat().st_size
        both = open_onnx(plain, 1), open_onnx(path, 1)
        images = np.zeros((max(REPEATS), *exportable.image_shape), dtype=np.uint8)
        some = np.asarray(splits.test.images[: max(REPEATS)])
        images[: len(some)] = some
        medians = {}
        for batch, repeats in REPEATS.items():
            seconds: tuple[list[float], list[float]] = ([], [])
            for turn in range(repeats + 1):  # in turn, so that other programs slow both
                for predictor, times in zip(both, seconds, strict=True):
                    began = _clock()
                    predictor.probabilities(images[:batch])
                    if turn:  # the first one is slower
                        times.append(_clock() - began)
            float32, int8 = (1e6 * statistics.median(times) for times in seconds)
            medians[batch] = {"float32": float32, "int8": int8}
    rows = [f"| bytes | {sizes[0]:,} | {sizes[1]:,} | {_times(*sizes, 'smaller', 'larger')} |"]
    for batch, median in medians.items():
        words = _times(median["float32"], median["int8"], "faster", "slower")
        numbers = " | ".join(f"{number:,.0f}" for number in median.values())
        rows.append(f"| µs for {counted(batch, 'image')} | {numbers} | {words} |")
    counts = " and ".join(map(str, REPEATS.values()))
    text = (
        "## Size and speed\n\n|  | float32 | int8 | int8 is |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nProcessor time of ONNX Runtime on one thread, medians of {counts} runs, the two files "
        "in turn, on the machine that exported them. Others give other ratios: measure on yours."
    )
    return text, {
        "bytes_float32": sizes[0],
        "microseconds": medians,
        "calibration_images": min(CALIBRATION, len(splits.train.labels)),
    }


def _times(before: float, after: float, better: str, worse: str) -> str:
    """Say how many times as good it is.

    >>> _times(300, 100, "faster", "slower"), _times(100, 150, "faster", "slower")
    ('3.0 times faster', '1.5 times slower')
    """
    if after <= before:
        return f"{before / after:.1f} times {better}"
    return f"{after / before:.1f} times {worse}"


FORMATS.register("onnx-int8")(
    Format(
        summary="ONNX with weights and activations of 8 bits: a quarter of the size",
        file="model-int8.onnx",
        write=write_onnx_int8,
        open=open_onnx,
        limits=INT8,
        measure=compare_with_float32,
        usage=usage("model-int8.onnx"),
    )
)
