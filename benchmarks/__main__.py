"""Runs benchmarks from the command line, as in ``python -m benchmarks compare --smoke``.

Results are written to the folder ``--out``. Each benchmark is imported only when it is run.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import lineup

BENCHMARKS = ("compare", "growth", "inference", "floor", "ablation", "read", "serve", "play")


def main(words: list[str] | None = None) -> int:
    """Run the benchmarks named on the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure lenetscope.")
    parser.add_argument("which", nargs="?", choices=[*BENCHMARKS, "all"], default="compare")
    parser.add_argument("--smoke", action="store_true", help="only check that everything runs")
    parser.add_argument("--repeats", type=int, default=3, help="of the seconds per epoch")
    parser.add_argument("--repeats-to-99", type=int, default=1, help="of the time to 99 %% accuracy")
    parser.add_argument(
        "--only", default="", help=f"contenders, comma-separated: {', '.join(lineup.names())}"
    )
    parser.add_argument("--handwriting", type=Path, help="people's pictures for read, with labels.csv")
    parser.add_argument("--count", type=int, default=200, help="pictures that read draws per set")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(words)
    only = [name for name in args.only.split(",") if name]
    if unknown := set(only) - set(lineup.names()):
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    if args.repeats < 1 or args.repeats_to_99 < 0:
        parser.error("--repeats must be at least 1, and --repeats-to-99 at least 0")
    if args.count < 1:
        parser.error("--count must be at least 1")

    wanted = BENCHMARKS if args.which == "all" else (args.which,)
    status = 0
    if "compare" in wanted:
        from benchmarks import compare

        status = compare.main(args.out, args.smoke, args.repeats, only, args.repeats_to_99)
    if "growth" in wanted:
        from benchmarks import growth

        growth.main(args.out, args.smoke)
    if "inference" in wanted:
        from benchmarks import inference

        inference.main(args.out, args.smoke)
    if "floor" in wanted:
        from benchmarks import floor

        floor.main(args.out, args.smoke)
    if "ablation" in wanted:
        from benchmarks import ablation

        ablation.main(args.out, args.smoke)
    if "read" in wanted:
        from benchmarks import read

        read.main(args.out, args.smoke, args.handwriting, args.count)
    if "serve" in wanted:
        from benchmarks import serve

        serve.main(args.out, args.smoke)
    if "play" in wanted:
        from benchmarks import play

        play.main(args.out, args.smoke)
    return status


if __name__ == "__main__":
    sys.exit(main())
