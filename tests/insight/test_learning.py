"""When images were learned and forgotten, and how filters moved: by hand and by a plain loop."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lenetscope.errors import DataError
from lenetscope.insight.learning import filter_movement, learning

HISTORIES = {  # right at epochs 0, 2, 4, 6: first, since, forgotten
    "1111": (0, 0, 0),
    "0000": (-1, -1, 0),
    "0011": (4, 4, 0),
    "0101": (2, 6, 1),
    "1010": (0, -1, 2),
    "1001": (0, 6, 1),
    "0110": (2, -1, 1),
    "0001": (6, 6, 0),
}


def test_by_hand() -> None:
    correct = np.array([[c == "1" for c in word] for word in HISTORIES]).T
    told = learning(correct, [0, 2, 4, 6])
    found = zip(told.first_right, told.right_since, told.forgettings, strict=True)
    assert [tuple(map(int, each)) for each in found] == list(HISTORIES.values())
    assert told.never_learned.tolist() == [1]
    assert told.unforgettable.tolist() == [0, 2, 7]
    rows = [(r.epoch, r.right, r.first, r.again, r.forgotten) for r in told.rows]
    assert rows == [(0, 3, 3, 0, 0), (2, 3, 2, 0, 2), (4, 4, 1, 1, 1), (6, 5, 1, 2, 2)]
    assert told.hardest(3).tolist() == [1, 4, 6]  # never; forgotten twice; wrong at the end
    assert "learned first" in str(told)
    assert "<table>" in told._repr_html_()


@given(arrays.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 5))))
def test_against_a_plain_loop(correct: np.ndarray) -> None:
    count = len(correct)
    epochs = list(range(3, 3 + 2 * count, 2))
    told = learning(correct, epochs)
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
        found = (told.first_right[image], told.right_since[image], told.forgettings[image])
        assert found == (first, since, forgotten)
    assert sum(r.first for r in told.rows) == correct.any(axis=0).sum()
    assert sum(r.forgotten for r in told.rows) == told.forgettings.sum()
    for before, row in zip([None, *told.rows], told.rows, strict=False):
        was = before.right if before else 0
        assert row.right == was + row.first + row.again - row.forgotten
    assert sorted(told.hardest(99).tolist()) == list(range(correct.shape[1]))


@pytest.mark.parametrize(
    ("correct", "epochs", "said"),
    [
        ([[1, 0]], [0], "correct must be bool.*int64"),
        ([[True]], [0, 1], r"a row for each of 2 epochs, not bool of shape \(1, 1\)"),
        ([True, False], [0, 1], "correct must be bool"),
        (np.zeros((2, 0), bool), [0, 1], "correct must be bool"),
        ([[True], [True]], [1, 1], r"the epochs must ascend, not \[1, 1\]"),
    ],
)
def test_what_makes_no_sense_is_told(correct: object, epochs: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        learning(correct, epochs)


def test_movement_is_that_of_plain_torch() -> None:
    weights = torch.randn(4, 5, 2, 3, 3, dtype=torch.float64)
    weights[1, 0] = 0.0
    told = filter_movement(weights.numpy(), [0, 1, 2, 5])
    for epoch in range(4):
        for unit in range(5):
            now, first = weights[epoch, unit].flatten(), weights[0, unit].flatten()
            before = weights[max(epoch - 1, 0), unit].flatten()
            assert told.distance[epoch, unit] == pytest.approx((now - first).norm().item())
            assert told.step[epoch, unit] == pytest.approx((now - before).norm().item())
            for found, other in ((told.cosine, first), (told.step_cosine, before)):
                if now.norm() and other.norm():
                    expected = torch.cosine_similarity(now, other, dim=0).item()
                    assert found[epoch, unit] == pytest.approx(expected)
                else:
                    assert np.isnan(found[epoch, unit])
    assert np.isnan(told.cosine).sum() == 1
    assert np.isnan(told.step_cosine).sum() == 2
    assert told.epochs.tolist() == [0, 1, 2, 5]


def test_weights_of_another_shape_are_told() -> None:
    for weights in (np.zeros((2, 3)), np.zeros((3, 3, 3)), np.zeros((2, 0, 3))):
        with pytest.raises(DataError, match="weights must be .*for each of 2 epochs"):
            filter_movement(weights, [0, 1])
