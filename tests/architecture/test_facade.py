"""What `Architecture` adds: recipes, probabilities, scores, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Callback, Recipe
from lenetscope.errors import DataError, LayerError, TrainingError, UsageError

Make = Callable[..., Architecture]


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.load("seed", dataset="idx", epochs=2, batch_size=16, device="cpu")


def test_from_recipe_is_the_reference_to_the_letter() -> None:
    arch = Architecture.from_recipe("seed", device="cpu")
    assert arch.count_parameters() == 421_642
    optimizer = arch.optimizer
    assert type(optimizer) is torch.optim.SGD
    assert optimizer.defaults["lr"] == 0.01
    assert optimizer.defaults["momentum"] == 0.9
    assert optimizer.defaults["weight_decay"] == 0
    assert type(arch.loss_fn) is nn.CrossEntropyLoss
    assert arch.scheduler is None
    assert arch.train_loader.batch_size == 64
    assert len(arch.train_loader) == 938
    assert [len(loader.data.labels) for loader in (arch.train_loader, arch.val_loader)] == [
        60000,
        10000,
    ]
    inputs, labels = next(iter(arch.val_loader))
    assert inputs.dtype == torch.float32
    assert inputs.shape[1:] == (1, 28, 28)
    assert (inputs.min(), inputs.max()) == (-1, 1)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_training_a_recipe_is_repeatable_and_leaves_the_callers_streams_alone(
    recipe: Recipe, idx_folder: Path
) -> None:
    def trained(**overrides: object) -> Architecture:
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        arch = Architecture.from_recipe(recipe, data_dir=idx_folder, **overrides)
        arch.train(progress=False)
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])
        return arch

    first = trained()
    torch.manual_seed(99)
    assert same_weights(first.model, trained().model)
    assert not same_weights(first.model, trained(seed=1).model)
    assert first.total_epochs == 2


def test_uint8_images_are_preprocessed_and_floats_are_not(recipe: Recipe, idx_folder: Path) -> None:
    arch = Architecture.from_recipe(recipe, data_dir=idx_folder)
    assert arch.splits is not None
    images = arch.splits.test.images[:5]
    as_floats = (images.float() / 255 - 0.5) / 0.5
    assert arch.predict(images.numpy()) == pytest.approx(arch.predict(as_floats), abs=1e-6)
    shares = arch.predict_proba(images)
    assert shares.shape == (5, 3)
    assert shares.sum(axis=1) == pytest.approx(1)
    for wrong in (images[0], images[:, 0], images[:, :, :20]):
        with pytest.raises(DataError, match=r"images must be \(N, 1, 28, 28\)"):
            arch.predict(wrong)


def test_evaluate_agrees_with_a_count_by_hand(make_arch: Make, digits) -> None:
    arch = make_arch()
    arch.train(3, progress=False)
    images, labels = digits
    with torch.no_grad():
        arch.model.eval()
        predicted = arch.model(images[40:]).argmax(1)
    state = torch.get_rng_state()
    scores = arch.evaluate()
    assert torch.equal(state, torch.get_rng_state())
    assert scores.n == 10
    assert scores.errors == int((predicted != labels[40:]).sum())
    for k, counts in enumerate(arch.correct(images[40:], labels[40:]).tolist()):
        assert counts == [scores.confusion[k, k], scores.confusion[k].sum()]
    assert np.array_equal(arch.confusion_matrix(), scores.confusion)
    assert arch.plot_confusion().axes


def test_nothing_is_left_behind_when_something_raises(make_arch: Make) -> None:
    arch = make_arch()
    arch.attach_hooks(["conv1"])
    arch.remove_hooks()
    arch.model.train()
    arch.model.dropout.eval()
    wrong = torch.rand(2, 1, 3, 3)
    state = torch.get_rng_state()
    calls = [
        lambda: arch.predict(wrong),
        lambda: arch.predict_proba(wrong),
        lambda: arch.correct(wrong, torch.zeros(2).long()),
        lambda: arch.evaluate([(wrong, torch.zeros(2).long())]),
        lambda: arch.lr_range_test([(wrong, torch.zeros(2).long())], 1.0),
    ]
    for call in calls:
        with pytest.raises(RuntimeError):
            call()
        assert arch.model.training
        assert not arch.model.dropout.training
        assert torch.equal(state, torch.get_rng_state())
        assert all(p.grad is None for p in arch.model.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in arch.model.modules())


def test_an_interrupted_epoch_goes_on_where_it_stopped(make_arch: Make) -> None:
    class Quits(Callback):
        def on_step(self, state) -> None:
            if (state.epoch, state.step) == (1, 2):
                raise KeyboardInterrupt

    broken, whole = make_arch(), make_arch()
    with pytest.raises(KeyboardInterrupt):
        broken.train(3, callbacks=[Quits()], progress=False)
    assert (broken.total_epochs, broken.state.step) == (1, 2)
    broken.train(2, progress=False)
    whole.train(3, progress=False)
    assert same_weights(broken.model, whole.model)
    assert broken.losses == whole.losses


class SavesInTheMiddle(Callback):
    """Saves after the second step of the second epoch."""

    def __init__(self, arch: Architecture, path: Path) -> None:
        self.arch, self.path = arch, path

    def on_checkpoint(self, state) -> None:
        if (state.epoch, state.step) == (1, 2):
            self.arch.save_checkpoint(self.path)


def test_a_checkpoint_from_the_middle_of_an_epoch_is_exact(make_arch: Make, tmp_path: Path) -> None:
    whole = make_arch()
    whole.train(
        3,
        callbacks=[SavesInTheMiddle(whole, tmp_path / "middle.pt")],
        progress=False,
        checkpoint_steps=2,
    )
    again = make_arch()
    again.load_checkpoint(tmp_path / "middle.pt")
    assert (again.total_epochs, again.state.step) == (1, 2)
    again.train(2, progress=False)
    assert same_weights(again.model, whole.model)
    assert again.losses == whole.losses


@pytest.mark.parametrize("workers", [0, 2])
def test_random_transforms_go_on_exactly_too(
    make_arch: Make, digits, tmp_path: Path, workers: int
) -> None:
    """Noise drawn while images are read: in this process, or in worker processes."""

    class Noisy(Dataset):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            return digits[0][index] + torch.rand(1, 10, 10), digits[1][index]

    def make() -> Architecture:
        arch = make_arch()
        sampler = WeightedRandomSampler([1.0] * 40, 40, generator=torch.Generator())
        options = {"multiprocessing_context": "fork"} if workers else {}
        arch.set_loaders(
            DataLoader(Noisy(), batch_size=8, sampler=sampler, num_workers=workers, **options)
        )
        return arch

    whole = make()
    whole.train(
        3,
        callbacks=[SavesInTheMiddle(whole, tmp_path / "middle.pt")],
        progress=False,
        checkpoint_steps=2,
    )
    again = make()
    again.load_checkpoint(tmp_path / "middle.pt")
    again.train(2, progress=False)
    assert same_weights(again.model, whole.model)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_every_method_heeds_the_precision(make_arch: Make, digits, precision: str) -> None:
    arch = make_arch(precision=precision)
    seen = []
    arch.model.conv1.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    arch.train(1, progress=False)
    arch.predict(digits[0])
    arch.correct(*digits)
    arch.evaluate()
    arch.lr_range_test(arch.train_loader, 0.1, num_iter=3)
    assert set(seen) == {torch.bfloat16 if precision == "bf16-mixed" else torch.float64}


def test_what_cannot_be_done_is_told(make_arch: Make) -> None:
    model = SmallCNN()
    arch = Architecture(model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(UsageError, match="call set_loaders first"):
        arch.train(1)
    with pytest.raises(UsageError, match="no recipe to tell"):
        arch.train()
    with pytest.raises(UsageError, match="give a loader"):
        arch.evaluate()
    with pytest.raises(UsageError, match="no recipe to take data from"):
        arch.load_data()
    with pytest.raises(LayerError, match="call attach_hooks first"):
        arch.visualize_outputs(["conv1"])
    arch.attach_hooks(["conv1"])
    with pytest.raises(DataError, match="nothing has gone through layer 'conv1'"):
        arch.visualize_outputs(["conv1"])
    with pytest.raises(LayerError, match="unknown hooked layer 'fc'"):
        arch.visualize_outputs(["fc"])
    arch.remove_hooks()
    with pytest.raises(UsageError, match="at least 0"):
        make_arch().train(-1)


def test_labels_out_of_range_are_told(make_arch: Make, digits) -> None:
    arch = make_arch()
    images, labels = digits
    arch.set_loaders([(images, labels + 1)])
    with pytest.raises(
        DataError, match="labels go from 1 to 3, and the network has outputs for 0 to 2"
    ):
        arch.train(1, progress=False)
    with pytest.raises(DataError, match="labels go from 1 to 3"):
        arch.evaluate([(images, labels + 1)])


def test_a_loss_that_is_no_number_ends_training(make_arch: Make) -> None:
    arch = make_arch(lr=1e30)
    with pytest.raises(TrainingError, match=r"no longer a finite number in epoch 1, step \d"):
        arch.train(3, progress=False)


def test_set_seed_decides_the_stream_of_train(make_arch: Make) -> None:
    def losses(*, set_to: int | None = None, train_with: int | None = None) -> list[float]:
        arch = make_arch()
        if set_to is not None:
            arch.set_seed(set_to)
        arch.train(2, **({} if train_with is None else {"seed": train_with}), progress=False)
        return arch.losses

    assert losses() == losses(train_with=42)
    assert losses(set_to=7) == losses(train_with=7)
    assert losses(set_to=7) != losses()
