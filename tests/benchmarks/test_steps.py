"""What each step of reading contributes, on pictures where that is known."""

from pathlib import Path

import numpy as np

from benchmarks import machine, steps
from lenetscope.reading.pipeline import STEPS
from lenetscope.reading.reader import load_reader


def test_sources_are_drawn_or_from_a_folder_or_from_scikit_learn(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label,kind,source\na.png,7,paint,someone\n")
    given = steps.sources(2, tmp_path, ["felt-pen"], digits=3, seed=4)
    assert list(given) == ["someone (paint)", "scikit-learn's digits, 8x8", "felt-pen"]
    assert given["someone (paint)"] == [(tmp_path / "a.png", "7")]
    assert [picture.shape for picture, _ in given["scikit-learn's digits, 8x8"]] == [(8, 8)] * 3
    again = steps.sources(2, None, ["felt-pen"], seed=4)["felt-pen"]
    for (one, text), (two, same) in zip(given["felt-pen"], again, strict=True):
        assert (np.asarray(one) == np.asarray(two)).all()
        assert text == same


def test_only_steps_that_change_the_result_are_named() -> None:
    shaded = np.linspace(60, 240, 200)[None, :].repeat(200, axis=0)
    stroke = np.zeros((200, 200), bool)
    stroke[60:140, 96:104] = True
    picture = np.where(stroke, 0.4 * shaded, shaded).astype(np.uint8)
    rows = steps.measure({"a one": [(picture, "1"), (picture, "2")]}, load_reader())
    row = rows["a one"]
    assert (row["n"], row["correct"], row["refused"], row["wrong and confident"]) == (2, 1, 0, 1)
    assert row["milliseconds"] > 0
    assert set(STEPS) < set(row)
    row |= dict.fromkeys(STEPS, row["correct"]) | {"illumination": 0}
    text = steps.report(rows, machine.describe())
    assert "| a one | 2 | 50.0 | 9 to 91 |" in text
    assert "| a one | illumination -50.0 |" in text
