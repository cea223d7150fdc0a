"""Embeddings: PCA against a singular value decomposition, t-SNE by its neighbours; and the figure."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.plots import style
from lenetscope.questions.embedding import COLOURS, SHAPES, Embedding, embed, plot_embedding


def flat() -> nn.Module:
    return nn.Sequential(nn.Flatten())


@pytest.mark.parametrize("shape", [(30, 5), (9, 40), (40, 3, 4, 4), (3, 2)])
def test_pca_is_the_singular_value_decomposition(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    images *= torch.linspace(1, 9, shape[1]).reshape(-1, *[1] * (len(shape) - 2))
    found = embed(flat(), images, "0")
    values = images.flatten(1).double().numpy()
    centred = values - values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    assert found.explained == pytest.approx((sizes**2 / (sizes**2).sum())[:2], rel=1e-4)
    assert np.abs(found.points) == pytest.approx(np.abs(centred @ axes[:2].T), abs=1e-3)
    assert found.images.tolist() == list(range(shape[0]))
    assert (found.layer, found.method, found.perplexity) == ("0", "pca", None)


def test_one_number_per_image_lies_on_a_line() -> None:
    found = embed(nn.Sequential(nn.Flatten(0)), torch.tensor([[1.0], [2.0], [4.0]]), "0")
    assert np.abs(found.points[:, 0]) == pytest.approx([4 / 3, 1 / 3, 5 / 3])
    assert (found.points[:, 1] == 0).all()
    assert found.explained.tolist() == pytest.approx([1, 0])


def blobs(count: int, width: int) -> tuple[Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    centres = torch.randn(3, width, generator=generator) * 20
    return centres[labels] + torch.randn(count, width, generator=generator), labels.numpy()


@pytest.mark.parametrize("width", [8, 70])
def test_tsne_keeps_neighbours_together_and_is_seeded(width: int) -> None:
    images, labels = blobs(60, width)
    found = embed(flat(), images, "0", method="tsne", perplexity=8)
    again = embed(flat(), images, "0", method="tsne", perplexity=8)
    assert (found.points == again.points).all()
    assert found.explained is None
    assert found.perplexity == 8
    distances = np.linalg.norm(found.points[:, None] - found.points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()


@pytest.mark.parametrize(("count", "perplexity"), [(4, 1.0), (31, 10.0), (95, 30.0)])
def test_perplexity_suits_few_images(count: int, perplexity: float) -> None:
    found = embed(flat(), blobs(count, 3)[0], "0", method="tsne")
    assert found.perplexity == pytest.approx(perplexity)
    assert found.points.shape == (count, 2)
    assert np.isfinite(found.points).all()
    line = embed(nn.Sequential(nn.Flatten(0)), torch.rand(5, 1), "0", method="tsne")
    assert line.points.shape == (5, 2)


def test_a_subset_is_drawn_by_the_seed() -> None:
    images = blobs(40, 4)[0]
    found = [embed(flat(), images, "0", subset=10, seed=s) for s in (0, 0, 1)]
    assert (found[0].images == found[1].images).all()
    assert (found[0].images != found[2].images).any()
    assert len(set(found[0].images.tolist())) == 10
    alone = embed(flat(), images[torch.from_numpy(found[0].images)], "0")
    assert alone.points == pytest.approx(found[0].points, abs=1e-5)
    assert len(embed(flat(), images, "0", subset=None).points) == 40


def test_calls_of_a_reused_layer() -> None:
    torch.manual_seed(0)
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 6), relu, nn.Linear(6, 3), relu)
    images = torch.rand(8, 4)
    found = embed(model, images, "1:1")
    direct = embed(nn.Sequential(model), images, "0")
    assert found.points == pytest.approx(direct.points, abs=1e-5)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_nothing_is_left_behind(untouched_by: object, method: str) -> None:
    untouched_by(lambda model, images, labels: embed(model, images, "fc", method=method))


def test_what_cannot_be_answered_is_refused() -> None:
    images = torch.rand(9, 1, 10, 10)
    with pytest.raises(UsageError, match="'umap'"):
        embed(SmallCNN(), images, "fc", method="umap")
    with pytest.raises(UsageError, match="perplexity must be positive"):
        embed(SmallCNN(), images, "fc", perplexity=0)
    with pytest.raises(DataError, match="pca needs at least 3 images, not 2"):
        embed(SmallCNN(), images[:2], "fc")
    with pytest.raises(DataError, match="tsne needs at least 4 images, not 3"):
        embed(SmallCNN(), images, "fc", method="tsne", subset=3)
    with pytest.raises(LayerError, match="unknown layer"):
        embed(SmallCNN(), images, "fc9")
    with pytest.raises(DataError, match="the same for all images"):
        embed(SmallCNN(), torch.ones_like(images), "conv1")
    with pytest.raises(DataError, match="infinite values, NaN"):
        embed(SmallCNN(), images / 0, "conv1")


NAMES = [str(k) for k in range(10)]


def embedding(count: int = 100, method: str = "pca") -> tuple[Embedding, np.ndarray]:
    """Return points of ten groups, of every second of twice as many images, and all labels."""
    labels = np.arange(2 * count) // 2 % 10
    points = np.random.default_rng(0).normal(size=(count, 2)) + 20 * labels[::2, None]
    explained = np.array([0.5, 0.25]) if method == "pca" else None
    return Embedding("fc1", method, points, np.arange(0, 2 * count, 2), explained, None), labels


def test_classes_have_a_colour_a_shape_and_a_name_at_their_median() -> None:
    found, labels = embedding()
    figure = plot_embedding(found, labels, NAMES)
    ax = figure.axes[0]
    assert len(set(COLOURS)) == len(set(SHAPES)) == 10
    assert [to_hex(c.get_facecolor()[0]) for c in ax.collections[:10]] == list(COLOURS)
    for k in range(10):
        points = found.points[labels[::2] == k]
        assert np.isclose(ax.collections[k].get_offsets(), points).all()
        (name,) = [t for t in ax.texts if t.get_text() == NAMES[k]]
        assert name.get_position() == pytest.approx(tuple(np.median(points, axis=0)))
        assert name.get_fontsize() >= 12
    assert ax.get_xlabel() == "first component (50 % of the variance)"
    assert ax.get_title() == "PCA of the outputs of fc1\n100 images"
    figure.draw_without_rendering()


def test_long_names_do_not_hide_the_points() -> None:
    found, labels = embedding()
    names = [f"kind of thing {k}" for k in range(10)]
    figure = plot_embedding(found, labels, names, predicted=(labels + 1) % 10)
    assert not any(text.get_text() for text in figure.axes[0].texts)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    assert "(true→predicted)" not in figure.axes[0].get_title()


def test_errors_have_a_ring_and_as_many_texts_as_there_is_room() -> None:
    found, labels = embedding(method="tsne")
    predicted = labels.copy()
    predicted[[6, 100]] = [5, 9]
    found.points[3], found.points[50] = (200, 0), (0, 200)
    options = {"predicted": predicted, "name": "inputs of fc2"}
    ax = plot_embedding(found, labels, NAMES, **options).axes[0]
    ring = ax.collections[-1]
    assert to_hex(ring.get_edgecolor()[0]) == style.WRONG
    assert ring.get_offsets().tolist() == [[200, 0], [0, 200]]
    assert {t.get_text() for t in ax.texts} == {*NAMES, "3→5", "0→9"}
    title = "t-SNE of the inputs of fc2\n100 images, 2 of them misclassified (true→predicted)"
    assert ax.get_title() == title
    assert ax.get_xlabel() == "only which points are neighbours is meaningful"
    found.points[:] = 0
    crowd = plot_embedding(found, labels, NAMES, predicted=(labels + 1) % 10)
    assert len(crowd.axes[0].texts) == 10  # the classes, no room for more
    crowd.draw_without_rendering()


def test_labels_that_do_not_fit_are_refused() -> None:
    found, labels = embedding()
    for wrong, classes in ((labels[:9], NAMES), (labels, NAMES[:9]), (labels - 1, NAMES)):
        with pytest.raises(DataError, match="labels and predictions of all images"):
            plot_embedding(found, wrong, classes)
