"""The area under the curve against scikit-learn, and letters in the frame of MNIST's digits."""

import numpy as np
import pytest
from PIL import ImageFont
from sklearn.metrics import roc_auc_score

from benchmarks.refusal import auroc, framed


def test_the_area_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    positive, negative = random.normal(1, 1, 300).round(1), random.normal(0, 1, 200).round(1)
    theirs = roc_auc_score([1] * 300 + [0] * 200, np.concatenate([positive, negative]))
    assert auroc(positive, negative) == pytest.approx(theirs)


def test_a_letter_is_framed_as_mnist_frames_digits() -> None:
    frame = framed("H", ImageFont.load_default(80))
    assert frame.shape == (28, 28)
    rows, columns = np.nonzero(frame)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    share = frame / frame.sum()
    assert (share.sum(axis=1) * (np.arange(28) + 0.5)).sum() == pytest.approx(14, abs=0.6)
    assert (share.sum(axis=0) * (np.arange(28) + 0.5)).sum() == pytest.approx(14, abs=0.6)
