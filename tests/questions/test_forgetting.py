"""When images were learned and forgotten: by hand and by a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lenetscope.errors import DataError
from lenetscope.questions.forgetting import example_forgetting, plot_forgetting

HISTORIES = {  # correct at epochs 0, 2, 4, 6: first correct, correct since, forgetting events
    "1111": (0, 0, 0),
    "0000": (-1, -1, 0),
    "0011": (4, 4, 0),
    "0101": (2, 6, 1),
    "1010": (0, -1, 2),
    "1001": (0, 6, 1),
    "0110": (2, -1, 1),
    "0001": (6, 6, 0),
}
CORRECT = np.array([[c == "1" for c in word] for word in HISTORIES]).T


def test_by_hand() -> None:
    found = example_forgetting(CORRECT, [0, 2, 4, 6])
    columns = zip(found.first_correct, found.correct_since, found.forgetting_events, strict=True)
    assert [tuple(map(int, each)) for each in columns] == list(HISTORIES.values())
    assert found.never_learned.tolist() == [1]
    assert found.unforgettable.tolist() == [0, 2, 7]
    rows = [(r.epoch, r.correct, r.first, r.again, r.forgotten) for r in found.rows]
    assert rows == [(0, 3, 3, 0, 0), (2, 3, 2, 0, 2), (4, 4, 1, 1, 1), (6, 5, 1, 2, 2)]
    assert found.hardest(3).tolist() == [1, 4, 6]  # never; forgotten twice; misclassified at the end
    assert "learned first" in str(found)
    assert "<table>" in found._repr_html_()


@given(arrays.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 5))))
def test_against_a_plain_loop(correct: np.ndarray) -> None:
    count = len(correct)
    epochs = list(range(3, 3 + 2 * count, 2))
    result = example_forgetting(correct, epochs)
    for image, history in enumerate(correct.T.tolist()):
        first, since, forgotten = -1, -1, 0
        for k in range(count):
            if history[k] and first < 0:
                first = epochs[k]
            if k and history[k - 1] and not history[k]:
                forgotten += 1
        for k in reversed(range(count)):
            if not history[k]:
                break
            since = epochs[k]
        assert result.first_correct[image] == first
        assert result.correct_since[image] == since
        assert result.forgetting_events[image] == forgotten
    assert sum(r.first for r in result.rows) == correct.any(axis=0).sum()
    assert sum(r.forgotten for r in result.rows) == result.forgetting_events.sum()
    for before, row in zip([None, *result.rows], result.rows, strict=False):
        was = before.correct if before else 0
        assert row.correct == was + row.first + row.again - row.forgotten
    assert sorted(result.hardest(99).tolist()) == list(range(correct.shape[1]))


@pytest.mark.parametrize(
    ("correct", "epochs"),
    [
        ([[1, 0]], [0]),
        ([[True]], [0, 1]),
        ([True, False], [0, 1]),
        (np.zeros((2, 0), bool), [0, 1]),
        ([[True], [True]], [1, 1]),
    ],
)
def test_what_makes_no_sense_is_an_error(correct: object, epochs: list[int]) -> None:
    with pytest.raises(DataError, match=r"correct must be bool|the epochs must ascend"):
        example_forgetting(correct, epochs)


def test_the_figure_has_four_lines_with_room_for_zero() -> None:
    figure = plot_forgetting(example_forgetting(CORRECT, [0, 2, 4, 6]), figsize=(5, 3))
    (ax,) = figure.axes
    assert {line.get_label(): line.get_ydata().tolist() for line in ax.get_lines()} == {
        "learned for the first time": [3, 2, 1, 1],
        "learned again": [0, 0, 1, 2],
        "forgotten": [0, 2, 1, 2],
        "misclassified after the epoch": [5, 5, 4, 3],
    }
    assert ax.get_lines()[0].get_xdata().tolist() == [0, 2, 4, 6]
    assert ax.get_yscale() == "symlog"
    assert ax.get_ylim()[0] < 0
    figure.draw_without_rendering()
