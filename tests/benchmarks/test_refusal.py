"""The area under the curve against scikit-learn's, and letters scaled like MNIST's digits."""

import numpy as np
import pytest
from PIL import ImageFont
from sklearn.metrics import roc_auc_score

from benchmarks import machine
from benchmarks.refusal import auroc, framed, report, through_read


def test_the_area_equals_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    positive, negative = random.normal(1, 1, 300).round(1), random.normal(0, 1, 200).round(1)
    theirs = roc_auc_score([1] * 300 + [0] * 200, np.concatenate([positive, negative]))
    assert auroc(positive, negative) == pytest.approx(theirs)


def test_a_letter_is_scaled_and_centred_like_a_digit() -> None:
    frame = framed("H", ImageFont.load_default(80))
    assert frame.shape == (28, 28)
    rows, columns = np.nonzero(frame)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    weights = frame / frame.sum()
    assert (weights.sum(axis=1) * (np.arange(28) + 0.5)).sum() == pytest.approx(14, abs=0.6)
    assert (weights.sum(axis=0) * (np.arange(28) + 0.5)).sum() == pytest.approx(14, abs=0.6)


def test_the_tables_have_percentages_of_all_images_and_of_those_read() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 4:24, 13:16] = 255
    confidence, rejected = through_read(images)
    assert confidence[0] == 0
    assert confidence[1] > 0.5
    assert rejected.tolist() == [True, False]
    results = {
        "machine": machine.describe(),
        "fonts": 3,
        "rows": [{"score": "digitness", "against": "letters of fonts", "n": 40, "auroc": 0.98765}],
        "threshold": 0.5,
        "refused": {"digits": 1, "letters of fonts": 30},
        "n": {"digits": 200, "letters of fonts": 40},
        "rejected by read": {"digits": [2, 100], "letters of fonts": [5, 20]},
    }
    text = report(results)
    assert "| digitness | letters of fonts | 40 | 0.9877 |" in text
    assert "| digits | 0.50 % of 200 | 2.00 % of 100 |" in text
    assert "| letters of fonts | 75.00 % of 40 | 25.00 % of 20 |" in text
