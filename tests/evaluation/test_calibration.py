"""Reliability and temperatures: by hand, with scikit-learn and with scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.calibration import cross_fitted, fit_temperature, with_temperature
from lenetscope.evaluation.reliability import reliability

seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, n: int = 200, classes: int = 4, sharp: float = 3.0) -> tuple:
    """Return logits (N, K) that are too large by the factor `sharp`, and labels (N,)."""
    random = np.random.default_rng(seed)
    honest = random.normal(0, 2, (n, classes))
    labels = np.array([random.choice(classes, p=p) for p in softmax(honest, axis=1)])
    return sharp * honest, labels


def loss_at(temperature: float, logits: np.ndarray, labels: np.ndarray) -> float:
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean()


def test_the_bins_by_hand() -> None:
    sure = np.array([0.55, 0.60, 0.75, 0.80, 1.00])
    values = np.stack([sure, 1 - sure], axis=1)
    result = reliability(values, np.array([0, 1, 0, 1, 0]), bins=5)
    assert [row.n for row in result.bins] == [0, 0, 2, 2, 1]  # 0.6 and 0.8 belong to the lower bins
    third, fourth, fifth = result.bins[2:]
    assert (third.confidence, third.accuracy) == pytest.approx((0.575, 0.5))
    assert (fourth.confidence, fourth.accuracy) == pytest.approx((0.775, 0.5))
    assert (fifth.low, fifth.high, fifth.accuracy) == pytest.approx((0.8, 1, 1))
    assert (third.accuracy_low, third.accuracy_high) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert result.bins[0].confidence is result.bins[0].accuracy is result.bins[0].accuracy_low is None
    assert result.ece == pytest.approx((2 * 0.075 + 2 * 0.275 + 0) / 5)
    assert result.mce == pytest.approx(0.275)
    assert (result.accuracy, result.confidence) == pytest.approx((0.6, 0.74))
    assert result.bins[0].accuracy is None
    assert [row.n for row in result.bins] == [0, 0, 2, 2, 1]


@settings(max_examples=40)
@given(seeds, st.integers(1, 20), st.sampled_from(["uniform", "quantile"]))
def test_bins_and_scores_agree_with_scikit_learn(seed: int, bins: int, strategy: str) -> None:
    logits, labels = problem(seed, n=128)  # 127 is prime: no edge lies on a confidence
    values = softmax(logits, axis=1)
    mine = reliability(values, labels, bins=bins, equal_mass=strategy == "quantile")
    right = values.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, values.max(axis=1), n_bins=bins, strategy=strategy)
    full = [row for row in mine.bins if row.n]
    assert [row.accuracy for row in full] == pytest.approx(accuracy)
    assert [row.confidence for row in full] == pytest.approx(confidence)
    gaps = np.abs(accuracy - confidence)
    counts = np.array([row.n for row in full])
    assert mine.ece == pytest.approx((gaps * counts).sum() / 128)
    assert mine.mce == pytest.approx(gaps.max())
    assert counts.sum() == mine.n == 128
    assert mine.brier == pytest.approx(
        brier_score_loss(labels, values, labels=range(4), scale_by_half=False)
    )
    assert mine.nll == pytest.approx(log_loss(labels, values, labels=range(4)))


def test_bins_of_equal_mass_keep_equal_confidences_together() -> None:
    sure = np.array([0.6, 0.7, 0.8, 0.9] + [1.0] * 6)
    values = np.stack([sure, 1 - sure], axis=1)
    labels = np.zeros(10, dtype=int)
    order = np.random.default_rng(0).permutation(10)
    result = reliability(values, labels, bins=5, equal_mass=True)
    assert result == reliability(values[order], labels, bins=5, equal_mass=True)
    assert [row.n for row in result.bins] == [2, 2, 6]
    alike = reliability(np.full((7, 2), 0.5), labels[:7], equal_mass=True)
    assert [row.n for row in alike.bins] == [7]


def test_chance_alone_stays_below_its_bound_in_19_of_20_samples() -> None:
    random = np.random.default_rng(1)
    sure = random.uniform(0.5, 1, 400)
    values = np.stack([sure, 1 - sure], axis=1)
    below = 0
    for _ in range(200):
        labels = (random.random(400) > sure).astype(int)  # perfectly calibrated
        result = reliability(values, labels)
        below += result.ece <= result.ece_chance
    assert 180 <= below <= 198  # 190 expected, sd 3.1
    assert result.ece_chance == reliability(values, labels).ece_chance
    assert result.ece_chance != reliability(values, labels, seed=1).ece_chance
    wrong = reliability(values, np.ones(400, dtype=int))
    assert wrong.ece > 5 * wrong.ece_chance


def test_the_loss_is_infinite_where_a_label_has_probability_zero() -> None:
    assert reliability(np.array([[1.0, 0.0]]), np.array([1])).nll == np.inf
    assert np.signbit(reliability(np.array([[1.0, 0.0]]), np.array([0])).nll) == np.False_
    # from logits it is still a number
    assert with_temperature(np.array([[2000.0, 0]]), np.array([1]), 1.0).before.nll == 2000


@given(seeds, st.floats(0.05, 20), st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_temperature_is_the_minimum_that_scipy_finds(seed: int, sharp: float, unit: float) -> None:
    logits, labels = problem(seed, sharp=sharp)
    found = fit_temperature(logits * unit, labels) / unit
    best = minimize_scalar(
        lambda log_t: loss_at(np.exp(log_t), logits, labels),
        bounds=(-8, 8),
        method="bounded",
        options={"xatol": 1e-12},
    )
    # scipy compares losses, which are flat to 1e-16 within 1e-7 of the minimum
    assert found == pytest.approx(np.exp(best.x), rel=1e-6)
    assert loss_at(found, logits, labels) <= best.fun + 1e-14


def test_temperature_by_hand_and_from_tensors() -> None:
    # three of four right at a distance of 6: best is ln 3 = 6 / T
    logits, labels = torch.tensor([[6.0, 0.0]] * 4, requires_grad=True), torch.tensor([0, 0, 0, 1])
    assert fit_temperature(logits, labels) == pytest.approx(6 / np.log(3), rel=1e-12)
    assert logits.grad is None
    result = with_temperature(logits, labels, 6 / np.log(3))
    assert result.probabilities[:, 0] == pytest.approx(0.75)
    assert (result.before.accuracy, result.after.accuracy, result.after.ece) == pytest.approx(
        (0.75, 0.75, 0), abs=1e-12
    )
    assert result.before.nll == pytest.approx(loss_at(1, logits.detach().numpy(), labels.numpy()))


def test_there_may_be_no_best_temperature() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 2.0]])
    with pytest.raises(DataError, match="every image is classified correctly"):
        fit_temperature(logits, np.array([0, 1]))
    with pytest.raises(DataError, match="the larger a logit, the less likely"):
        fit_temperature(logits, np.array([1, 0]))
    with pytest.raises(
        DataError, match="in one half of the images, there is no best temperature: every"
    ):
        cross_fitted(np.repeat(logits, 5, axis=0), np.repeat([0, 1], 5))
    with pytest.raises(DataError, match="at least one image"):
        cross_fitted(logits[:1], np.array([1]))
    for temperature in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="must be above 0 and finite"):
            with_temperature(logits, np.array([0, 1]), temperature)


def test_one_small_error_among_many_is_enough_for_a_minimum() -> None:
    logits = np.array([[30.0, 0.0]] * 1000 + [[0.01, 0.0]])
    labels = np.array([0] * 1000 + [1])
    found = fit_temperature(logits, labels)
    for nearby in (0.999 * found, 1.001 * found):
        assert loss_at(nearby, logits, labels) >= loss_at(found, logits, labels)


def test_no_image_is_evaluated_with_a_temperature_fitted_on_it() -> None:
    logits, labels = problem(3, n=301)
    result = cross_fitted(logits, labels, seed=4)
    used = np.array(
        [_temperature_of(row, after) for row, after in zip(logits, result.probabilities, strict=True)]
    )
    first, second = result.temperatures
    by_first, by_second = np.isclose(used, first), np.isclose(used, second)
    assert (by_first ^ by_second).all()
    assert (by_first.sum(), by_second.sum()) == (151, 150)
    assert first == pytest.approx(fit_temperature(logits[by_second], labels[by_second]))
    assert second == pytest.approx(fit_temperature(logits[by_first], labels[by_first]))
    assert result.after.nll < result.before.nll
    assert result.after.ece < result.before.ece
    assert result.after.nll == pytest.approx(log_loss(labels, result.probabilities))
    assert result == cross_fitted(logits, labels, seed=4)
    assert result.temperatures != cross_fitted(logits, labels, seed=5).temperatures


def _temperature_of(logits: np.ndarray, values: np.ndarray) -> float:
    top, low = logits.argmax(), logits.argmin()
    return (logits[top] - logits[low]) / np.log(values[top] / values[low])


def test_the_callers_random_streams_are_left_alone() -> None:
    np.random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    cross_fitted(*problem(0))
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_inputs_are_checked() -> None:
    good, labels = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0, 1])
    for question in (reliability, fit_temperature, cross_fitted):
        with pytest.raises(DataError, match="integers"):
            question(good, labels[:1])
    with pytest.raises(DataError, match="not probabilities"):
        reliability(good * 2, labels)
    with pytest.raises(UsageError, match="bins must be at least 1, not 0"):
        reliability(good, labels, bins=0)


@pytest.mark.parametrize(
    ("correct", "verdict"),
    [(800, "no evidence of miscalibration"), (700, "overconfident"), (900, "underconfident")],
)
def test_the_verdict(correct: int, verdict: str) -> None:
    labels = np.arange(1000) >= correct
    assert reliability(np.array([[0.8, 0.2]] * 1000), labels.astype(int)).verdict == verdict


def test_results_print_as_tables() -> None:
    logits, labels = problem(3)
    result = cross_fitted(logits, labels)
    assert f"{100 * result.before.ece:.2f} %" in result.before._repr_html_()
    for text in (str(result), result._repr_html_()):
        for shown in (*result.temperatures,):
            assert f"{shown:.3f}" in text
        assert f"{100 * result.before.ece:.2f} %" in text
        assert f"{100 * result.after.ece:.2f} %" in text
