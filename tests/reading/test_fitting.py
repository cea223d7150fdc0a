"""What is fitted after training: against SciPy, and by hand."""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch.nn import functional

from lenetscope.reading.fitting import best_temperature, calibration_error, threshold_for


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_one_that_scipy_finds(scale: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2000, 10, dtype=torch.float64) * 3
    labels = torch.distributions.Categorical(logits=logits).sample()
    found = best_temperature(logits * scale, labels)
    best = optimize.minimize_scalar(
        lambda t: float(functional.cross_entropy(logits * scale / t, labels)),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-8},
    )
    assert found == pytest.approx(best.x, rel=2e-4)
    assert found == pytest.approx(scale, rel=0.1)


def test_the_calibration_error_by_hand() -> None:
    probabilities = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.4, 0.6]])
    labels = torch.tensor([0, 1, 0, 1])
    # two in the highest bin: 0.5 right at 0.95; two at 0.6, both right
    assert calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.45 + 0.5 * 0.4)
    assert calibration_error(probabilities, labels, bins=1) == pytest.approx(0.775 - 0.75)


def test_the_threshold_refuses_no_more_than_its_share() -> None:
    digitness = torch.from_numpy(np.random.default_rng(1).beta(8, 1, 5000)).float()
    for share in (0.0, 0.01, 0.2):
        limit = threshold_for(digitness, share)
        assert (digitness < limit).float().mean() <= share
        assert (digitness < limit + 0.02).float().mean() > share
