"""Wrong answers, by hand and with scikit-learn's neighbours."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from lenetscope.errors import DataError, UsageError
from lenetscope.insight.labels import doubtful_labels
from lenetscope.insight.mistakes import find_mistakes

SHARES = np.array(
    [
        [0.7, 0.2, 0.1],  # right
        [0.5, 0.3, 0.2],  # true 2: the second class is the runner-up
        [0.1, 0.8, 0.1],  # true 0
        [0.1, 0.3, 0.6],  # true 1: runner-up, too
        [0.0, 0.9, 0.1],  # true 0: ruled out
    ]
)
LABELS = np.array([0, 2, 0, 1, 0])


def test_the_worst_come_first() -> None:
    table = find_mistakes(torch.tensor(SHARES), torch.tensor(LABELS))
    assert [row.index for row in table] == [4, 2, 1, 3]
    assert [(row.true, row.predicted, row.runner_up) for row in table] == [
        (0, 1, 2),
        (0, 1, 0),
        (2, 0, 1),
        (1, 2, 1),
    ]
    assert [row.loss for row in table] == pytest.approx([math.inf, -math.log(0.1), -math.log(0.2),
                                                         -math.log(0.3)])  # fmt: skip
    third = table[2]
    assert (
        third.probability_true,
        third.probability_predicted,
        third.probability_runner_up,
    ) == pytest.approx((0.2, 0.5, 0.3))
    assert third.nearest is third.nearest_true is third.nearest_predicted is None


def test_labels_in_doubt_are_marked() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    logits = random.normal(0, 1, (200, 3)) + 4 * np.eye(3)[labels]
    labels[:20] = (labels[:20] + 1) % 3
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = find_mistakes(shares, labels)
    marked = {row.index for row in table if row.label_may_be_wrong}
    assert marked == {doubt.index for doubt in doubtful_labels(shares, labels).candidates}
    assert len(marked & set(range(20))) > 10
    assert len(marked) < len(table)


def test_the_nearest_training_images_and_their_labels() -> None:
    random = np.random.default_rng(1)
    train, train_labels = random.normal(0, 1, (60, 4)), random.integers(0, 3, 60)
    features = random.normal(0, 1, (5, 4))
    table = find_mistakes(
        SHARES,
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


def test_none_wrong_is_an_empty_table() -> None:
    some = torch.zeros(1, 2)
    everything = {
        "features": some,
        "train_features": torch.zeros(9, 2),
        "train_labels": torch.zeros(9).int(),
    }
    assert len(find_mistakes(SHARES[:1], LABELS[:1], **everything)) == 0


def test_what_does_not_go_together_is_refused() -> None:
    features, train = torch.zeros(5, 2), torch.zeros(9, 2)
    with pytest.raises(UsageError, match="give all of features, train_features and train_labels"):
        find_mistakes(SHARES, LABELS, features=features, train_features=train)
    for asked, labels in (
        (features[:4], np.zeros(9, int)),
        (features, np.zeros(8, int)),
        (features, np.zeros(9)),
    ):
        with pytest.raises(DataError, match="features are one an image and train_labels one whole"):
            find_mistakes(SHARES, LABELS, features=asked, train_features=train, train_labels=labels)
    with pytest.raises(DataError, match="no probabilities"):
        find_mistakes(SHARES * 9, LABELS)
