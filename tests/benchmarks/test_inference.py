"""The computations of the inference benchmark, by hand, and that its contenders agree."""

import numpy as np
import pytest

from benchmarks import inference
from lenetscope import Architecture


def test_the_summary_is_that_of_all_rounds() -> None:
    rows = [
        {"name": "a", "single_ms": [1.0, 2.0, 3.0, 4.0], "batch_ms": [100.0, 300.0]},
        {"name": "b", "single_ms": [9.0], "batch_ms": [9.0]},
        {"name": "a", "single_ms": [5.0, 6.0, 7.0, 8.0], "batch_ms": [400.0]},
        {"name": "a", "single_ms": [9.0, 10.0, 11.0], "batch_ms": [1000.0]},
    ]
    found = inference.summary(rows, "a")
    assert found["rounds"] == 3
    assert (found["single_calls"], found["batch_calls"]) == (11, 4)
    # of 1 to 11: the middle is 6; 95 % of the way from the first to the last is 1 + 0.95 * 10
    assert (found["p50_ms"], found["p95_ms"]) == pytest.approx((6, 10.5))
    assert found["p50_ms_spread"] == [2.5, 10]
    # 4 calls in 10 ms, 4 in 26 ms, 3 in 30 ms: 400, 153.8 and 100 per second
    assert found["single_images_per_second"] == pytest.approx(4000 / 26)
    assert found["single_spread"] == pytest.approx([100, 400])
    # 2,000 images in 0.4 s, 1,000 in 0.4 s, 1,000 in 1 s
    assert found["batch_images_per_second"] == pytest.approx(2500)
    assert found["batch_spread"] == pytest.approx([1000, 5000])


def test_every_second_round_is_reversed() -> None:
    rivals = {"a": np.negative, "b": np.negative}
    orders = [[name for name, _ in inference.in_turn(rivals, number)] for number in range(3)]
    assert orders == [["a", "b"], ["b", "a"], ["a", "b"]]


def test_every_call_is_timed_with_the_right_number_of_images() -> None:
    sizes: list[int] = []

    def classify(images):
        sizes.append(len(images))
        return images

    images = np.zeros((1500, 1, 2, 2), dtype=np.uint8)
    row = inference.measure(classify, images, single=4, batches=3)
    assert sizes == [1] * 9 + [1000] * 4  # 5 and 1 of them to warm up
    assert len(row["single_ms"]) == 4
    assert len(row["batch_ms"]) == 3


def test_the_contenders_agree_and_a_different_one_is_detected() -> None:
    arch = Architecture.from_recipe("reference")
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28)).astype(np.uint8)
    rivals = inference.contenders(arch)
    inference.require_same_answers(rivals, images)
    assert rivals["eager PyTorch"](images).sum(axis=1) == pytest.approx(np.ones(20))
    with pytest.raises(AssertionError):
        inference.require_same_answers(rivals | {"logits": arch.predict}, images)


@pytest.mark.slow
def test_a_smoke_run_writes_numbers_a_table_and_a_figure(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(inference, "trained", lambda steps: Architecture.from_recipe("reference"))
    inference.main(tmp_path, smoke=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "inference.json", "inference.md", "inference.png",
    ]  # fmt: skip
    text = (tmp_path / "inference.md").read_text()
    assert "| predict_proba |" in text
    assert "meaningless" in text
