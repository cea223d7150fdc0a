"""The learning rate that a range test suggests, on curves whose answer is known."""

import numpy as np
import pytest

from lenetscope.errors import TrainingError
from lenetscope.training.lr_suggestion import suggest

RATES = np.geomspace(1e-5, 10, 121)  # 20 steps per power of ten


def losses(*corners: tuple[float, float]) -> np.ndarray:
    """Return losses that are straight between corners (rate, loss), over the logarithm of the rate."""
    rates, values = zip(*corners, strict=True)
    return np.interp(np.log10(RATES), np.log10(rates), values)


def test_half_of_the_rate_of_the_lowest_loss() -> None:
    curve = losses((1e-3, 2.0), (1e-2, 1.8), (1e-1, 0.5), (1, 3.0))
    found = suggest(RATES, curve, len(RATES))
    assert found.lowest == pytest.approx(0.1, rel=0.3)
    assert found.suggested == float(f"{found.lowest / 2:.2g}")
    assert 0.012 < found.steepest < 0.08
    assert found.diverges == pytest.approx(0.1 * 10 ** (1.5 / 2.5), rel=0.2)
    assert found.lr == tuple(RATES)
    assert len(found.loss) == len(RATES)


def test_noise_does_not_move_it_far() -> None:
    curve = losses((1e-3, 2.0), (1e-2, 1.8), (1e-1, 0.5), (1, 3.0))
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.2, len(RATES))
        assert 0.025 < suggest(RATES, curve + noise, len(RATES)).suggested < 0.1


def test_a_test_that_ended_early_diverged_at_its_last_rate() -> None:
    curve = losses((1e-3, 2.0), (1e-1, 0.5), (1, 1.0))
    assert suggest(RATES, curve, len(RATES)).diverges is None
    found = suggest(RATES[:100], curve[:100], len(RATES))
    assert found.diverges == RATES[99]
    found = suggest(RATES[:60], curve[:60], len(RATES))  # as after a batch of a very high loss
    assert found.lowest == found.diverges == RATES[59]


@pytest.mark.parametrize(
    ("rates", "curve", "says"),
    [
        (RATES, losses((1e-3, 2.0), (1e-2, 1.95), (1, 9.0)), "does not fall at rates from 1e-05 to 10"),
        (RATES, losses((1e-3, 2.0), (1, 9.0)), "does not fall"),
        (RATES, losses((1e-3, 2.0), (10, 0.1)), "still at the end: end with a higher rate"),
        (RATES[:1], [2.0], "diverges at the first rate"),
        ([], [], "diverges at the first rate"),
    ],
)
def test_where_there_is_nothing_to_suggest_it_says_so(rates: list, curve: list, says: str) -> None:
    with pytest.raises(TrainingError) as raised:
        suggest(rates, curve, 121)
    assert says in str(raised.value)
