"""What each step of reading is worth: accuracy with each of them left out.

In: ``python -m benchmarks.steps [--count N] [--digits N] [--folder FOLDER] [--run RUN]``. Out: for each
source what is read rightly with all steps, with none, and with each left out. Sources are the kinds of
`benchmarks.stress`, digits of 8x8 that 43 people wrote (scikit-learn's, of E. Alpaydin and C. Kaynak,
"Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998), and those of a
folder with a ``labels.csv`` (path, label, kind, source), if given.
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

SURE = 0.9
"""Confidence above which a wrong answer that is not refused does harm."""

Sources = dict[str, list[tuple[Any, str]]]


def sources(
    count: int, folder: Path | None, only: list[str], digits: int = 0, seed: int = 1
) -> Sources:
    """Return pictures and what is written in them, by source."""
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
    """Answer as tutorials do: grey, 28x28, no more."""
    image, _ = open_picture(picture)
    pixels = fit_to(torch.tensor(list(image.convert("L").tobytes()), dtype=torch.uint8).view(
        1, image.height, image.width), (28, 28))  # fmt: skip
    return str(int(judge.judge(pixels[None])[0].argmax()))


def measure(given: Sources, judge: Judge) -> dict[str, dict[str, Any]]:
    """Read each source with all steps, with none, and with each left out; shares of right texts."""
    result: dict[str, dict[str, Any]] = {}
    for name, rows in given.items():
        begun = time.perf_counter()
        found = [read(picture, judge=judge) for picture, _ in rows]
        seconds = time.perf_counter() - begun
        wrong = [f for f, (_, text) in zip(found, rows, strict=True) if f.text != text]
        row = {
            "n": len(rows),
            "right": len(rows) - len(wrong),
            "refused": sum(f.rejected is not None for f in found),
            "wrong and sure": sum(f.rejected is None and f.confidence > SURE for f in wrong),
            "milliseconds": round(1e3 * seconds / len(rows), 1),
            "resized": sum(resized(picture, judge) == text for picture, text in rows),
        }
        for step in STEPS:
            row[step] = sum(
                read(picture, judge=judge, skip=frozenset([step])).text == text
                for picture, text in rows
            )
        result[name] = row
        machine.tell(f"{name}: {row}")
    return result


def report(rows: dict[str, dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    heads = ["", "n", "right", "95 %", "resized", "refused", f"wrong, above {SURE:g}", "ms"]
    first, second = [], []
    for name, row in rows.items():
        n = row["n"]
        low, high = wilson_interval(row["right"], n)
        shares = [f"{100 * row[key] / n:.1f}" for key in ("right", "resized")]
        interval = f"{100 * low:.0f} to {100 * high:.0f}"
        others = [str(row[key]) for key in ("refused", "wrong and sure", "milliseconds")]
        first.append([name, str(n), shares[0], interval, shares[1], *others])
        less = sorted((row[step] - row["right"], step) for step in STEPS if row[step] != row["right"])
        second.append([name, ", ".join(f"{step} {100 * by / n:+.1f}" for by, step in less) or "none"])
    return (
        machine.table(heads, first)
        + "\n"
        + machine.table(["", "points when a step is left out"], second)
        + f"\n{machine.sentence(about)}\n"
    )


def main(words: list[str] | None = None) -> int:
    """Parse, measure, and write ``steps.json`` and ``steps.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps")
    parser.add_argument("--count", type=int, default=25, help="pictures of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of these pictures")
    parser.add_argument("--digits", type=int, default=0, help="of 8x8, 1797 at most")
    parser.add_argument("--only", nargs="*", default=[], help=f"some of {', '.join(KINDS)}")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run", type=Path, help="the run whose network to ask")
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
