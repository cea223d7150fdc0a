"""Measures how well the reader tells digits from images it has never seen: clothing and letters.

MNIST's test images are compared with Fashion-MNIST's, and with letters that do not resemble digits, in
the fonts of this machine. Measured are the area under the ROC curve of the reader's digitness, of the
confidence of `lenetscope.read` in the same images and of the largest probability of a run's network,
and how many images are refused at the reader's threshold. Nothing is trained on them.

    apt-get install dataset-fashion-mnist fonts-breip fonts-bwht fonts-comic-neue fonts-dancingscript
    apt-get install fonts-dkg-handwriting fonts-ecolier-court fonts-femkeklaver fonts-humor-sans
    apt-get install fonts-joscelyn fonts-kaushanscript fonts-klee fonts-kristi
    python -m benchmarks.refusal --run runs/reference-1 --read 1000

Fashion-MNIST: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747.
"""

import argparse
import gzip
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks import machine
from lenetscope.files import write_json, write_text

Array = npt.NDArray[Any]

LETTERS = "AEFHKMNPRTVWXdfhkmnprtwx"
FASHION = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")


def fashion() -> Array:
    """Return Fashion-MNIST's 10,000 test images, (10000, 28, 28) uint8."""
    data = gzip.decompress(FASHION.read_bytes())
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28).copy()


def fonts() -> list[Path]:
    """Return the fonts of the machine, without DejaVu's, which do not resemble handwriting."""
    found = subprocess.run(
        ["fc-list", ":", "file"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    files = sorted(Path(line.partition(":")[0]) for line in found)
    return [file for file in files if "dejavu" not in str(file)]


def letters(files: list[Path], characters: str = LETTERS) -> tuple[Array, list[str]]:
    """Return images of letters in all fonts, scaled and centred like MNIST's digits, and the letters.

    Fonts without a letter are skipped.
    """
    images, names = [], []
    for file in files:
        font = ImageFont.truetype(str(file), 80)
        missing = np.asarray(font.getmask("\ufffe")).tobytes()
        for letter in characters:
            if not (mask := font.getmask(letter)).getbbox() or np.asarray(mask).tobytes() == missing:
                continue
            images.append(framed(letter, font))
            names.append(letter)
    return np.stack(images), names


def framed(letter: str, font: Any) -> Array:
    """Draw one letter, scaled to 20x20 and centred by its centre of mass in 28x28."""
    canvas = Image.new("L", (320, 320))
    ImageDraw.Draw(canvas).text((120, 100), letter, font=font, fill=255)
    ink = canvas.crop(canvas.getbbox())
    longest = max(ink.size)
    size = (max(1, round(20 * ink.width / longest)), max(1, round(20 * ink.height / longest)))
    small = np.asarray(ink.resize(size, Image.Resampling.BOX)).astype(float)
    weights = small / small.sum()
    row = 14 - round(float((weights.sum(axis=1) * (np.arange(size[1]) + 0.5)).sum()))
    column = 14 - round(float((weights.sum(axis=0) * (np.arange(size[0]) + 0.5)).sum()))
    row, column = min(max(row, 0), 28 - size[1]), min(max(column, 0), 28 - size[0])
    frame = np.zeros((28, 28), np.uint8)
    frame[row : row + size[1], column : column + size[0]] = np.rint(small)
    return frame


def auroc(positive: Array, negative: Array) -> float:
    """Return the probability that a positive has a higher score than a negative; ties count half.

    >>> auroc(np.array([0.9, 0.4]), np.array([0.4, 0.1]))
    0.875
    """
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def main(words: list[str] | None = None) -> int:
    """Parse, measure, and write ``refusal.json`` and ``refusal.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refusal")
    parser.add_argument("--run", type=Path, help="folder of a run to compare with")
    parser.add_argument(
        "--read", type=int, default=1000, help="images per set for lenetscope.read, 0 for none"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(words)
    torch.set_num_threads(1)
    results = measure(args.run, args.read)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "refusal.json", results)
    write_text(args.out / "refusal.md", report(results))
    return 0


def measure(run: Path | None, read_count: int) -> dict[str, Any]:
    """Score digits and other images with the reader and with the run's network."""
    from lenetscope import Architecture
    from lenetscope.data.splits import load
    from lenetscope.reading.reader import load_reader
    from lenetscope.recipe import Recipe

    reader = load_reader()
    drawn, names = letters(fonts())
    sets = {
        "digits": torch.as_tensor(load(Recipe.load("reference")).test.images)[:, 0].numpy(),
        "Fashion-MNIST": fashion(),
        "letters of fonts": drawn,
    }
    scorers: dict[str, Callable[[Tensor], Array]] = {
        "digitness of the reader": lambda images: np.array(
            [math.exp(reader.log_digitness(each)) for each in reader.positions(images[:, 0].numpy())]
        )
    }
    if run is not None:
        arch = Architecture.from_run(run, device="cpu")
        scorers["largest probability of the run's network"] = lambda images: np.concatenate(
            [arch.predict_proba(part).max(axis=1) for part in torch.split(images, 250)]
        )
    rows: list[dict[str, Any]] = []
    by_read: dict[str, list[int]] = {}
    for scorer, score in scorers.items():
        scores = {name: score(torch.from_numpy(images)[:, None]) for name, images in sets.items()}
        rows += [
            {"score": scorer, "against": name, "n": len(sets[name])}
            | {"auroc": auroc(scores["digits"], scores[name])}
            for name in list(sets)[1:]
        ]
        if scorer.startswith("digitness"):
            refused = {name: int((s < reader.threshold).sum()) for name, s in scores.items()}
            values = scores["letters of fonts"]
            each = {c: float(values[[n == c for n in names]].mean()) for c in LETTERS}
    if read_count:
        some = {name: images[:: -(-len(images) // read_count)] for name, images in sets.items()}
        through = {name: through_read(images) for name, images in some.items()}
        rows += [
            {"score": "confidence of read", "against": name, "n": len(some[name])}
            | {"auroc": auroc(through["digits"][0], through[name][0])}
            for name in list(sets)[1:]
        ]
        for name, (_, rejected) in through.items():
            by_read[name] = [int(rejected.sum()), len(rejected)]
    counts = {name: len(images) for name, images in sets.items()}
    facts = {"threshold": reader.threshold, "refused": refused, "n": counts, "letters": each}
    facts["rejected by read"] = by_read
    return {"machine": machine.describe(), "fonts": len(fonts()), "rows": rows} | facts


def through_read(images: Array) -> tuple[Array, Array]:
    """Return the confidence of `lenetscope.read` per image, and whether it is rejected, (N,) each."""
    from lenetscope.reading import read

    found = [read(image) for image in images]
    return np.array([f.confidence for f in found]), np.array([f.rejected is not None for f in found])


def report(results: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    rows = [[r["score"], r["against"], f"{r['n']:,}", f"{r['auroc']:.4f}"] for r in results["rows"]]

    def percent(count: int, n: int) -> str:
        return f"{100 * count / n:.2f} % of {n:,}"

    refused = [
        [name, percent(results["refused"][name], n)]
        + ([percent(*results["rejected by read"][name])] if results["rejected by read"] else ["-"])
        for name, n in results["n"].items()
    ]
    return (
        machine.table(["score", "digits against", "n", "AUROC"], rows)
        + "\n"
        + machine.table(["", f"refused below {results['threshold']:g}", "rejected by read"], refused)
        + f"\nLetters {LETTERS} in {results['fonts']} fonts. {machine.sentence(results['machine'])}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
