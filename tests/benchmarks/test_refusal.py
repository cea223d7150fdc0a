"""The area under the curve against scikit-learn's, and letters scaled like MNIST's digits."""

import numpy as np
import pytest
from PIL import ImageFont
from sklearn.metrics import roc_auc_score

from benchmarks import machine
from benchmarks.refusal import auroc, framed, noise, report, through_read


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


def test_noise_is_of_five_kinds_and_the_same_each_time() -> None:
    found = noise(25)
    assert (found.shape, found.dtype) == ((25, 28, 28), np.uint8)
    assert np.array_equal(found, noise(25))
    assert all(np.ptp(image) > 50 for image in found)
    assert not np.array_equal(found, noise(25, seed=1))


def test_the_tables_have_areas_and_percentages_of_those_read() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 4:24, 13:16] = 255
    found = through_read(images)
    assert found["confidence"][0] == found["score"][0] == 0
    assert found["confidence"][1] > 0.5
    assert found["rejected"].tolist() == [True, False]
    results = {
        "machine": machine.describe(),
        "fonts": 3,
        "rows": [{"score": "digitness", "against": "letters of fonts", "n": 40, "auroc": 0.98765}],
        "threshold": 0.5,
        "rejected": {"digits": [2, 100], "letters of fonts": [5, 20]},
    }
    text = report(results)
    assert "| digitness | letters of fonts | 40 | 0.9877 |" in text
    assert "| digits | 2 of 100 (2.0 %) |" in text
    assert "| letters of fonts | 5 of 20 (25.0 %) |" in text
    assert "rejected" not in report(results | {"rejected": {}})
