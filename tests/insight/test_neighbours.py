"""Nearest training images, against scikit-learn's exhaustive search."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from lenetscope.errors import DataError, UsageError
from lenetscope.insight import neighbours
from lenetscope.insight.neighbours import nearest_neighbours


@pytest.mark.parametrize("away", [0, 1e4])
@pytest.mark.parametrize(("k", "block"), [(1, 1), (1, 64), (3, 1), (3, 7), (6, 7), (40, 7), (40, 64)])
def test_all_block_sizes_agree_with_scikit_learn(k: int, block: int, away: float) -> None:
    random = np.random.default_rng(k)
    train, asked = random.normal(away, 1, (40, 5)), random.normal(away, 1, (9, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "ROWS", min(block, 4))
        patch.setattr(neighbours, "TRAIN_ROWS", block)
        found = nearest_neighbours(torch.from_numpy(asked), torch.from_numpy(train), k)
    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(train).kneighbors(asked)
    exact = np.linalg.norm(asked[:, None] - train[indices], axis=2)
    assert found.indices.tolist() == indices.tolist()
    assert found.distances.numpy() == pytest.approx(exact)
    assert distances == pytest.approx(exact, abs=1e-3)


def test_maps_float32_and_equal_distances() -> None:
    train = torch.zeros(4, 2, 3, 3)
    train[2] += 1e-3
    found = nearest_neighbours(torch.zeros(1, 2, 3, 3), train, 4)
    assert found.indices.tolist() == [[0, 1, 3, 2]]
    assert found.distances[0].tolist() == pytest.approx([0, 0, 0, 1e-3 * 18**0.5], rel=1e-6)


def test_no_image_asked_about_gives_no_rows_and_blocks_are_tracked() -> None:
    seen = []

    def track(items: range) -> range:
        seen.append(list(items))
        return items

    found = nearest_neighbours(torch.zeros(0, 2), torch.zeros(5000, 2), 3, track=track)
    assert found.indices.shape == found.distances.shape == (0, 3)
    assert seen == [[0, 4096]]


def test_what_does_not_go_together_is_refused() -> None:
    some = torch.zeros(3, 2)
    with pytest.raises(DataError, match=r"from one layer, not \(3, 2\) and \(3, 4\)"):
        nearest_neighbours(some, torch.zeros(3, 4))
    with pytest.raises(DataError, match="from one layer"):
        nearest_neighbours(torch.zeros(3), torch.zeros(3))
    for k in (0, 4):
        with pytest.raises(UsageError, match=f"k goes from 1 to the 3 training images, not {k}"):
            nearest_neighbours(some, some, k)
    with pytest.raises(DataError, match="not finite"):
        nearest_neighbours(some, some + torch.inf, 1)
