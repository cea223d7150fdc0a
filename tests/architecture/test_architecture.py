"""`Architecture`: recipes, probabilities, scores, attributes to assign, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Recipe
from lenetscope.errors import DataError, LayerError, UsageError

Make = Callable[..., Architecture]


@pytest.fixture
def recipe(idx_folder: Path) -> Recipe:
    return Recipe.load("reference", data=idx_folder, epochs=2, batch_size=16, device="cpu")


def test_from_recipe_is_the_reference_to_the_letter() -> None:
    arch = Architecture.from_recipe("reference", device="cpu")
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
        arch = Architecture.from_recipe(recipe, **overrides)
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
    arch = Architecture.from_recipe(recipe)
    assert arch.splits is not None
    images = arch.splits.test.images[:5]
    as_floats = (images.float() / 255 - 0.5) / 0.5
    assert arch.predict(images.numpy()) == pytest.approx(arch.predict(as_floats), abs=1e-6)
    probabilities = arch.predict_proba(images)
    assert probabilities.shape == (5, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)
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
        with pytest.raises(DataError, match=r"layer 'fc' \(Linear\) takes \(…, 100\)"):
            call()
        assert arch.model.training
        assert not arch.model.dropout.training
        assert torch.equal(state, torch.get_rng_state())
        assert all(p.grad is None for p in arch.model.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in arch.model.modules())


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


def test_what_cannot_be_done_is_named(make_arch: Make) -> None:
    model = SmallCNN()
    arch = Architecture(model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(UsageError, match="call set_loaders first"):
        arch.train(1)
    with pytest.raises(UsageError, match="n_epochs must be a whole number"):
        arch.train()
    with pytest.raises(UsageError, match="a run folder is for a recipe"):
        arch.start_run()
    with pytest.raises(UsageError, match="give a loader"):
        arch.evaluate()
    with pytest.raises(UsageError, match="no recipe to take data from"):
        arch.load_data()
    with pytest.raises(LayerError, match="attach_hooks first"):
        arch.visualize_outputs(["conv1"])
    arch.attach_hooks(["conv1"])
    with pytest.raises(DataError, match="nothing has gone through layer 'conv1'"):
        arch.visualize_outputs(["conv1"])
    with pytest.raises(LayerError, match="unknown hooked layer 'fc'"):
        arch.visualize_outputs(["fc"])
    with pytest.raises(DataError, match="scores are for classification|nothing to evaluate"):
        make_arch().evaluate([])


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


def test_the_scores_of_a_batch_by_hand_and_labels_to_ignore() -> None:
    identity = nn.Sequential()
    identity.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    optimizer = torch.optim.SGD(identity.parameters())
    arch = Architecture(identity, nn.CrossEntropyLoss(), optimizer, device="cpu")
    logits = torch.eye(3)[[0, 1, 1, 2, 0]]
    assert arch.correct(logits, torch.tensor([0, 1, 2, 2, -100])).tolist() == [[1, 1], [1, 1], [1, 2]]
    arch.loss_fn = nn.BCEWithLogitsLoss()
    ones = torch.tensor([[-1.0], [0.1], [2.0]])
    assert arch.correct(ones, torch.tensor([[0.0], [1.0], [0.0]])).tolist() == [[1, 2], [1, 1]]
    assert arch.correct(ones, torch.ones(3, 1), threshold=0.9).tolist() == [[0, 0], [0, 3]]


def test_what_may_be_assigned(make_arch: Make, digits) -> None:
    arch = make_arch()
    schedule = torch.optim.lr_scheduler.OneCycleLR(arch.optimizer, 0.1, total_steps=9)
    arch.scheduler = schedule
    assert arch.scheduler is schedule
    assert arch.is_batch_lr_scheduler
    arch.optimizer = torch.optim.Adam(arch.model.parameters(), lr=0.01)
    assert arch.scheduler is None
    assert not arch.is_batch_lr_scheduler
    with pytest.raises(UsageError, match="another optimizer"):
        arch.scheduler = schedule
    arch.scheduler = torch.optim.lr_scheduler.StepLR(arch.optimizer, 1)
    arch.optimizer = arch.optimizer  # its own schedule stays
    arch.scheduler = arch.scheduler
    assert not arch.is_batch_lr_scheduler
    arch.train(1, progress=False)
    assert arch.learning_rates == [[pytest.approx(0.001)]]

    arch.loss_fn = nn.MultiMarginLoss()
    arch.train_loader, arch.val_loader = [digits], None
    arch.device = "cpu"
    assert arch.device == torch.device("cpu")
    arch.train(1, progress=False)
    assert arch.val_losses[-1] is None

    before = arch.model
    arch.model = SmallCNN(dropout=0)
    arch.set_optimizer(torch.optim.SGD(arch.model.parameters(), lr=0.1))
    arch.train(1, progress=False)
    assert arch.state.model is arch.model is not before
    assert arch.scheduler is None


def test_a_new_model_is_brought_to_device_and_precision(make_arch: Make) -> None:
    arch = make_arch(precision="64-true")
    arch.model = SmallCNN()
    assert next(arch.model.parameters()).dtype == torch.float64
    assert arch.predict(np.zeros((1, 1, 10, 10))).shape == (1, 3)


def test_the_epochs_of_a_recipe_and_a_subclass(
    recipe: Recipe, idx_folder: Path, tmp_path: Path
) -> None:
    class Mine(Architecture):
        """With a name of its own."""

    arch = Mine.from_recipe(recipe, model="mlp", schedule="cosine")
    assert type(arch) is Mine
    assert type(arch.scheduler) is torch.optim.lr_scheduler.CosineAnnealingLR
    arch.train(progress=False)
    assert arch.total_epochs == recipe.epochs
    path = tmp_path / "r.toml"
    recipe.save(path)
    assert Architecture.from_recipe(path, model="mlp").recipe.name == recipe.name
