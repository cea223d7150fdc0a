"""The comparison: how programs are measured, and how measurements are summarised."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compare, lineup
from benchmarks.lineup import ROOT, Contender, Job, Project
from benchmarks.measure import ENOUGH, Epoch, Measurement, MeasurementError, measure, watch
from benchmarks.table import Record, markdown, summarize, to_target
from conftest import write_bars, write_idx

CHILD = """
import json, sys, time
print("not an event", flush=True)
print(json.dumps({"event": "ready"}), flush=True)
for number in (1, 2):
    time.sleep(0.05)
    event = {"event": "epoch", "train_seconds": 2.0 * number, "accuracy": 0.4 * number}
    print(json.dumps(event), flush=True)
block = b"x" * (64 * 2**20)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def measured(
    name: str, seconds: list[float], accuracy: list[float], peak: float = 100.0
) -> Measurement:
    """Return epochs that end 10, 20, … seconds after the start, ready after 1.5."""
    pairs = zip(seconds, accuracy, strict=True)
    epochs = tuple(Epoch(s, a, 10.0 * (n + 1)) for n, (s, a) in enumerate(pairs))
    return Measurement(name, 10.0 * len(seconds) + 1, peak, 1.5, epochs)


class TestMeasure:
    def test_events_are_stamped_in_order_and_other_lines_are_ignored(self) -> None:
        found = measure("child", python(CHILD))
        assert [(e.train_seconds, e.accuracy) for e in found.epochs] == [(2.0, 0.4), (4.0, 0.8)]
        stamps = [found.ready_seconds, *(e.at for e in found.epochs), found.seconds]
        assert stamps == sorted(stamps)
        assert found.epochs[1].at > found.epochs[0].at  # as they came, not all at the end

    def test_the_peak_is_the_childs_own(self) -> None:
        """In a process of its own, because the kernel's count begins with that of the parent."""
        code = (
            "import sys; from benchmarks.measure import measure\n"
            "for child in sys.argv[1:]:\n"
            "    print(measure('child', [sys.executable, '-c', child]).peak_mib)"
        )
        seen = watch([*python(code), CHILD.replace("64 *", "0 *"), CHILD], cwd=ROOT)
        small, large = (float(line.text) for line in seen.lines)
        assert 64 <= large < 100
        assert small < 36

    def test_plain_values_and_back(self) -> None:
        found = measured("a", [1.0], [0.5])
        assert Measurement.from_dict(json.loads(json.dumps(found.as_dict()))) == found

    def test_a_failure_is_reported_with_the_end_of_standard_error(self) -> None:
        code = "import sys\nfor n in range(40): print('line', n, file=sys.stderr)\nsys.exit(3)"
        with pytest.raises(MeasurementError, match="failed with status 3") as caught:
            measure("child", python(code))
        assert "line 39" in str(caught.value)
        assert "line 24" not in str(caught.value)

    def test_a_killed_program_is_reported(self) -> None:
        with pytest.raises(MeasurementError, match="was killed by signal 9"):
            measure("child", python("import os; os.kill(os.getpid(), 9)"))

    def test_a_program_without_epochs_is_refused(self) -> None:
        with pytest.raises(MeasurementError, match="reported no epoch"):
            measure("child", python("pass"))

    def test_a_listener_stops_the_program(self) -> None:
        code = (
            "import sys, time\n"
            "for n in range(600): print(n, file=sys.stderr, flush=True); time.sleep(0.1)"
        )
        seen = watch(python(code), stream="stderr", listener=lambda x: ENOUGH if x == "2" else None)
        assert seen.stopped
        assert [line.text for line in seen.lines][:3] == ["0", "1", "2"]
        assert len(seen.lines) < 600


