"""Makes the reader that is installed with the package from a finished run of the recipe ``reader``.

Writes ``src/lenetscope/reading/weights/reader.safetensors``: the weights in float16, the temperature
and the threshold, both fitted on training images that the run held out, and the results on these and on
the 10,000 test images, which decide nothing.

    lenetscope train --recipe reader --run-dir runs/reader
    python -m benchmarks.ship runs/reader

``--picture FILE`` draws examples of what it is trained on: augmented digits, and images of no digit.
"""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.data.splits import load
from lenetscope.evaluation.calibration import fit_temperature
from lenetscope.evaluation.reliability import reliability
from lenetscope.files import write_bytes
from lenetscope.reading.reader import Judged, Reader, judged
from lenetscope.reading.threshold import threshold_for
from lenetscope.reading.training.handwriting import handwriting
from lenetscope.reading.training.mnist_and_others import no_digits
from lenetscope.runs import Run

REFUSED = 0.002
"""Fraction of true digits that may be refused; much less than 1 %, because people's are harder."""

TARGET = Path("src/lenetscope/reading/weights/reader.safetensors")


def main(words: list[str] | None = None) -> int:
    """Fit, write the file, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ship", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run of the recipe reader")
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--picture", type=Path, help="also draw examples of what it is trained on")
    args = parser.parse_args(words)
    if args.picture:
        picture(args.picture)
    reader = fitted(Run.open(args.run))
    reader.save(args.out)
    print(json.dumps({"temperature": reader.temperature, "threshold": reader.threshold} | reader.facts))
    return 0


def fitted(run: Run) -> Reader:
    """Fit temperature and threshold of a run's network on the training images it held out."""
    recipe = run.recipe()
    splits = load(recipe, run.data_dir())
    run.require_same_data(splits)
    model = run.load_model()
    for value in model.state_dict().values():  # as it will be loaded
        if value.is_floating_point():
            value.copy_(value.half().float())
    none_share = float((splits.train.labels == len(splits.classes) - 1).float().mean())
    plain = Reader(model, recipe.mean, recipe.std, 1.0, 0.0, none_share, {})
    held_out, labels = _digits(torch.as_tensor(splits.valid.images[:]), splits.valid.labels)
    logits = plain.logits(held_out)
    temperature = fit_temperature(logits[:, :-1], labels)
    augment = AUGMENTATIONS.get(recipe.augmentation)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        changed = plain.logits(held_out if augment is None else augment(held_out))
    threshold = threshold_for(judged(logits, temperature, none_share).digitness, REFUSED)

    def figures(logits: Tensor, labels: Tensor) -> dict[str, Any]:
        before, after = judged(logits, 1.0, none_share), judged(logits, temperature, none_share)
        return _figures(before, after, labels, threshold)

    test = figures(plain.logits(torch.as_tensor(splits.test.images[:])), splits.test.labels)
    facts = {
        "epochs": len(run.history()),
        "seconds": round(sum(row["train_seconds"] for row in run.history())),
        "held out": figures(logits, labels),
        "held out, augmented": figures(changed, labels),
        "test": test,
    }
    return Reader(model, recipe.mean, recipe.std, temperature, threshold, none_share, facts)


def picture(path: Path, columns: int = 20) -> None:
    """Draw five rows of augmented digits and, below them, eight rows of images of no digit."""
    raw = read_mnist().train
    images, labels = torch.as_tensor(raw.images[:2000]), raw.labels[:2000]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        digits = handwriting(images[: 5 * columns])
    others = no_digits(images, labels, fraction=0.02, seed=1)[:, 0]
    chosen = others[torch.linspace(0, len(others) - 1, 8 * columns).long()]
    gap = torch.zeros(columns, 28, 28, dtype=torch.uint8)
    tiles = torch.cat([digits[:, 0], gap, chosen]).reshape(-1, columns, 28, 28)
    spaced = functional.pad(tiles, (1, 1, 1, 1), value=90)  # (rows, columns, 30, 30)
    whole = spaced.permute(0, 2, 1, 3).reshape(len(tiles) * 30, columns * 30)
    whole[150:180] = 255
    buffer = io.BytesIO()
    Image.fromarray(whole.numpy()).resize(
        (whole.shape[1] * 2, whole.shape[0] * 2), Image.Resampling.NEAREST
    ).save(buffer, format="png", optimize=True)
    write_bytes(path, buffer.getvalue())


def _digits(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return only the digits."""
    chosen = (labels < 10).nonzero()[:, 0]
    return images[chosen], labels[chosen]


def _figures(before: Judged, after: Judged, labels: Tensor, threshold: float) -> dict[str, Any]:
    """Return n, errors, calibration errors before and after the temperature, and refusals."""
    return {
        "n": len(labels),
        "errors": int((after.probabilities.argmax(1) != labels).sum()),
        "ece_before": round(reliability(before.with_none, labels).ece, 5),
        "ece": round(reliability(after.with_none, labels).ece, 5),
        "refused": int((after.digitness < threshold).sum()),
    }


if __name__ == "__main__":
    sys.exit(main())
