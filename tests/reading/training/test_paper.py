"""What paper, printing and cameras add to lines."""

import pytest
import torch

from lenetscope.reading.training import paper


def lines_of(count: int = 40, width: int = 60) -> torch.Tensor:
    """Two upright strokes per line, which differ a little."""
    lines = torch.zeros(count, 28, width)
    lines[:, 4:24, 10:13] = lines[:, 4:24, width - 20 : width - 17] = 1
    lines[::2, 4:7, 10:20] = 0.8
    return lines


@pytest.mark.parametrize("width", [28, 60, 200])
@pytest.mark.parametrize("change", paper.CHANGES, ids=lambda change: change.__name__)
def test_each_change_keeps_the_shape_and_makes_finite_numbers(change, width: int) -> None:
    torch.manual_seed(1)
    lines = lines_of(25, width)
    before = lines.clone()
    changed = change(lines)
    assert changed.shape == lines.shape
    assert changed.dtype == torch.float32
    assert changed.isfinite().all()
    assert not torch.equal(changed, before)
    assert torch.equal(lines, before)  # the given ones stay as they are
    for blank in (torch.zeros(2, 28, width), torch.ones(1, 28, width)):
        assert change(blank).isfinite().all()
    torch.manual_seed(1)
    assert torch.equal(change(before), changed)


@pytest.mark.parametrize(
    "change", [paper.neighbours, paper.ruled, paper.framed, paper.specks, paper.crossed, paper.edges]
)
def test_marks_add_ink_and_remove_none(change) -> None:
    torch.manual_seed(2)
    lines = lines_of()
    changed = change(lines)
    assert (changed >= lines - 1e-6).all()
    assert float(changed.max()) <= 1
    assert changed.sum() > 1.01 * lines.sum()


@pytest.mark.parametrize("change", [paper.broken, paper.clipped])
def test_gaps_and_cuts_remove_ink_and_add_none(change) -> None:
    torch.manual_seed(3)
    lines = lines_of()
    changed = change(lines)
    assert (changed <= lines + 1e-6).all()
    assert 0.4 * lines.sum() < changed.sum() < lines.sum()


def test_a_cut_takes_one_to_three_rows_from_one_side() -> None:
    torch.manual_seed(4)
    rows = (paper.clipped(lines_of(200)) > 0.3).any(dim=2)
    kept = {(int(r.nonzero().min()), int(r.nonzero().max())) for r in rows}
    assert kept == {(5, 23), (6, 23), (7, 23), (4, 22), (4, 21), (4, 20)}


def test_a_hollow_stroke_is_dark_at_its_edge_and_light_within() -> None:
    bar = torch.zeros(30, 28, 40)
    bar[:, 5:23, 10:18] = 1
    torch.manual_seed(0)
    for outline in paper.hollow(bar):
        assert float(outline.amax()) == pytest.approx(1)
        assert not outline[8:20, 12:16].any()
        assert outline[14, 9:11].amax() > 0.5


def test_ruled_lines_run_through_the_whole_line() -> None:
    torch.manual_seed(2)
    ruled = paper.ruled(torch.zeros(200, 28, 120))
    across = (ruled > 0.05).float().amax(dim=1).mean(dim=1)  # columns that a rule covers
    assert (across > 0.95).float().mean() > 0.6
    assert (across > 0.3).float().mean() > 0.9


def test_a_panel_that_is_inverted_keeps_the_contrast() -> None:
    torch.manual_seed(0)
    lines = lines_of(100)
    changed = paper.inverted(lines)
    kept = (changed == lines).all(dim=1) | (changed == 1 - lines).all(dim=1)  # (N, W)
    assert kept.all()
    inverted = (changed == 1 - lines).all(dim=1).float().mean()
    assert 0.2 < inverted < 0.8


def test_lines_that_are_reduced_keep_their_mean_and_a_blur_their_ink() -> None:
    lines = lines_of(4, 64)
    for seed in range(8):
        torch.manual_seed(seed)
        assert float(paper.small(lines).mean()) == pytest.approx(float(lines.mean()), rel=0.15)
        blurred = paper.blurred(lines)
        assert float(blurred.sum()) == pytest.approx(float(lines.sum()), rel=0.01)
        assert blurred.amax() < lines.amax()


def test_greys_are_stretched_from_paper_to_ink() -> None:
    lines = torch.full((3, 28, 50), 0.3)
    lines[:2, 6:22, 10:20] = 0.5
    lines[1, 6:22, 30:40] = 0.4  # half as dark
    wide = paper.stretched(lines)
    assert wide[:2, 0, 0].tolist() == [0, 0]
    assert wide[:2, 10, 12].tolist() == pytest.approx([1, 1])
    assert float(wide[1, 10, 33]) == pytest.approx(0.5)
    assert not wide[2].any()  # even paper stays paper
    assert torch.equal(paper.stretched(wide), wide)
    faint = torch.zeros(1, 28, 50)
    faint[:, 6:22, 10:20] = 0.01  # less than what noise has: not stretched to full ink
    assert float(paper.stretched(faint).max()) == pytest.approx(0.2)


def test_photographed_lines_are_seeded_some_unchanged_and_some_changed() -> None:
    lines = lines_of(300)
    torch.manual_seed(7)
    first = paper.photographed(lines.clone())
    torch.manual_seed(7)
    again = paper.photographed(lines.clone())
    assert torch.equal(first, again)
    assert not torch.equal(first, paper.photographed(lines.clone()))  # the stream has gone on
    assert first.shape == lines.shape
    assert first.isfinite().all()
    same = ((first - lines).abs() < 1e-6).flatten(1).all(dim=1).float().mean()
    assert 0.01 < same < 0.6
    assert all(0 < fraction < 0.67 for fraction in paper.CHANGES.values())  # times 1.5 at most


def test_a_change_is_made_to_its_fraction_of_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "CHANGES", {lambda lines: lines + 1: 0.4})
    monkeypatch.setattr(paper, "STRETCHED", 0.0)
    torch.manual_seed(0)
    changed = paper.photographed(torch.zeros(4000, 28, 28)).amax(dim=(1, 2))
    # half of the lines with 0.3, half with 1.5 times the fraction
    assert float(changed.mean()) == pytest.approx(0.4 * 0.9, abs=0.03)