class TestTable:
    # within the repeats b takes 1/2, 3/4 and 3/8 of the time of a
    RECORDS = (
        Record("epoch", 0, "a", measured("a", [9.0, 4.0], [0.5, 0.6])),
        Record("epoch", 0, "b", measured("b", [9.0, 2.0], [0.5, 0.6], peak=300.0)),
        Record("epoch", 1, "a", measured("a", [9.0, 4.0], [0.5, 0.6])),
        Record("epoch", 1, "b", measured("b", [9.0, 3.0], [0.5, 0.6])),
        Record("epoch", 2, "a", measured("a", [9.0, 8.0], [0.5, 0.6])),
        Record("epoch", 2, "b", measured("b", [9.0, 3.0], [0.5, 0.6])),
        Record("to-99", 0, "a", measured("a", [3.0, 4.0, 5.0], [0.97, 0.98, 0.989])),
        Record("to-99", 0, "b", measured("b", [3.0, 4.0, 5.0], [0.97, 0.99, 0.995], peak=250.0)),
        Record("epoch", 0, "c", None, "not installed: c"),
    )

    def test_ratios_are_computed_within_a_repeat_and_the_first_epoch_does_not_count(self) -> None:
        a, b, _ = summarize(self.RECORDS, ["a", "b", "c"], "a")
        assert a.ratio == (1.0, 1.0, 1.0)
        assert b.ratio == (0.625, 0.375, 1.0)  # of the repeats 0.5, 0.75, 0.375 and, to 99 %, 1.0
        assert (a.seconds, b.seconds) == (4.25, 3.0)
        assert b.peak_mib == 300.0

    def test_a_repeat_in_which_the_baseline_failed_has_no_ratio(self) -> None:
        _, b, _ = summarize(self.RECORDS[1:], ["a", "b", "c"], "a")
        assert b.ratio == (0.75, 0.375, 1.0)

    def test_time_to_the_target_ends_with_the_epoch_that_reached_it(self) -> None:
        a, b, _ = summarize(self.RECORDS, ["a", "b", "c"], "a")
        assert (b.train_to_target, b.whole_to_target) == (7.0, 20.0)
        assert (a.train_to_target, a.whole_to_target, a.best) == (None, None, 0.989)
        assert to_target(measured("x", [1.0], [0.99])) == (1.0, 10.0)

    def test_a_target_missed_in_one_repeat_is_not_reached(self) -> None:
        missed = Record("to-99", 1, "b", measured("b", [3.0], [0.97]))
        assert summarize([*self.RECORDS, missed], ["b"], "a")[0].train_to_target is None

    def test_markdown(self) -> None:
        rows = summarize(self.RECORDS, ["a", "b", "c"], "a")
        lines = markdown(rows, {"a": "A", "b": "B", "c": "C"}).splitlines()[2:]
        assert lines == [
            "| A | 4.25 s | 1.00 (1.00 to 1.00) | not reached, best 98.90 % | – | 1.50 s | 100 |",
            "| B | 3.00 s | 0.62 (0.38 to 1.00) | 7.00 s | 20.0 s | 1.50 s | 300 |",
            "| C | not installed: c | – | – | – | – | – |",
        ]

    def test_each_measurement_is_written_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lineup, "BASELINE", "a")
        entrants = [Contender("a", "A", "none"), Contender("b", "B", "none")]
        results = compare.Results(tmp_path, compare.environment(2, smoke=False), entrants)
        for number, record in enumerate(self.RECORDS[:2], start=1):
            results.add(record)
            values = json.loads((tmp_path / "compare.json").read_text())
            assert len(values["measurements"]) == number
        assert values["measurements"][1]["measurement"] == self.RECORDS[1].measurement.as_dict()
        assert "0.50 (0.50 to 0.50)" in (tmp_path / "compare.md").read_text()
        assert not list(tmp_path.glob(".*"))


