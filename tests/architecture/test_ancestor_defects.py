"""Each defect of the ancestor, and that it is not inherited."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, LenetscopeError
from lenetscope.errors import LayerError
from lenetscope.models.lenet import LeNet

Make = Callable[..., Architecture]


def plain(model: nn.Module, **options: object) -> Architecture:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Architecture(model, nn.CrossEntropyLoss(), optimizer, device="cpu", **options)


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


class Reusing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 3)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(x))))


def test_one_image_is_drawn_as_one_image_not_as_its_rows() -> None:
    arch = plain(LeNet())
    arch.attach_hooks(["conv1"])
    arch.predict(torch.rand(1, 1, 28, 28))
    figure = arch.visualize_outputs(["conv1"])
    pictures = [ax for ax in figure.axes if ax.images]
    assert len(pictures) == 1
    drawn = pictures[0].images[0].get_array()
    assert drawn.shape == (4 * 29 - 1, 8 * 29 - 1)  # 32 maps of 28x28 in four rows of eight
    assert np.allclose(drawn[:28, :28], arch.visualization["conv1"][0, 0])


def test_attaching_twice_leaves_no_hook_behind(make_arch: Make) -> None:
    arch = make_arch()
    arch.attach_hooks(["conv1"])
    arch.attach_hooks(["conv1"])
    arch.remove_hooks()
    assert hooks_on(arch.model) == 0


def test_attaching_another_layer_replaces_the_first(make_arch: Make) -> None:
    arch = make_arch()
    arch.attach_hooks(["conv1"])
    arch.attach_hooks(["fc"])
    arch.predict(torch.rand(2, 1, 10, 10))
    assert list(arch.visualization) == ["fc"]
    assert arch.visualization["fc"].shape == (2, 3)


@pytest.mark.parametrize("layers", [["conv9"], "conv", ["fc", "nope"], [""]])
def test_an_unknown_layer_is_named_and_a_name_is_no_substring(make_arch: Make, layers: object) -> None:
    arch = make_arch()
    with pytest.raises(LayerError, match="unknown layer"):
        arch.attach_hooks(layers)
    assert hooks_on(arch.model) == 0


def test_a_string_is_one_name(make_arch: Make) -> None:
    arch = make_arch()
    arch.attach_hooks("relu1")  # as a substring it would match nothing, as a list five letters
    assert list(arch.visualization) == ["relu1"]


def test_a_reused_layer_is_indexed_by_call() -> None:
    arch = plain(Reusing())
    arch.attach_hooks(["relu"])
    for count in (2, 3):
        arch.predict(torch.rand(count, 4))
    assert {k: v.shape for k, v in arch.visualization.items()} == {"relu": (5, 6), "relu:1": (5, 3)}


def test_outputs_do_not_grow_without_bound(make_arch: Make) -> None:
    arch = make_arch()
    arch.attach_hooks(["conv1"], max_bytes=3 * 4 * 100 * 4)  # three images: 4 maps of 10x10, float32
    with pytest.warns(UserWarning, match="recording stopped"):
        for _ in range(5):
            arch.predict(torch.rand(1, 1, 10, 10))
    assert arch.visualization["conv1"].shape[0] == 3


def test_gradients_are_arrays_within_a_budget(make_arch: Make) -> None:
    arch = make_arch()
    arch.capture_gradients("fc")
    arch.train(2, progress=False)
    used = arch.handles["fc.gradients"].used
    arch.remove_hooks()
    recorded = arch.gradients["fc"]["weight"]
    assert len(recorded) == 2 * 3  # three batches an epoch
    assert all(isinstance(value, np.ndarray) and value.dtype == np.float32 for value in recorded)
    assert used == 6 * 4 * (300 + 3)
    assert np.array(arch._gradients["fc"]["weight"]).shape == (6, 3, 100)


def test_checkpoints_open_without_running_code_and_keep_the_schedule(make_arch: Make, tmp_path) -> None:
    arch = make_arch()
    arch.set_lr_scheduler(torch.optim.lr_scheduler.StepLR(arch.optimizer, 2, gamma=0.1))
    arch.train(3, progress=False)
    arch.save_checkpoint(tmp_path / "c.pt")
    content = torch.load(tmp_path / "c.pt", weights_only=True)
    assert content["scheduler"]["last_epoch"] == 3

    again = make_arch()
    again.set_lr_scheduler(torch.optim.lr_scheduler.StepLR(again.optimizer, 2, gamma=0.1))
    again.load_checkpoint(tmp_path / "c.pt")
    for a in (arch, again):
        a.train(3, progress=False)
    assert same_weights(arch.model, again.model)
    assert again.learning_rates == arch.learning_rates
    assert again.losses == arch.losses


def test_two_calls_of_train_do_not_replay_one_shuffle(make_arch: Make) -> None:
    orders: list[list[float]] = [[], []]

    class Spy(nn.Module):
        def forward(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            orders[turn].extend(labels.tolist())
            return nn.functional.cross_entropy(outputs, labels)

    arch = make_arch()
    arch.loss_fn = Spy()
    arch.set_loaders(arch.train_loader)
    for turn in (0, 1):  # noqa: B007 - the spy reads it
        arch.train(1, progress=False)
    assert len(orders[0]) == len(orders[1]) == 40
    assert orders[0] != orders[1]


def test_two_calls_of_train_are_one_longer_call(make_arch: Make) -> None:
    parts, whole = make_arch(), make_arch()
    parts.train(1, progress=False)
    torch.rand(7)  # what the caller draws in between does not matter
    parts.train(2, progress=False)
    whole.train(3, progress=False)
    assert same_weights(parts.model, whole.model)
    assert parts.losses == whole.losses


def test_losses_are_means_over_samples(make_arch: Make, digits) -> None:
    arch = make_arch(lr=1e-12, dropout=0)
    arch.train(1, progress=False)
    images, labels = digits
    with torch.no_grad():
        expected = nn.functional.cross_entropy(arch.model(images), labels, reduction="none")
    assert arch.losses[0] == pytest.approx(expected[:40].mean().item(), rel=1e-6)
    assert arch.val_losses[0] == pytest.approx(expected[40:].mean().item(), rel=1e-6)


def test_make_normalizer_gives_the_deviation_of_all_pixels() -> None:
    images = torch.zeros(7, 2, 4, 4)  # each image is of one colour: its own deviation is 0
    images[:, 0] = torch.arange(7.0).reshape(7, 1, 1)
    images[:, 1] = torch.arange(7.0).reshape(7, 1, 1) * 10 + 5
    loader = DataLoader(TensorDataset(images, torch.zeros(7)), batch_size=3)
    normalizer = Architecture.make_normalizer(loader)
    assert normalizer.mean == pytest.approx([3, 35])
    assert normalizer.std == pytest.approx([2, 20])
    normal = normalizer(images)
    assert normal.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert normal.std(dim=(0, 2, 3), unbiased=False).tolist() == pytest.approx([1, 1])


def test_lr_range_test_goes_the_way_it_is_told(make_arch: Make) -> None:
    arch = make_arch(lr=0.01)
    linear, _ = arch.lr_range_test(arch.train_loader, 0.05, num_iter=5, step_mode="linear")
    exponential, _ = arch.lr_range_test(arch.train_loader, 0.16, num_iter=5)
    assert linear["lr"] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])
    assert exponential["lr"] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16])


def test_lr_range_test_trains_in_training_mode_and_leaves_nothing_behind(make_arch: Make) -> None:
    arch, untouched = make_arch(), make_arch()
    generator = torch.Generator().manual_seed(8)
    loader = DataLoader(arch.train_loader.dataset, batch_size=16, shuffle=True, generator=generator)
    modes = []
    handle = arch.model.dropout.register_forward_hook(lambda m, *_: modes.append(m.training))
    arch.model.eval()
    before, rate = torch.get_rng_state(), arch.optimizer.param_groups[0]["lr"]
    arch.model.fc.bias.grad = torch.ones(3)
    arch.lr_range_test(loader, 0.5, num_iter=4)
    handle.remove()
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(8).get_state())
    assert arch.model.fc.bias.grad.tolist() == [1, 1, 1]
    arch.model.fc.bias.grad = None
    assert (arch.total_epochs, arch.history, arch.state.rng) == (0, [], None)
    assert modes == [True] * 4
    assert not arch.model.training
    assert all(p.grad is None for p in arch.model.parameters())
    assert torch.equal(before, torch.get_rng_state())
    assert arch.optimizer.param_groups[0]["lr"] == rate
    assert not arch.optimizer.state
    assert same_weights(arch.model, untouched.model)


def test_lr_range_test_is_a_training_at_these_rates_and_stops_when_the_loss_diverges(make_arch) -> None:
    arch, by_hand = make_arch(lr=0.01, dropout=0), make_arch(lr=0.01, dropout=0)
    batches = list(arch.train_loader)
    found, _ = arch.lr_range_test(batches, 0.05, num_iter=5, step_mode="linear", alpha=0.25)
    smooth: list[float] = []
    for rate, (inputs, labels) in zip(found["lr"], [*batches, *batches], strict=False):
        by_hand.optimizer.param_groups[0]["lr"] = rate
        by_hand.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(by_hand.model(inputs), labels)
        smooth.append(0.25 * loss.item() + 0.75 * smooth[-1] if smooth else loss.item())
        loss.backward()
        by_hand.optimizer.step()
    assert found["loss"] == pytest.approx(smooth, rel=1e-6)
    arch = make_arch(lr=0.01)
    found, _ = arch.lr_range_test(arch.train_loader, 1e9, num_iter=200)
    assert 3 < len(found["lr"]) == len(found["loss"]) < 150
    assert np.isfinite(found["loss"]).all()


def test_predict_builds_no_graph_and_keeps_the_mode(make_arch: Make) -> None:
    arch = make_arch()
    grads = []
    handle = arch.model.fc.register_forward_hook(lambda _m, _i, out: grads.append(out.requires_grad))
    for training in (True, False):
        arch.model.train(training)
        arch.model.dropout.eval()  # a part that its owner has frozen
        arch.predict(torch.rand(2, 1, 10, 10))
        assert arch.model.training is training
        assert not arch.model.dropout.training
    handle.remove()
    assert grads == [False, False]


@pytest.mark.parametrize("name", ["conv9", "fc", "conv1.weight", ""])
def test_wrong_filter_names_are_told(make_arch: Make, name: str) -> None:
    with pytest.raises(LayerError):
        make_arch().visualize_filters(name)


def test_filters_of_the_second_layer_fit_on_a_screen() -> None:
    figure = plain(LeNet()).visualize_filters("conv2")
    width, height = figure.get_size_inches()
    assert width <= 16
    assert height <= 16
    assert len(figure.axes) == 1  # not 2,048
    assert len(figure.axes[0].child_axes) == 1  # the colour scale


def test_there_is_accuracy_in_training_and_validation(make_arch: Make) -> None:
    arch = make_arch()
    arch.train(12, progress=False)
    assert arch.history[-1]["valid_accuracy"] > 0.9
    assert 0 < arch.history[0]["train_accuracy"] < 1


def test_there_is_progress_on_standard_error(make_arch: Make, capsys) -> None:
    make_arch().train(2)
    told = capsys.readouterr()
    assert told.out == ""
    assert "epoch 2/2" in told.err


def test_there_is_mixed_precision(make_arch: Make) -> None:
    arch = make_arch(precision="bf16-mixed")
    seen = []
    handle = arch.model.conv1.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    arch.train(1, progress=False)
    handle.remove()
    assert set(seen) == {torch.bfloat16}
    assert arch.model.conv1.weight.dtype == torch.float32


def test_a_missing_device_is_told_not_met_as_a_crash() -> None:
    for device in ("cuda", "mps", "tpu"):
        if device == "cuda" and torch.cuda.is_available():
            continue
        if device == "mps" and torch.backends.mps.is_available():
            continue
        with pytest.raises(LenetscopeError, match=f"no device '{device}'"):
            plain(SmallCNN()).to(device)
