"""The arithmetic of an epoch, counted by torch itself."""

from torch.utils.flop_counter import FlopCounterMode

from benchmarks import floor
from lenetscope import Architecture


def test_the_multiplications_of_an_epoch_are_those_that_torch_counts() -> None:
    arch = Architecture.from_recipe("seed", device="cpu")
    images, labels = next(iter(arch.train_loader))
    with FlopCounterMode(display=False) as counter:
        arch.loss_fn(arch.model(images), labels).backward()
    assert counter.get_total_flops() * floor.IMAGES == floor.EPOCH * len(labels)


def test_a_small_measurement_has_every_figure() -> None:
    found = floor.steps("32-true", 2)
    assert found["epoch_seconds"] > 0
    assert abs(sum(found["shares"].values()) - 1) < 1e-9
    assert {"convolution", "pooling", "optimizer", floor.BETWEEN} <= found["shares"].keys()