class TestLineup:
    def test_names_are_unique_and_each_program_exists(self) -> None:
        assert len(set(lineup.names())) == len(lineup.names())
        for entrant in lineup.LINEUP:
            if isinstance(entrant, Contender):
                assert (ROOT / "benchmarks" / "contenders" / f"{entrant.module}.py").exists()

    def test_what_is_missing_is_named(self) -> None:
        absent = Contender("x", "X", "x", ("json", "no_such_package"))
        assert absent.missing() == "not installed: no_such_package"
        assert Project("y", "Y", "no-such-recipe").missing() == "there is no recipe no-such-recipe"
        assert Project("z", "Z", "reference").missing() is None

    @pytest.mark.slow
    def test_the_plain_loop_and_the_real_command_run(self, tmp_path: Path) -> None:
        """Both kinds of contenders, on images of bars instead of digits."""
        raw = tmp_path / "MNIST" / "raw"
        raw.mkdir(parents=True)
        write_bars(raw, 60, 23)
        job = Job(tmp_path, epochs=2, seed=0, limit=40, small=raw)
        for name in ("plain-pytorch", "reference"):
            (entrant,) = (each for each in lineup.LINEUP if each.name == name)
            found = entrant.measure(job)
            assert len(found.epochs) == 2
            assert found.ready_seconds is not None
            assert found.ready_seconds < found.epochs[0].at < found.epochs[1].at < found.seconds
            correct = [round(23 * epoch.accuracy, 3) for epoch in found.epochs]
            assert all(abs(n - round(n)) < 0.01 for n in correct)  # of the 23 test images

    @pytest.mark.slow
    def test_the_real_command_is_stopped_once_it_is_good_enough(self, idx_folder: Path) -> None:
        job = Job(idx_folder, epochs=500, seed=0, until=0.01, small=idx_folder)
        found = Project("reference", "R", "reference").measure(job)
        assert found.stopped
        assert 1 <= len(found.epochs) < 500
        assert to_target(found, 0.01) == (found.epochs[0].train_seconds, found.epochs[0].at)

    @pytest.mark.slow
    def test_a_recipe_made_for_the_target_counts_to_its_end(self, idx_folder: Path) -> None:
        job = Job(idx_folder, epochs=2, seed=0, limit=60, until=0.0, small=idx_folder)
        found = Project("reference", "R", "reference", whole=True).measure(job)
        assert not found.stopped
        assert [epoch.accuracy is None for epoch in found.epochs] == [True, False]
        assert found.epochs[-1].at == found.seconds


def test_only_a_recipe_made_for_the_target_keeps_its_own_number_of_epochs(tmp_path: Path) -> None:
    (fast,) = (each for each in lineup.LINEUP if each.name == "fast")
    (reference,) = (each for each in lineup.LINEUP if each.name == "reference")
    to_target_job = Job(tmp_path, epochs=15, seed=3, until=0.99)
    assert "--epochs" not in fast.command(to_target_job, tmp_path)
    assert "--epochs" in reference.command(to_target_job, tmp_path)
    assert "--epochs" in fast.command(Job(tmp_path, epochs=2, seed=3), tmp_path)


def test_small_data_are_the_first_images(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    write_bars(raw, 60, 23)
    images = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 251
    write_idx(raw / "train-images-idx3-ubyte", images)
    write_idx(raw / "train-labels-idx1-ubyte", np.arange(5))
    (tmp_path / "small").mkdir()
    small = compare.write_small(tmp_path, tmp_path / "small", 3)
    (tmp_path / "expected").mkdir()
    expected = write_idx(tmp_path / "expected" / "images", images[:3])
    assert (small / "train-images-idx3-ubyte").read_bytes() == expected.read_bytes()
    labels = write_idx(tmp_path / "expected" / "labels", np.arange(3))
    assert (small / "train-labels-idx1-ubyte").read_bytes() == labels.read_bytes()
    assert (small / "t10k-images-idx3-ubyte").read_bytes() == (
        raw / "t10k-images-idx3-ubyte"
    ).read_bytes()


def test_measuring_imports_no_torch() -> None:
    code = "import sys, benchmarks.compare, benchmarks.__main__; print('torch' in sys.modules)"
    seen = watch(python(code), cwd=ROOT, env=os.environ)
    assert [line.text for line in seen.lines] == ["False"]
