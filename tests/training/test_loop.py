"""The loop: the order of its moments, the way into it, and what hooks see of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lenetscope
from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Callback, EarlyStopping
from lenetscope.errors import DataError, LenetscopeError, TrainingError, UsageError
from lenetscope.training.state import TrainState

Make = Callable[..., Architecture]


class Tells(Callback):
    """Records each moment, with the epoch and the step of the state."""

    def __init__(self) -> None:
        self.moments: list[tuple[Any, ...]] = []

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        self.moments.append(("begin", state.epoch, state.step, epochs, steps))

    def on_step_end(self, state: TrainState) -> None:
        self.moments.append(("step", state.epoch, state.step))

    def on_checkpoint(self, state: TrainState) -> None:
        assert state.rng is not None
        self.moments.append(("checkpoint", state.epoch, state.step))

    def on_epoch_end(self, state: TrainState) -> None:
        assert state.history[-1]["epoch"] == state.epoch
        self.moments.append(("epoch", state.epoch, state.step))

    def on_train_end(self, state: TrainState) -> None:
        self.moments.append(("end", state.epoch, state.step))


def test_the_moments_of_a_training_in_their_order(make_arch: Make) -> None:
    arch, tells = make_arch(), Tells()
    arch.train(1, callbacks=[tells], progress=False, checkpoint_steps=2)
    assert tells.moments == [
        ("begin", 0, 0, 1, 3),
        ("step", 0, 1),
        ("step", 0, 2),
        ("checkpoint", 0, 2),
        ("step", 0, 3),
        ("epoch", 1, 0),
        ("checkpoint", 1, 0),
        ("end", 1, 0),
    ]


def test_a_wish_to_stop_is_saved_and_the_training_continues_exactly(make_arch: Make) -> None:
    arch, whole, tells = make_arch(), make_arch(), Tells()
    arch.train(2, callbacks=[tells], progress=False, stop=lambda: len(tells.moments) == 3)
    assert tells.moments[-2:] == [("checkpoint", 0, 2), ("end", 0, 2)]
    arch.train(2, progress=False)
    whole.train(2, progress=False)
    assert same_weights(arch.model, whole.model)
    assert arch.losses == whole.losses


def test_an_interrupted_epoch_continues_where_it_stopped(make_arch: Make) -> None:
    class Quits(Tells):
        def on_step_end(self, state: TrainState) -> None:
            if (state.epoch, state.step) == (1, 2):
                raise KeyboardInterrupt

    broken, whole, quits = make_arch(), make_arch(), Quits()
    with pytest.raises(KeyboardInterrupt):
        broken.train(3, callbacks=[quits], progress=False)
    assert (broken.total_epochs, broken.state.step) == (1, 2)
    assert quits.moments[-1] == ("end", 1, 2)
    broken.train(2, progress=False)
    whole.train(3, progress=False)
    assert same_weights(broken.model, whole.model)
    assert broken.losses == whole.losses


def test_the_way_from_train_to_the_step_of_the_optimizer_is_short(make_arch: Make, monkeypatch) -> None:
    home, ways = str(Path(lenetscope.__file__).parent), []
    real = torch.optim.SGD.step

    def step(*given: Any, **named: Any) -> Any:
        frame, way = sys._getframe(), []
        while frame := frame.f_back:
            if frame.f_code.co_filename.startswith(home):
                way.append(frame.f_code.co_qualname)
        ways.append(way)
        return real(*given, **named)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    make_arch().train(1, progress=False)
    assert ways == [["fit", "Architecture.train"]] * 3


def test_early_stopping_waits_and_knows_the_best_epoch(make_arch: Make) -> None:
    arch = make_arch(lr=1e-12, dropout=0)
    stopping = EarlyStopping(patience=2, min_delta=0.1)
    arch.train(50, callbacks=[stopping], progress=False)
    assert arch.total_epochs == 3
    assert stopping.best_epoch == 1
    arch.set_loaders(arch.train_loader)
    with pytest.raises(UsageError, match="give a validation loader"):
        arch.train(1, callbacks=[EarlyStopping()], progress=False)
    for wrong in ({"monitor": "val_loss"}, {"patience": 0}):
        with pytest.raises(LenetscopeError, match=next(iter(wrong))):
            EarlyStopping(**wrong)


@pytest.mark.parametrize("how", ["by the user", "by a recipe's flag"])
@pytest.mark.filterwarnings("ignore")  # of the compiler's, about itself
def test_a_compiled_model_trains_uncompiled_while_it_is_observed(loaders, how: str) -> None:
    model, seen = SmallCNN(dropout=0), []
    given = torch.compile(model, backend="eager") if how == "by the user" else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    flag = how != "by the user"
    arch = Architecture(given, nn.CrossEntropyLoss(), optimizer, device="cpu", compile=flag)
    arch.set_loaders(*loaders)
    if not flag:
        arch.train(1, progress=False)  # compiles, so that compiled code is there to be run
    arch.attach_hooks(["conv1"])
    arch.capture_parameters("fc")
    arch.train(1, progress=False)
    assert arch.visualization["conv1"].shape == (40 + 10, 4, 10, 10)  # training and validation
    assert len(arch.parameters["fc"]["weight"]) == 3 + 2
    arch.attach_hooks(["conv1"], lambda layer, _inputs, outputs: seen.append(outputs.shape))
    arch.predict(torch.rand(2, 1, 10, 10))
    assert seen == [(2, 4, 10, 10)]
    arch.remove_hooks()
    if not flag:
        with torch.compiler.set_stance("fail_on_recompile"):
            arch.predict(torch.rand(10, 1, 10, 10))  # runs compiled again
    assert len(seen) == 1


class Gives(nn.Module):
    """Three numbers per sample, changed by a function."""

    def __init__(self, change: Callable[[torch.Tensor], Any] = lambda outputs: outputs) -> None:
        super().__init__()
        self.change, self.linear = change, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self.linear(x))


LABELS = torch.arange(17) % 3
PLAIN, COLUMN = nn.CrossEntropyLoss(), torch.rand(17, 1)
UNFIT: dict[str, tuple[nn.Module, Any, torch.Tensor, str]] = {
    "normalised one": (Gives(nn.BatchNorm1d(3)), PLAIN, LABELS, "drop_last=True.*another batch size"),
    "normalised 1x1": (
        Gives(lambda o: nn.InstanceNorm2d(3)(o[:, :, None, None])), PLAIN, LABELS, "maps are larger"),
    "none": (Gives(lambda o: None), PLAIN, LABELS, "the model returns None"),
    "two": (Gives(lambda o: (o, o)), PLAIN, LABELS, r"outputs a tuple of \(16, 3\)"),
    "half": (Gives(lambda o: o[::2]), PLAIN, LABELS, r"outputs \(8, 3\) .* labels \(16,\)"),
    "a loss per sample": (Gives(), nn.CrossEntropyLoss(reduction="none"), LABELS, "reduction='mean'"),
    "a plain number": (Gives(), lambda o, y: 3.0, LABELS, "must be one number.* not 3.0"),
    "float labels": (Gives(), PLAIN, LABELS.float(), r"labels\.long\(\)"),
    "int32 labels": (Gives(), PLAIN, LABELS.int(), r"labels\.long\(\)"),
    "a column of labels": (Gives(), PLAIN, LABELS[:, None], r"labels\.flatten\(\)"),
    "whole labels": (Gives(), nn.BCEWithLogitsLoss(), LABELS.expand(3, 17).T, r"labels\.float\(\)"),
    "repeated labels": (Gives(), nn.MSELoss(), COLUMN, "the shape of the outputs"),
    "repeated binary labels": (Gives(), nn.BCEWithLogitsLoss(), COLUMN, "the shape of the outputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_a_batch_that_does_not_fit_is_told_with_its_mend(name: str) -> None:
    model, loss, labels, told = UNFIT[name]
    arch = Architecture(model, loss, torch.optim.SGD(model.parameters(), lr=0.1), device="cpu")
    loader = DataLoader(TensorDataset(torch.rand(17, 4), labels), batch_size=16)
    arch.set_loaders(loader)
    ways = [lambda: arch.train(1, progress=False), lambda: arch.lr_range_test(loader, 1.0, 5)]
    if name != "normalised one":  # which evaluation does not do
        ways.append(lambda: arch.evaluate(loader))
    for way in ways:
        with pytest.raises((DataError, UsageError), match=told):
            way()


def test_what_cannot_be_trained_is_named(make_arch: Make, digits) -> None:
    images, labels = digits
    with pytest.raises(TrainingError, match=r"no longer a finite number in epoch 1, step \d"):
        make_arch(lr=1e30).train(3, progress=False)
    arch = make_arch()
    arch.set_loaders([(images, labels + 1)])
    with pytest.raises(DataError, match="labels go from 1 to 3"):
        arch.train(1, progress=False)
    with pytest.raises(DataError, match="labels go from 1 to 3"):
        arch.evaluate([(images, labels + 1)])
    arch.set_loaders([])
    with pytest.raises(DataError, match="no batches"):
        arch.train(1, progress=False)
    arch = make_arch()
    arch.model = SmallCNN()
    with pytest.raises(UsageError, match="4 of the optimizer's 4 parameters are not this model's"):
        arch.train(1, progress=False)
    with pytest.raises(UsageError, match="n_epochs must be a whole number of at least 0, not -1"):
        make_arch().train(-1)
