"""Accuracy over coverage: by hand, and against counting without any shortcut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation import wilson_interval
from lenetscope.evaluation.coverage import coverage_curve


def binary(confidences: list[float], correct: list[int]) -> tuple[np.ndarray, np.ndarray]:
    sure = np.array(confidences)
    return np.stack([sure, 1 - sure], axis=1), 1 - np.array(correct)


def test_the_curve_by_hand() -> None:
    curve = coverage_curve(*binary([0.6, 0.9, 0.7, 0.8], [0, 1, 1, 0]))
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.coverages.tolist() == [0.25, 0.5, 0.75, 1]
    assert curve.accuracies == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert curve.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert curve.aurc_best == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert curve.intervals[2] == pytest.approx(wilson_interval(2, 3))


triples = st.lists(st.tuples(st.sampled_from([0.55, 0.6, 0.75, 0.9, 1.0]), st.integers(0, 1)),
                   min_size=1, max_size=30)  # fmt: skip


@given(triples, st.floats(0.3, 1))
def test_thresholds_count_what_reaches_them(pairs: list[tuple[float, int]], wanted: float) -> None:
    confidences, correct = map(list, zip(*pairs, strict=True))
    curve = coverage_curve(*binary(confidences, correct))
    best = 0
    for threshold, n, errors in zip(curve.thresholds, curve.accepted, curve.errors, strict=True):
        accepted = [correct for confidence, correct in pairs if confidence >= threshold]
        assert (len(accepted), len(accepted) - sum(accepted)) == (n, errors)
        if sum(accepted) / n >= wanted - 1e-9:
            best = max(best, n)
    found = curve.at_accuracy(wanted, draws=20)
    assert found.n == best
    low, high = found.coverage_interval
    assert 0 <= low <= high <= 1


def test_equal_confidences_count_as_if_in_random_order() -> None:
    shares, labels = binary([0.9, 0.7, 0.7, 0.7, 0.6], [1, 0, 1, 1, 0])
    curve = coverage_curve(shares, labels)
    assert curve.accepted.tolist() == [1, 4, 5]
    means = []
    for place in (0, 1, 2):  # the one error among the three may stand in any place
        errors = np.cumsum([0, *(int(k == place) for k in range(3)), 1])
        means.append((errors / np.arange(1, 6)).mean())
    assert curve.aurc == pytest.approx(np.mean(means))
    order = [4, 2, 0, 3, 1]
    assert coverage_curve(shares[order], labels[order]).aurc == pytest.approx(curve.aurc)


def test_a_wanted_accuracy_or_coverage() -> None:
    curve = coverage_curve(*binary(np.linspace(0.99, 0.6, 100).tolist(), [1] * 90 + [0, 1] * 5))
    found = curve.at_accuracy(0.99)
    assert (found.n, found.errors, found.coverage) == (90, 0, 0.9)  # 1 of 91 is too much
    assert found.threshold == curve.thresholds[89]
    assert found.accuracy_interval == pytest.approx(wilson_interval(90, 90))
    assert found.coverage_interval[0] < 0.9 < found.coverage_interval[1]
    assert found == curve.at_accuracy(0.99)
    assert "90 accepted (90.0 %, 95 % interval" in str(found)
    everything = curve.at_accuracy(0.95)
    assert (everything.n, everything.errors) == (100, 5)
    assert curve.at_coverage(0.9).n == 90
    assert curve.at_coverage(0.901).n == 91
    assert curve.at_coverage(1).errors == 5
    assert curve.at_coverage(1).coverage_interval is None


def test_the_interval_of_the_coverage_is_as_wide_as_new_samples_differ() -> None:
    random = np.random.default_rng(0)

    def sample() -> tuple[np.ndarray, np.ndarray]:
        sure = random.uniform(0.5, 1, 500)
        return np.stack([sure, 1 - sure], axis=1), (random.random(500) > sure).astype(int)

    found = [coverage_curve(*sample()).at_accuracy(0.9, draws=1).coverage for _ in range(300)]
    truth = 0.4  # those above 0.8 are correct in 90 % of the cases, on average
    assert np.mean(found) == pytest.approx(truth, abs=0.05)
    held = [coverage_curve(*sample()).at_accuracy(0.9, draws=100).coverage_interval for _ in range(60)]
    assert sum(low <= truth <= high for low, high in held) >= 50  # 57 expected


def test_no_image_is_accepted_where_the_accuracy_is_out_of_reach() -> None:
    curve = coverage_curve(*binary([0.9, 0.8], [0, 1]))
    found = curve.at_accuracy(0.9, draws=40)
    assert (found.n, found.coverage, found.accuracy, found.threshold) == (0, 0, None, None)
    assert str(found) == "no image accepted"
    assert found.coverage_interval == (0, 1)  # drawn again, both can be the correct one


def test_it_prints_and_checks_its_arguments() -> None:
    curve = coverage_curve(*binary([0.9, 0.8], [1, 0]))
    assert ">100.00 %<" in curve._repr_html_()
    for wanted in (0, 1.1, -1):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            curve.at_accuracy(wanted)
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            curve.at_coverage(wanted)
    with pytest.raises(UsageError, match="and draws, not 0.9, 0"):
        curve.at_accuracy(0.9, draws=0)
    with pytest.raises(DataError, match="not probabilities"):
        coverage_curve(np.array([[3.0, 1.0]]), np.array([0]))
