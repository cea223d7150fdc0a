"""Measures how well the reader tells digits from images it has never seen: clothing, letters, noise.

MNIST's test images are compared with Fashion-MNIST's, and with letters that do not resemble digits, in
the fonts of this machine. Measured are the area under the ROC curve of the reader's digitness, of the
largest probability of a run's network, and of the confidence and the score of `lenetscope.read`, and
how many images it rejects. Nothing is trained on them.

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
from scipy import ndimage
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
    drawn, _ = letters(fonts())
    sets = {
        "digits": torch.as_tensor(load(Recipe.load("reference")).test.images)[:, 0].numpy(),
        "Fashion-MNIST": fashion(),
        "letters of fonts": drawn,
        "noise": noise(),
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

    def compare(what: str, scores: dict[str, Array]) -> None:
        for name in list(scores)[1:]:
            area = auroc(scores["digits"], scores[name])
            rows.append({"score": what, "against": name, "n": len(scores[name]), "auroc": area})

    for scorer, score in scorers.items():
        compare(scorer, {k: score(torch.from_numpy(images)[:, None]) for k, images in sets.items()})
    rejected = {}
    if read_count:
        some = {name: images[:: -(-len(images) // read_count)] for name, images in sets.items()}
        through = {name: through_read(images) for name, images in some.items()}
        for what in ("confidence", "score"):
            compare(f"{what} of read", {name: found[what] for name, found in through.items()})
        rejected = {n: [int(v["rejected"].sum()), len(v["rejected"])] for n, v in through.items()}
    facts = {"threshold": reader.threshold, "rejected": rejected, "fonts": len(fonts())}
    return {"machine": machine.describe(), "rows": rows} | facts


def noise(count: int = 1000, seed: int = 0) -> Array:
    """Return images (N, 28, 28) of noise: uniform, normal, sparse, blurred, and stripes, in turns."""
    random = np.random.default_rng(seed)
    plain = random.random((count, 28, 28))
    made = [
        plain[0::5],
        random.normal(0.25, 0.1, plain[1::5].shape),
        plain[2::5] < 0.03,
        ndimage.gaussian_filter(plain[3::5], (0, 1.5, 1.5)),
        np.sin(np.add.outer(random.uniform(0.5, 3, len(plain[4::5])) * 9, np.arange(28))[:, None] / 2)
        .repeat(28, axis=1),
    ]  # fmt: skip
    images = [np.clip(each, 0, 1) for each in made]
    images[3] = (images[3] - images[3].min()) / np.ptp(images[3])
    found: Array = np.rint(np.concatenate(images) * 255).astype(np.uint8)
    return found


def through_read(images: Array) -> dict[str, Array]:
    """Return confidence and score of `lenetscope.read` per image, and whether it is rejected, (N,)."""
    from lenetscope.reading import read

    found = [read(image) for image in images]
    return {
        "confidence": np.array([f.confidence for f in found]),
        "score": np.array([f.score for f in found]),
        "rejected": np.array([f.rejected is not None for f in found]),
    }


def report(results: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    rows = [[r["score"], r["against"], f"{r['n']:,}", f"{r['auroc']:.4f}"] for r in results["rows"]]
    text = machine.table(["score", "digits against", "n", "AUROC"], rows) + "\n"
    if results["rejected"]:
        cells = [
            [name, f"{count:,} of {n:,} ({100 * count / n:.1f} %)"]
            for name, (count, n) in results["rejected"].items()
        ]
        text += machine.table(["", f"rejected by read (score below {results['threshold']:g})"], cells)
    about = f"Letters {LETTERS} in {results['fonts']} fonts. {machine.sentence(results['machine'])}"
    return f"{text}\n{about}\n"


if __name__ == "__main__":
    sys.exit(main())
