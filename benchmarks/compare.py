"""Compares the training speed of this project with that of its alternatives.

Writes ``compare.json`` with every measurement, ``compare.md`` with the table and ``compare.png`` with
the times to 99 %. Both text files are rewritten after each measurement, so that an interrupted
comparison keeps its results.

Measurements are interleaved: the first repeat of all contenders, then the second, each repeat with its
own seed. torch is imported here only after the last measurement, see `benchmarks.measure`.
"""

import json
import math
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import lineup, machine
from benchmarks.lineup import Contender, Job, Project
from benchmarks.measure import MeasurementError
from benchmarks.table import TARGET, Record, Row, markdown, summarize

EPOCHS = 2
"""Epochs of a run that measures the seconds per epoch; the first one does not count."""

SMOKE_LIMIT = 2000
"""Training images of a smoke run."""

PACKAGES = (
    "lenetscope", "torch", "torchvision", "numpy", "lightning-fabric", "lightning", "keras", "jax",
    "jaxlib", "skorch", "scikit-learn",
)  # fmt: skip

_UNPACK = """
import json, sys
from pathlib import Path
import torch
from lenetscope.data.sources.mnist import mnist_folder
data = str(mnist_folder().parents[1].resolve())
print(json.dumps({"data": data, "torch_threads": torch.get_num_threads()}))
"""


@dataclass
class Results:
    """All measurements so far, and the folder they are written to."""

    out: Path
    facts: dict[str, Any]
    entrants: Sequence[Contender | Project]
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Add a record, and write all files."""
        self.records.append(record)
        self.write()

    def rows(self) -> list[Row]:
        """Return the rows of the table."""
        names = [entrant.name for entrant in self.entrants]
        return summarize(self.records, names, lineup.BASELINE)

    def write(self) -> None:
        """Write both text files, each to a temporary file first."""
        rows = self.rows()
        values = {
            **self.facts,
            "table": [vars(row) for row in rows],
            "measurements": [record.as_dict() for record in self.records],
        }
        titles = {entrant.name: entrant.title for entrant in self.entrants}
        texts = {
            "compare.json": json.dumps(values, indent=1) + "\n",
            "compare.md": markdown(rows, titles) + "\n" + _caption(self.facts),
        }
        for name, text in texts.items():
            aside = self.out / f".{name}.tmp"
            aside.write_text(text, "utf-8")
            aside.replace(self.out / name)


def main(
    out: Path, smoke: bool, repeats: int = 3, only: Sequence[str] = (), repeats_to_99: int = 1
) -> int:
    """Measure and write the files; return 0, or 1 if something failed or is not installed."""
    entrants = [each for each in lineup.LINEUP if not only or each.name in only]
    absent = {each.name: reason for each in entrants if (reason := each.missing())}
    if absent and not smoke:
        for name, reason in absent.items():
            machine.log(f"{name}: {reason}")
        machine.log("install the extra 'bench', or choose others with --only.")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", _UNPACK], check=True, stdout=subprocess.PIPE, text=True
    )
    prepared = json.loads(done.stdout)
    data = Path(prepared["data"])
    results = Results(out, environment(prepared["torch_threads"], smoke), entrants)
    for name, reason in absent.items():
        results.add(Record("epoch", 0, name, None, reason))
    present = [each for each in entrants if each.name not in absent]

    with tempfile.TemporaryDirectory() as folder:
        if smoke:
            small = write_small(data, Path(folder), SMOKE_LIMIT)
            job = Job(data, epochs=1, seed=0, limit=SMOKE_LIMIT, small=small)
            for each in present:  # one run is used for both measurements
                record = _measured(results, each, job, "epoch", 0)
                results.add(Record("to-99", 0, each.name, record.measurement, record.error))
        else:
            for repeat in range(repeats):
                for each in present:
                    _measured(results, each, Job(data, EPOCHS, seed=repeat), "epoch", repeat)
            for repeat in range(repeats_to_99):
                for each in present:
                    job = Job(data, each.cap, seed=repeat, until=TARGET)
                    _measured(results, each, job, "to-99", repeat)

    results.write()
    print((out / "compare.md").read_text("utf-8"))
    draw(results)
    failed = [record for record in results.records if record.error and record.name not in absent]
    return 1 if failed else 0


def _measured(
    results: Results, entrant: Contender | Project, job: Job, kind: str, repeat: int
) -> Record:
    """Measure once and record the result, or the failure, which does not stop the others."""
    try:
        record = Record(kind, repeat, entrant.name, entrant.measure(job))
    except MeasurementError as error:
        record = Record(kind, repeat, entrant.name, None, str(error))
        machine.log(f"{entrant.name}: {error}")
    results.add(record)
    if found := record.measurement:
        best = max((epoch.accuracy or 0.0 for epoch in found.epochs), default=0.0)
        machine.log(
            f"{kind} {repeat + 1}: {entrant.name}: {found.epochs[-1].train_seconds:.2f} s in the last "
            f"of {len(found.epochs)} epochs, best {100 * best:.2f} %, {found.seconds:.1f} s in total"
        )
    return record


def draw(results: Results) -> None:
    """Draw the times to the target of all contenders that were measured for it."""
    titles = {entrant.name: entrant.title for entrant in results.entrants}
    rows = [row for row in results.rows() if row.best is not None]
    if not rows:
        return
    from benchmarks.figures import plot_times_to_accuracy

    figure = plot_times_to_accuracy(
        [titles[row.name] for row in rows],
        [row.train_to_target or math.nan for row in rows],  # NaN: not reached
        [row.whole_to_target or math.nan for row in rows],
        title=f"Seconds to a test accuracy of {100 * TARGET:.0f} %",
    )
    figure.savefig(results.out / "compare.png", bbox_inches="tight")


def environment(torch_threads: int, smoke: bool) -> dict[str, Any]:
    """Return what results may depend on, like `machine.describe`, but without importing torch."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "benchmarks", *sys.argv[1:]],
        "smoke": smoke,
        "python": platform.python_version(),
        "packages": versions,
        "system": platform.platform(),
        "cpu": machine.cpu_model(),
        "cores": machine.usable_cores(),
        "threads": torch_threads,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def write_small(data: Path, folder: Path, limit: int) -> Path:
    """Write the first training images and all test images as IDX files, for ``--data FOLDER``."""
    for source in sorted((data / "MNIST" / "raw").glob("*-ubyte")):
        target = folder / source.name
        if not source.name.startswith("train"):
            shutil.copyfile(source, target)
            continue
        content = source.read_bytes()
        sides = struct.unpack_from(f">{content[3]}I", content, 4)
        start, item = 4 + 4 * content[3], (len(content) - 4 - 4 * content[3]) // sides[0]
        header = content[:4] + struct.pack(">I", limit) + content[8:start]
        target.write_bytes(header + content[start : start + limit * item])
    return folder


def _caption(facts: dict[str, Any]) -> str:
    installed = {name: found for name, found in facts["packages"].items() if found}
    smoke = f"Smoke run on {SMOKE_LIMIT:,} images: these numbers are meaningless. "
    return f"{smoke if facts['smoke'] else ''}{machine.sentence({**facts, 'packages': installed})}\n"
