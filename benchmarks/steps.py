"""Measures what each step of reading contributes: the accuracy with each of them skipped.

    python -m benchmarks.steps [--count N] [--digits N] [--folder FOLDER] [--run RUN]

Per source, pictures are read with all steps, with none, and with one skipped at a time. Sources are the
kinds of `benchmarks.stress`; digits of 8x8 pixels written by 43 people (scikit-learn's, of E. Alpaydin
and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998); and
pictures in a folder with a ``labels.csv`` (path, label, kind, source).
"""

import argparse
import csv
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from benchmarks import machine
from benchmarks.stress import KINDS, Pens, pictures
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.files import write_json, write_text
from lenetscope.reading import Judge, NetworkJudge, fit_to, open_picture, read
from lenetscope.reading.pipeline import STEPS
from lenetscope.reading.reader import load_reader
from lenetscope.runs import Run

CONFIDENT = 0.9
"""Confidence above which a wrong text that is not refused does harm."""

Sources = dict[str, list[tuple[Any, str]]]


def sources(
    count: int, folder: Path | None, only: list[str], digits: int = 0, seed: int = 1
) -> Sources:
    """Return pictures with the text written in them, by source."""
    found: Sources = defaultdict(list)
    if folder:
        with (folder / "labels.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                found[f"{row['source']} ({row['kind']})"].append((folder / row["path"], row["label"]))
    if digits:
        every = load_digits()
        chosen = np.linspace(0, len(every.images) - 1, min(digits, len(every.images))).astype(int)
        found["scikit-learn's digits, 8x8"] = [
            (np.rint(every.images[k] * 255 / 16).astype(np.uint8), str(every.target[k])) for k in chosen
        ]
    if count:
        pens = Pens()
        for kind in only or KINDS:
            found[kind] = [(picture, text) for picture, text in pictures(kind, count, seed, pens)]
    return dict(found)


def resized(picture: Any, judge: Judge) -> str:
    """Classify a picture as tutorials do: only converted to grey and resized to 28x28."""
    image, _ = open_picture(picture)
    pixels = fit_to(torch.tensor(list(image.convert("L").tobytes()), dtype=torch.uint8).view(
        1, image.height, image.width), (28, 28))  # fmt: skip
    return str(int(judge.judge(pixels[None])[0].argmax()))


def measure(given: Sources, judge: Judge) -> dict[str, dict[str, Any]]:
    """Count correct texts per source with all steps, with none, and with each step skipped."""
    result: dict[str, dict[str, Any]] = {}
    for name, rows in given.items():
        begun = time.perf_counter()
        found = [read(picture, judge=judge) for picture, _ in rows]
        seconds = time.perf_counter() - begun
        wrong = [f for f, (_, text) in zip(found, rows, strict=True) if f.text != text]
        row = {
            "n": len(rows),
            "correct": len(rows) - len(wrong),
            "refused": sum(f.rejected is not None for f in found),
            "wrong and confident": sum(f.rejected is None and f.confidence > CONFIDENT for f in wrong),
            "milliseconds": round(1e3 * seconds / len(rows), 1),
            "resized": sum(resized(picture, judge) == text for picture, text in rows),
        }
        for step in STEPS:
            row[step] = sum(
                read(picture, judge=judge, skip=frozenset([step])).text == text
                for picture, text in rows
            )
        result[name] = row
        machine.log(f"{name}: {row}")
    return result


def report(rows: dict[str, dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    heads = ["", "n", "correct, %", "95 % interval", "resized, %", "refused"]
    heads += [f"wrong above {CONFIDENT:g}", "ms per picture"]
    first, second = [], []
    for name, row in rows.items():
        n = row["n"]
        low, high = wilson_interval(row["correct"], n)
        correct, resized = (f"{100 * row[key] / n:.1f}" for key in ("correct", "resized"))
        interval = f"{100 * low:.0f} to {100 * high:.0f}"
        others = [str(row[key]) for key in ("refused", "wrong and confident", "milliseconds")]
        first.append([name, str(n), correct, interval, resized, *others])
        changes = sorted((row[step] - row["correct"], step) for step in STEPS)
        text = ", ".join(f"{step} {100 * change / n:+.1f}" for change, step in changes if change)
        second.append([name, text or "none"])
    return (
        machine.table(heads, first)
        + "\n"
        + machine.table(["", "change in points when a step is skipped"], second)
        + f"\n{machine.sentence(about)}\n"
    )


def main(words: list[str] | None = None) -> int:
    """Parse, measure, and write ``steps.json`` and ``steps.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps")
    parser.add_argument("--count", type=int, default=25, help="pictures per kind")
    parser.add_argument("--seed", type=int, default=1, help="of these pictures")
    parser.add_argument("--digits", type=int, default=0, help="digits of 8x8 pixels, 1797 at most")
    parser.add_argument("--only", nargs="*", default=[], help=f"kinds: {', '.join(KINDS)}")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run", type=Path, help="run whose network is used instead of the reader")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(words)
    torch.set_num_threads(1)
    judge: Judge = load_reader()
    if args.run:
        run = Run.open(args.run)
        judge = NetworkJudge(run.load_model(), run.recipe().mean, run.recipe().std)
    rows = measure(sources(args.count, args.folder, args.only, args.digits, args.seed), judge)
    about = machine.describe()
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "steps.json", {"machine": about, "rows": rows})
    write_text(args.out / "steps.md", report(rows, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
