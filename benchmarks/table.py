"""Summarises measurements as the table of the documentation, with one row per contender.

Ratios are computed within one repeat of all contenders, while the state of the machine is similar;
median and spread are those of these ratios.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.measure import Measurement

TARGET = 0.99
NONE = "–"


@dataclass(frozen=True)
class Record:
    """A measurement of a ``kind``, "epoch" or "to-99", in one repeat; with an error if it failed."""

    kind: str
    repeat: int
    name: str
    measurement: Measurement | None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = self.measurement.as_dict() if self.measurement else None
        return {**vars(self), "measurement": found}


@dataclass(frozen=True)
class Row:
    """One row of the table; None where nothing was measured.

    Attributes:
        name: of the contender.
        seconds: per epoch.
        ratio: median, minimum and maximum of its seconds per epoch over those of the baseline.
        train_to_target: seconds of training, None if the target was missed in any repeat.
        whole_to_target: seconds of the whole process, None if the target was missed in any repeat.
        best: highest accuracy reached.
        ready: seconds of start-up.
        peak_mib: peak memory, in MiB.
        note: error message if a measurement failed.
    """

    name: str
    seconds: float | None
    ratio: tuple[float, float, float] | None
    train_to_target: float | None
    whole_to_target: float | None
    best: float | None
    ready: float | None
    peak_mib: float | None
    note: str | None = None


def epoch_seconds(measurement: Measurement) -> float:
    """Return the median seconds of an epoch without the first one, which includes the warm-up."""
    later = measurement.epochs[1:] or measurement.epochs
    return median(epoch.train_seconds for epoch in later)


def to_target(measurement: Measurement, target: float = TARGET) -> tuple[float, float] | None:
    """Return seconds of training and of the process up to the epoch that reached the target."""
    trained = 0.0
    for epoch in measurement.epochs:
        trained += epoch.train_seconds
        if epoch.accuracy is not None and epoch.accuracy >= target:
            return trained, epoch.at
    return None


def summarize(records: Sequence[Record], names: Sequence[str], baseline: str) -> list[Row]:
    """Return one row per name, from all measurements so far."""
    seconds = {
        (record.name, (record.kind, record.repeat)): epoch_seconds(record.measurement)
        for record in records
        if record.measurement and (record.kind == "epoch" or len(record.measurement.epochs) > 1)
    }
    return [_row(name, records, seconds, baseline) for name in names]


def _row(
    name: str,
    records: Sequence[Record],
    seconds: Mapping[tuple[str, tuple[str, int]], float],
    baseline: str,
) -> Row:
    mine = [record for record in records if record.name == name]
    epochs = [r.measurement for r in mine if r.kind == "epoch" and r.measurement]
    longer = [r.measurement for r in mine if r.kind == "to-99" and r.measurement]
    own = {turn: value for (each, turn), value in seconds.items() if each == name}
    ratios = [
        value / seconds[baseline, turn] for turn, value in own.items() if (baseline, turn) in seconds
    ]
    reached = [found for m in longer if (found := to_target(m))]
    always = bool(longer) and len(reached) == len(longer)
    accuracies = [epoch.accuracy for m in longer for epoch in m.epochs if epoch.accuracy is not None]
    ready = [m.ready_seconds for m in (epochs or longer) if m.ready_seconds is not None]
    return Row(
        name=name,
        seconds=median(own.values()) if own else None,
        ratio=(median(ratios), min(ratios), max(ratios)) if ratios else None,
        train_to_target=median(trained for trained, _ in reached) if always else None,
        whole_to_target=median(whole for _, whole in reached) if always else None,
        best=max(accuracies, default=None),
        ready=median(ready) if ready else None,
        peak_mib=max((m.peak_mib for m in epochs + longer), default=None),
        note=next((record.error for record in mine if record.error), None),
    )


def markdown(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Return the table."""
    lines = [
        "| contender | seconds per epoch | ratio to plain PyTorch (spread) | training to 99 % "
        "| whole process to 99 % | start-up | peak MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            titles[row.name],
            _seconds(row.seconds),
            "{:.2f} ({:.2f} to {:.2f})".format(*row.ratio) if row.ratio else NONE,
            _training(row),
            _seconds(row.whole_to_target),
            _seconds(row.ready),
            f"{row.peak_mib:,.0f}" if row.peak_mib is not None else NONE,
        ]
        if row.note and row.peak_mib is None:
            cells[1:] = [row.note.splitlines()[0].replace("|", "/"), *[NONE] * 5]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _training(row: Row) -> str:
    if row.train_to_target is not None:
        return _seconds(row.train_to_target)
    return NONE if row.best is None else f"not reached, best {100 * row.best:.2f} %"


def _seconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
