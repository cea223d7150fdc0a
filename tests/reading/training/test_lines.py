"""Lines of several characters, composed of single digits."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lenetscope import Architecture, Recipe
from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.sources import DATASETS
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.models.reader import OTHER
from lenetscope.reading.training import lines as room
from lenetscope.reading.training import paper
from lenetscope.reading.training.lines import MIXTURE, Mixture, compose

Digits = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def digits() -> Digits:
    train = read_mnist().train
    return train.images[:240], train.labels[:240]


@pytest.fixture(scope="module")
def many() -> Digits:
    train = read_mnist().train
    return train.images[:2000], train.labels[:2000]


APART = replace(MIXTURE, joined=0.0)


def placed(patches: torch.Tensor, mixture: Mixture = APART) -> torch.Tensor:
    """Place characters of which none is a mark."""
    return room._placed(patches, torch.zeros(patches.shape[:2], dtype=torch.bool), mixture)


PLAIN = Mixture(**{field.name: 0.0 for field in fields(Mixture) if field.name != "lengths"})


@pytest.mark.parametrize("length", [1, 3, 7, 8])
def test_lines_of_digits_alone_keep_their_labels(digits: Digits, length: int) -> None:
    torch.manual_seed(3)
    images, labels = digits
    before = images.clone(), labels.clone()
    lines, written = compose(images, labels, PLAIN, length=length)
    count = 240 // length
    assert lines.dtype == torch.uint8
    assert lines.shape[:3] == (count, 1, 28)
    assert lines.shape[3] % 4 == 0
    assert lines.shape[3] >= max(28, 6 * length)
    assert written.dtype == torch.int64
    assert torch.equal(written, labels[: count * length].reshape(count, length))
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_every_digit_is_inside_its_line(many: Digits, length: int) -> None:
    torch.manual_seed(length)
    count = 400 // length
    glyphs = many[0][: count * length, 0].float() / 255
    patches = room._patches(glyphs, count, length)
    state = torch.get_rng_state()
    for k in range(length):
        # the layout depends on what is above 0.3, so each digit in turn can be told from the others
        marked = torch.where(patches > 0.3, 0.31, 0.0)
        marked[:, k] = torch.where(patches[:, k] > 0.3, 1.0, 0.0)
        torch.set_rng_state(state)
        canvas = placed(marked) > 0.9
        given = marked[:, k] > 0.9
        left = canvas.sum((1, 2)) / given.sum((1, 2))
        assert left.min() > 0.9  # of ink above 0.3, some is below a threshold after it
        assert left.max() <= 1
        middle = canvas.float().mean(dim=1) @ torch.arange(canvas.shape[2]).float()
        assert (middle > 0).all()
    blocks = (patches > 0.3).any(dim=2, keepdim=True).expand_as(patches)  # rows do not matter
    for k in range(length):
        marked = torch.where(blocks, 0.31, 0.0)
        marked[:, k] = blocks[:, k].float()
        torch.set_rng_state(state)
        canvas = placed(marked) > 0.9
        columns = blocks[:, k, 0].sum(dim=1)
        assert torch.equal(canvas.any(dim=1).sum(dim=1), columns)  # none is lost


def test_digits_stand_in_the_order_of_their_labels(many: Digits) -> None:
    torch.manual_seed(1)
    patches = room._patches(many[0][:400, 0].float() / 255, 100, 4)
    state, middles = torch.get_rng_state(), []
    for k in range(4):
        marked = torch.where(patches > 0.3, 0.31, 0.0)
        marked[:, k] = torch.where(patches[:, k] > 0.3, 1.0, 0.0)
        torch.set_rng_state(state)
        canvas = (placed(marked) > 0.9).float().sum(dim=1)
        middles.append(canvas @ torch.arange(canvas.shape[1]).float() / canvas.sum(dim=1))
    steps = torch.stack(middles, dim=1).diff(dim=1)
    assert steps.min() > 0
    assert steps.mean() > 12


def test_nested_digits_touch_and_others_stand_side_by_side(many: Digits) -> None:
    patches = torch.zeros(200, 2, 28, 40)
    patches[:, 0, 4:24, 12:14] = 1  # an L, whose foot reaches to the right
    patches[:, 0, 22:24, 12:26] = 1
    patches[:, 1, 4:12, 12:26] = 1  # something that has room above the foot
    steps = {}
    for nested in (0.0, 1.0):
        torch.manual_seed(2)
        mixture = replace(PLAIN, nested=nested, nested_apart=nested)
        lines = placed(patches, mixture) > 0.9
        high = lines[:, :14].any(dim=1)
        width = high.shape[1]
        steps[nested] = width - high.flip(1).int().argmax(dim=1) - high.int().argmax(dim=1)
    assert float((steps[0.0] >= 14 + 14 - 7).float().mean()) == 1  # behind the foot, which is 14 wide
    # with other random gaps, but above the foot as far as half of the width allows
    assert steps[1.0].float().mean() < steps[0.0].float().mean() - 4


def test_marks_reach_into_digits_and_digits_not_into_each_other() -> None:
    patches = torch.zeros(300, 2, 28, 40)
    patches[:, 0, 4:24, 12:26], patches[:, 1, 4:24, 12:26] = 0.5, 1
    marks = torch.zeros(300, 2, dtype=torch.bool)
    marks[:150, 0], marks[150:, 1] = True, True
    steps = {}
    for over in (0.0, 1.0):
        torch.manual_seed(7)
        lines = room._placed(patches, marks, replace(PLAIN, over=over))
        starts = [(lines > ink).any(dim=1).int().argmax(dim=1) for ink in (0.3, 0.9)]
        steps[over] = (starts[1] - starts[0]).float()
    nearer = steps[0.0].mean() - steps[1.0].mean()
    assert 5 < nearer < 8  # 2 to 11 pixels
    torch.manual_seed(7)
    among = room._placed(patches, marks & False, replace(PLAIN, over=1.0))
    torch.manual_seed(7)
    assert torch.equal(among, room._placed(patches, marks & False, PLAIN))


def test_a_pen_joins_neighbours_that_are_near_and_about_level() -> None:
    patches = torch.zeros(400, 3, 28, 40)
    patches[:, :, 6:22, 17:23] = 1
    torch.manual_seed(8)
    apart = placed(patches, PLAIN)
    torch.manual_seed(8)
    joined = placed(patches, replace(PLAIN, joined=1.0))
    assert (joined >= apart).all()
    added = joined - apart
    some = added.amax(dim=(1, 2)) > 0.5
    assert 0.2 < float(some.float().mean()) < 0.6  # many neighbours touch, or are too far apart
    assert (added[:, [0, 1, 26, 27]] == 0).all()
    gaps = (joined > 0.3).any(dim=1).sum(dim=1) - (apart > 0.3).any(dim=1).sum(dim=1)
    assert int(gaps.max()) <= 2 * 14
    alone = patches[:, :1]
    torch.manual_seed(9)
    one = placed(alone, PLAIN)
    torch.manual_seed(9)
    assert torch.equal(one, placed(alone, replace(PLAIN, joined=1.0)))


def test_digits_are_moved_up_and_down_and_never_cut_off() -> None:
    patches = torch.zeros(3, 1, 28, 40)
    patches[:, 0, 5:25, 10:20] = 1
    moved = room._lowered(patches, torch.tensor([[-9], [2], [9]]))
    rows = moved[:, 0].any(dim=2)
    assert rows.int().argmax(dim=1).tolist() == [0, 7, 8]
    assert rows.sum(dim=1).tolist() == [20, 20, 20]


def test_ink_of_plain_lines_is_that_of_their_digits(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "photographed", lambda lines: lines)
    images, labels = digits
    for length in (1, 4):
        torch.manual_seed(6)
        lines, _ = compose(images, labels, PLAIN, length=length)
        ink = lines.float().sum() / images[: len(lines) * length].float().sum()
        assert 0.7 < float(ink) < 1.3  # sizes differ
        assert (lines.amax(dim=(1, 2, 3)) > 200).all()
        assert lines[:, :, :, [0, -1]].max() < 0.3 * 255  # paper at both sides


def test_marks_are_not_written_and_other_things_are(many: Digits) -> None:
    torch.manual_seed(4)
    _, written = compose(*many, length=5)
    ended = written < 0
    assert set(written.unique().tolist()) == {-1, *range(10), OTHER}
    assert not (ended[:, :-1] & ~ended[:, 1:]).any()  # -1 only after the last character
    other = (written == OTHER).any(dim=1).float().mean()
    assert float(other) == pytest.approx(MIXTURE.others, abs=0.04)
    _, marked = compose(*many, replace(MIXTURE, marks=1.0, others=0.0), length=5)
    front = (marked >= 0).sum(dim=1)
    # of 5: 0.4 in front, 0.5 at the end, 0.15 three times between
    assert float(front.float().mean()) == pytest.approx(5 - 0.4 - 0.5 - 0.45, abs=0.1)
    # what is left are the digits that were given, in their order
    for given, kept in zip(many[1].reshape(-1, 5).tolist(), marked.tolist(), strict=True):
        rest = iter(given)
        assert all(label in rest for label in kept if label >= 0)


def test_a_line_of_one_character_is_rarely_a_mark_alone(many: Digits) -> None:
    torch.manual_seed(5)
    _, written = compose(*many, length=1)
    shares = [float((written == label).float().mean()) for label in (-1, OTHER)]
    assert shares == pytest.approx([0.02, 0.75 * MIXTURE.single_others], abs=0.02)


def test_other_hands_are_drawn_and_pencils_are_thin(
    many: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "photographed", lambda lines: lines)
    images, labels = many[0][:400], many[1][:400]

    def composed(**changes: float) -> torch.Tensor:
        torch.manual_seed(8)
        lines, written = compose(images, labels, replace(PLAIN, **changes), length=1)
        assert torch.equal(written[:, 0], labels)
        return lines.float() / 255

    plain = composed()
    assert composed(pencil=1.0).sum() < 0.75 * plain.sum()
    other = composed(drawn=1.0)
    width = min(plain.shape[3], other.shape[3])
    differ = (other[..., :width] - plain[..., :width]).abs().mean(dim=(1, 2, 3)) > 0.01
    assert differ.float().mean() > 0.5


def test_the_same_seed_composes_the_same_lines_and_any_length_comes_up(digits: Digits) -> None:
    lengths = set()
    for seed in range(5):
        torch.manual_seed(seed)
        first = compose(*digits)
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        again = AUGMENTATIONS.get("lines")(*digits)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert torch.equal(torch.get_rng_state(), state)
        lengths.add(first[1].shape[1])
        assert len(first[0]) == len(first[1]) == 240 // first[1].shape[1]
    assert len(lengths) > 2
    assert max(lengths) <= len(MIXTURE.lengths)
    few, written = compose(digits[0][:2], digits[1][:2], length=8)  # fewer than asked for
    assert len(few) == 1
    assert written.shape == (1, 2)


def test_a_training_that_goes_on_draws_the_lines_that_it_would_have_drawn(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = replace_images(digits)
    monkeypatch.setattr(room, "read_mnist", lambda *_: raw)
    recipe = Recipe.load(
        "reader", holdout=40, epochs=2, warmup=0, batch_size=100, threads=1, device="cpu"
    )
    seen: list[list[torch.Tensor]] = []

    def begin() -> Architecture:
        arch = Architecture.from_recipe(recipe)
        drawn: list[torch.Tensor] = []
        arch.model.register_forward_pre_hook(
            lambda module, inputs: drawn.append(inputs[0].clone()) if module.training else None
        )
        seen.append(drawn)
        return arch

    through = begin()
    through.train(progress=False)
    stopped = begin()
    stopped.train(progress=False, stop=lambda: stopped.state.epoch == stopped.state.step == 1)
    stopped.save_checkpoint(tmp_path / "a.ckpt")
    torch.rand(100)  # what happens in between does not matter
    resumed = begin()
    resumed.load_checkpoint(tmp_path / "a.ckpt")
    resumed.train(progress=False)
    whole, first, rest = seen
    assert len(whole) == 4
    assert len({tuple(each.shape) for each in whole}) > 1
    assert (len(first), len(rest)) == (3, 1)  # stopped within an epoch
    assert all(torch.equal(a, b) for a, b in zip(whole, first + rest, strict=True))


def replace_images(digits: Digits):
    """Return MNIST with 240 training images and 40 of its test images."""
    raw = read_mnist()
    test = raw.test._replace(images=raw.test.images[:40], labels=raw.test.labels[:40])
    return replace(raw, train=raw.train._replace(images=digits[0], labels=digits[1]), test=test)


def test_the_data_set_is_mnist_with_a_class_for_what_is_not_one_digit() -> None:
    raw, plain = DATASETS.get("mnist-lines")(None, False), read_mnist()
    assert raw.classes == (*plain.classes, "none")
    assert len(raw.classes) == OTHER + 1
    assert raw.checksums == plain.checksums
    assert torch.equal(raw.test.labels, plain.test.labels)
    assert np.array_equal(raw.train.images[:5], plain.train.images[:5])
