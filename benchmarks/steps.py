"""What each step of reading is worth: accuracy with each of them left out.

In: ``python -m benchmarks.steps [--count N] [--folder FOLDER] [--run RUN] [--out FILE]``. Out: a table,
a row a source and a column a step that is left out, also as JSON. Sources are the kinds of
`benchmarks.stress` and those of a folder with a ``labels.csv`` (path, label, kind, source), if given.
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.stress import KINDS, Pens, pictures
from lenetscope.reading import Judge, NetworkJudge, fit_to, open_picture, read
from lenetscope.reading.pipeline import STEPS
from lenetscope.reading.reader import load_reader
from lenetscope.runs import Run

Sources = dict[str, list[tuple[Any, str]]]


def sources(count: int, folder: Path | None, only: list[str]) -> Sources:
    """Return pictures and what is written in them, by source."""
    found: Sources = defaultdict(list)
    if folder:
        with (folder / "labels.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                found[f"{row['source']} ({row['kind']})"].append((folder / row["path"], row["label"]))
    if count:
        pens = Pens()
        for kind in only or KINDS:
            found[kind] = [(picture, text) for picture, text in pictures(kind, count, 1, pens)]
    return dict(found)


def resized(picture: Any, judge: Judge) -> str:
    """Answer as tutorials do: grey, 28x28, no more."""
    image, _ = open_picture(picture)
    pixels = fit_to(torch.tensor(list(image.convert("L").tobytes()), dtype=torch.uint8).view(
        1, image.height, image.width), (28, 28))  # fmt: skip
    return str(int(judge.judge(pixels[None])[0].argmax()))


def share(right: list[bool]) -> float:
    """Return how many of the answers are right."""
    return sum(right) / len(right)


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--count", type=int, default=25, help="pictures of each kind")
    parser.add_argument("--only", nargs="*", default=[], help=f"some of {', '.join(KINDS)}")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run", type=Path, help="the run whose network to ask")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/steps.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge: Judge = load_reader()
    if args.run:
        run = Run.open(args.run)
        judge = NetworkJudge(run.load_model(), run.recipe().mean, run.recipe().std)
    given = sources(args.count, args.folder, args.only)
    result: dict[str, dict[str, Any]] = {name: {"n": len(rows)} for name, rows in given.items()}
    for left_out in ("nothing", "everything", *STEPS):
        for name, rows in given.items():
            right = []
            for picture, text in rows:
                if left_out == "everything":
                    answer = resized(picture, judge)
                else:
                    skip = frozenset([left_out]) - {"nothing"}
                    answer = read(picture, judge=judge, skip=skip).text
                right.append(answer == text)
            result[name][left_out] = share(right)
            print(f"{left_out:16} {name:70} {100 * share(right):5.1f}  n = {len(right)}", flush=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
