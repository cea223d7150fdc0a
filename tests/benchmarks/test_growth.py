"""The computations of the growth benchmark, by hand, and the shifted copies."""

from pathlib import Path

import pytest
import torch

from benchmarks import growth, growth_child
from lenetscope.data.dataset import LabelledImages


def test_a_slope_is_by_least_squares() -> None:
    assert growth.slope([1, 2, 3], [12, 22, 32]) == pytest.approx(10)
    # means 2 and 4; products of deviations -1*-3 + 0*0 + 1*3 = 6 over squares 1 + 0 + 1 = 2
    assert growth.slope([1, 2, 3], [1, 4, 7]) == pytest.approx(3)
    assert growth.slope([0, 1, 2], [0, 3, 0]) == pytest.approx(0)


def test_the_cost_per_image_is_relative_to_the_first_row() -> None:
    rows = [
        {"images": 1_000, "train_seconds": 1.0, "peak_bytes": 500_000},
        {"images": 11_000, "train_seconds": 2.2, "peak_bytes": 8_500_000},
        {"images": 21_000, "train_seconds": 4.2, "peak_bytes": 16_500_000},
    ]
    first, second = growth.per_image(rows)
    assert first == {
        "images": 11_000,
        "microseconds_per_image": pytest.approx(200),
        "bytes_per_image": pytest.approx(800),
    }
    assert second["microseconds_per_image"] == pytest.approx(200)
    assert second["bytes_per_image"] == pytest.approx(800)


def test_medians_are_computed_per_group() -> None:
    rows = [{"a": a, "b": 1, "s": s} for a, s in [(1, 3.0), (2, 9.0), (1, 1.0), (1, 8.0), (2, 7.0)]]
    assert growth.medians(rows, ["a", "b"], "s") == [([1, 1], 3, 1, 8), ([2, 1], 8, 7, 9)]


def test_images_are_repeated_with_a_different_shift_per_copy() -> None:
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    images[0, 0, 1, 2], images[1, 0, 3, 0] = 7, 9
    many = growth_child.repeated(LabelledImages(images, torch.tensor([3, 5])), 5)
    assert many.labels.tolist() == [3, 5, 3, 5, 3]
    assert many.images.dtype == torch.uint8
    assert torch.equal(many.images[:2], images)
    lit = [many.images[k, 0].nonzero().tolist() for k in (2, 4)]
    assert lit[0] != lit[1] != [[1, 2]]
    assert {many.images[k].max().item() for k in (2, 4)} == {7}


def test_a_shift_goes_right_and_down_and_crops() -> None:
    image = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3)
    for (dx, dy), wanted in {
        (1, 0): [[0, 1, 2], [0, 4, 5], [0, 7, 8]],
        (0, 1): [[0, 0, 0], [1, 2, 3], [4, 5, 6]],
        (-1, -1): [[5, 6, 0], [8, 9, 0], [0, 0, 0]],
    }.items():
        target = torch.zeros_like(image)
        growth_child.shift_into(target, image, dx, dy)
        assert target[0, 0].tolist() == wanted


def test_shifts_differ_and_the_first_is_zero() -> None:
    for count in (1, 2, 5, 16, 100):
        found = growth_child.shifts(count)
        assert found[0] == (0, 0)
        assert len(set(found)) == len(found) == count
    assert max(abs(d) for shift in growth_child.shifts(16) for d in shift) <= 2


def test_the_peak_memory_is_between_current_use_and_the_kernels_count() -> None:
    import resource

    in_use = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    peak = growth_child.peak_bytes()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 0.98 * in_use <= peak <= 1.02 * most  # the kernel counts a little behind


def test_the_report_has_all_measurements() -> None:
    rows = [
        {"images": n, "train_seconds": n * 2e-4, "peak_bytes": 2**29 + 800 * n}
        | {"batch_size": 256, "precision": "bf16-mixed"}
        for n in (1_000, 60_000, 120_000)
    ]
    results = {
        "machine": {
            "cpu": "a chip", "cores": 2, "threads": 2, "python": "3.11", "packages": {"torch": "2"},
            "date": "2026-01-02T03:04:05", "command": ["python", "-m", "benchmarks"],
        },
        "smoke": False,
        "recipe": {"name": "fast", "model": "lean", "precision": "auto"},
        "images": rows,
        "per_image": growth.per_image(rows),
        "bytes_per_image_slope": 800.0,
        "processes": [
            {"processes": 2, "threads": 1, "train_seconds": s, "round": 0} for s in (20.0, 24.0, 22.0)
        ],
        "batch_sizes": [
            {"round": 0, "images": 12_800, "batch_size": 64, "precision": p, "train_seconds": s}
            for p, s in (("32-true", 6.4), ("bf16-mixed", 3.2))
        ],
    }  # fmt: skip
    text = growth.report(results)
    assert "| 60,000 | 12.0 | 200.0 | 558 | 800 |" in text
    assert "recipe fast (network lean, batches of 256, bf16-mixed)" in text
    assert "| 2 | 1 | 22.0 (20.0 to 24.0) |" in text
    assert "| 64 | 30.0 (30.0 to 30.0) | 15.0 (15.0 to 15.0) |" in text
    assert "a chip, 2 cores, 2 threads; Python 3.11, torch 2; 2026-01-02" in text
