"""Labels that may be wrong, against cleanlab, the program of the method's authors."""

import numpy as np
import pytest
import torch
from cleanlab.filter import find_label_issues as cleanlab_issues
from hypothesis import given
from hypothesis import strategies as st

from lenetscope.errors import DataError
from lenetscope.evaluation.label_issues import find_label_issues


def problem(seed: int, n: int, classes: int, sharp: float) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels of which a fifth were drawn anew; every class occurs."""
    random = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), random.integers(0, classes, n))
    logits = random.normal(0, 1, (len(labels), classes)) + sharp * np.eye(classes)[labels]
    logits[:, 0] += random.uniform(0, 2)  # classes differ in confidence
    noisy = np.where(random.random(len(labels)) < 0.2, random.integers(0, classes, len(labels)), labels)
    noisy[:classes] = np.arange(classes)
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True), noisy


@given(st.integers(0, 2**32 - 1), st.integers(5, 150), st.integers(2, 6), st.sampled_from([0, 1, 3, 6]))
def test_issues_are_those_of_cleanlab(seed: int, n: int, classes: int, sharp: int) -> None:
    values, labels = problem(seed, n, classes, sharp)
    theirs = cleanlab_issues(
        labels,
        values,
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    assert [issue.index for issue in find_label_issues(values, labels)] == theirs.tolist()


def test_a_swapped_label_is_found_and_described() -> None:
    values = np.array([[0.9, 0.1]] * 4 + [[0.2, 0.8]] * 4)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    found = find_label_issues(torch.tensor(values), torch.tensor(labels))
    # thresholds: 0.9 for class 0, (0.1 + 4 * 0.8) / 5 = 0.66 for class 1
    (issue,) = found
    assert (issue.index, issue.label, issue.suggested) == (3, 1, 0)
    assert (issue.self_confidence, issue.probability, issue.margin) == pytest.approx((0.1, 0.9, -0.8))
    assert "10.00 %" in str(found)


def test_a_class_without_images_is_never_suggested() -> None:
    values = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    assert not find_label_issues(values, np.array([0, 0, 1]))


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(DataError, match="not probabilities"):
        find_label_issues(np.array([[5.0, 0.5]]), np.array([0]))
