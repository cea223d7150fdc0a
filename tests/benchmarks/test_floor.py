"""The operations of an epoch, against torch's own count."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import floor
from lenetscope import Architecture


def test_the_operations_of_an_epoch_are_those_that_torch_counts() -> None:
    arch = Architecture.from_recipe("reference", device="cpu")
    images, labels = next(iter(arch.train_loader))
    with FlopCounterMode(display=False) as counter:
        arch.loss_fn(arch.model(images), labels).backward()
    assert counter.get_total_flops() * floor.IMAGES == floor.EPOCH * len(labels)


@pytest.mark.slow
def test_a_small_measurement_has_all_parts() -> None:
    found = floor.steps("32-true", 2)
    assert found["epoch_seconds"] > 0
    assert abs(sum(found["fractions"].values()) - 1) < 1e-9
    assert {"convolution", "pooling", "optimizer", floor.BETWEEN} <= found["fractions"].keys()
