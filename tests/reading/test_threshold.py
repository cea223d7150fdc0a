"""The threshold refuses no more than the given fraction of true digits."""

import numpy as np
import torch

from lenetscope.reading.threshold import threshold_for


def test_the_threshold_refuses_no_more_than_the_fraction() -> None:
    digitness = torch.from_numpy(np.random.default_rng(1).beta(8, 1, 5000)).float()
    for fraction in (0.0, 0.01, 0.2):
        limit = threshold_for(digitness, fraction)
        assert (digitness < limit).float().mean() <= fraction
        assert (digitness < limit + 0.02).float().mean() > fraction
