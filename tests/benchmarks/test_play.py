"""The benchmark of the playground runs, and its table is made of what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import machine, play


def test_the_table_has_percentiles_over_all_movements() -> None:
    row = {"network": "a", "usable_s": 3.0, "first_paint_ms": 100.0, "grown_mb": -1.0}
    first = row | {"round": 0, "stroke_ms": [10.0] * 10, "visitors_ms": [30.0]}
    second = row | {"round": 1, "usable_s": 4.0, "stroke_ms": [20.0] * 11, "visitors_ms": [50.0]}
    results = {"machine": machine.describe(), "smoke": False, "rounds": [first, second]}
    text = play.report(results)
    assert "| a | 3.5 (3.0 to 4.0) | 100 | 20 and 20 | 49 | -1.0 |" in text
    assert "meaningless" not in text


@pytest.mark.slow
def test_a_smoke_run_writes_numbers_and_a_table(tmp_path: Path) -> None:
    # in a process of its own: Playwright runs once in each, and other tests may have started it
    command = [sys.executable, "-m", "benchmarks", "play", "--smoke", "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True)
    (row,) = json.loads((tmp_path / "play.json").read_text())["rounds"]
    assert row["usable_s"] > 0
    assert len(row["stroke_ms"]) >= 1
    assert len(row["visitors_ms"]) >= 2
    assert min(row["stroke_ms"] + row["visitors_ms"]) > 0
    assert "meaningless" in (tmp_path / "play.md").read_text()
