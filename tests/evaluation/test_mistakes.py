"""Misclassified images, by hand, and their nearest training images, against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.label_issues import find_label_issues
from lenetscope.evaluation.mistakes import find_mistakes, nearest_images

PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],  # correct
        [0.5, 0.3, 0.2],  # true 2: the second class is the runner-up
        [0.1, 0.8, 0.1],  # true 0
        [0.1, 0.3, 0.6],  # true 1: runner-up, too
        [0.0, 0.9, 0.1],  # true 0, which has no probability at all
    ]
)
LABELS = np.array([0, 2, 0, 1, 0])


def test_the_worst_come_first() -> None:
    table = find_mistakes(torch.tensor(PROBABILITIES), torch.tensor(LABELS))
    assert [row.index for row in table] == [4, 2, 1, 3]
    assert [(row.true, row.predicted) for row in table] == [(0, 1), (0, 1), (2, 0), (1, 2)]
    assert [row.loss for row in table] == pytest.approx([math.inf, -math.log(0.1), -math.log(0.2),
                                                         -math.log(0.3)])  # fmt: skip
    third = table[2]
    assert (third.probability_true, third.probability_predicted) == pytest.approx((0.2, 0.5))
    assert third.nearest is third.nearest_true is third.nearest_predicted is None


def test_labels_that_may_be_wrong_are_marked() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    logits = random.normal(0, 1, (200, 3)) + 4 * np.eye(3)[labels]
    labels[:20] = (labels[:20] + 1) % 3
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = find_mistakes(values, labels)
    marked = {row.index for row in table if row.label_may_be_wrong}
    assert marked == {issue.index for issue in find_label_issues(values, labels)}
    assert len(marked & set(range(20))) > 10
    assert len(marked) < len(table)


def test_the_nearest_training_images_and_their_labels() -> None:
    random = np.random.default_rng(1)
    train, train_labels = random.normal(0, 1, (60, 4)), random.integers(0, 3, 60)
    features = random.normal(0, 1, (5, 4))
    table = find_mistakes(
        PROBABILITIES,
        LABELS,
        features=torch.from_numpy(features),
        train_features=torch.from_numpy(train),
        train_labels=train_labels,
        k=7,
    )
    oracle = KNeighborsClassifier(7, algorithm="brute").fit(train, train_labels)
    for row in table:
        distances, indices = oracle.kneighbors(features[[row.index]])
        assert row.nearest.indices == tuple(indices[0])
        assert row.nearest.distances == pytest.approx(distances[0])
        assert row.nearest.labels == tuple(train_labels[indices[0]])
        votes = oracle.predict_proba(features[[row.index]])[0] * 7
        assert row.nearest_true == round(votes[row.true])
        assert row.nearest_predicted == round(votes[row.predicted])
    assert str(table[0].nearest) == " ".join(map(str, table[0].nearest.labels))
    assert str(table[0].nearest) in str(table)
    assert table.as_dicts()[0]["nearest"]["labels"] == table[0].nearest.labels


def test_without_mistakes_the_table_is_empty() -> None:
    some = torch.zeros(1, 2)
    everything = {
        "features": some,
        "train_features": torch.zeros(9, 2),
        "train_labels": torch.zeros(9).int(),
    }
    assert len(find_mistakes(PROBABILITIES[:1], LABELS[:1], **everything)) == 0


@pytest.mark.parametrize("away", [0, 1e4])
@pytest.mark.parametrize("k", [1, 3, 6, 40])
def test_neighbours_are_those_of_an_exhaustive_search(k: int, away: float) -> None:
    random = np.random.default_rng(k)
    train, asked = random.normal(away, 1, (40, 5)), random.normal(away, 1, (9, 5))
    found = nearest_images(torch.from_numpy(asked), torch.from_numpy(train), np.arange(40), k)
    exact = np.linalg.norm(asked[:, None] - train, axis=2)
    indices = exact.argsort(axis=1)[:, :k]
    assert [row.indices for row in found] == [tuple(row) for row in indices.tolist()]
    assert [row.distances for row in found] == [
        pytest.approx(exact[i, row], rel=1e-12) for i, row in enumerate(indices)
    ]
    oracle = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(train).kneighbors(asked)[1]
    assert indices.tolist() == oracle.tolist()


def test_maps_float32_and_equal_distances() -> None:
    train = torch.zeros(4, 2, 3, 3)
    train[2] += 1e-3
    (found,) = nearest_images(torch.zeros(1, 2, 3, 3), train, [5, 6, 7, 8], 4)
    assert found.indices == (0, 1, 3, 2)
    assert found.labels == (5, 6, 8, 7)
    assert found.distances == pytest.approx((0, 0, 0, 1e-3 * 18**0.5), rel=1e-6)
    same = nearest_images(torch.zeros(3, 2), torch.zeros(300, 2), torch.arange(300), 3)
    assert [row.indices for row in same] == [(0, 1, 2)] * 3


def test_what_does_not_fit_is_refused() -> None:
    features, train, labels = torch.zeros(5, 2), torch.zeros(9, 2), np.zeros(9, int)
    with pytest.raises(UsageError, match="features, train_features and train_labels together"):
        find_mistakes(PROBABILITIES, LABELS, features=features, train_features=train)
    with pytest.raises(DataError, match="one per image: 4 for 5 images"):
        find_mistakes(
            PROBABILITIES, LABELS, features=features[:4], train_features=train, train_labels=labels
        )
    with pytest.raises(DataError, match="not probabilities"):
        find_mistakes(PROBABILITIES * 9, LABELS)
    for wrong in (labels[:8], np.zeros(9)):
        with pytest.raises(DataError, match="integers"):
            nearest_images(features, train, wrong)
    for asked in (torch.zeros(5, 4), torch.zeros(5)):
        with pytest.raises(DataError, match="from one layer"):
            nearest_images(asked, train, labels)
    for k in (0, 10):
        with pytest.raises(UsageError, match=f"k must be 1 to 9, the number of .*, not {k}"):
            nearest_images(features, train, labels, k)
    with pytest.raises(DataError, match="finite"):
        nearest_images(features, train + torch.inf, labels)
