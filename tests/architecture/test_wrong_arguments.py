"""What is wrong is told in one line, when it can first be known, and nothing is changed."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, EarlyStopping
from lenetscope.errors import DataError, LayerError, LenetscopeError, UsageError

Make = Callable[..., Architecture]
IMAGES, LABELS = torch.rand(6, 1, 10, 10), torch.arange(6) % 3


class Unending(IterableDataset):
    """Samples without a length."""

    def __iter__(self) -> Any:
        return iter([(IMAGES, LABELS)])


def sgd(model: nn.Module) -> optim.Optimizer:
    return optim.SGD(model.parameters(), lr=0.1)


def mixed(model: nn.Module) -> optim.Optimizer:
    return optim.SGD([*model.parameters(), *SmallCNN().parameters()][:5], lr=0.1)


def built(**changes: Any) -> Architecture:
    """Build with one argument changed; the optimizer may be a function of the model."""
    model = changes.pop("model", None) or SmallCNN()
    optimizer = changes.pop("optimizer", sgd)
    given = {"model": model, "loss_fn": nn.CrossEntropyLoss()} | changes
    if callable(optimizer) and not isinstance(optimizer, type):
        optimizer = optimizer(model if isinstance(model, nn.Module) else SmallCNN())
    return Architecture(optimizer=optimizer, **given)


def assigned(name: str, value: Any) -> Callable[[Architecture], None]:
    return lambda arch: setattr(arch, name, value)


def trained_on(train: Any, valid: Any = None) -> Callable[[Architecture], None]:
    def call(arch: Architecture) -> None:
        loaders = arch.train_loader, arch.val_loader
        arch.set_loaders(train, valid)
        try:
            arch.train(1, progress=False)
        finally:
            arch.set_loaders(*loaders)

    return call


def with_new_head(arch: Architecture) -> None:
    arch.model.fc, head = copy.deepcopy(arch.model.fc), arch.model.fc
    try:
        arch.train(1, progress=False)
    finally:
        arch.model.fc = head


def frozen(arch: Architecture) -> None:
    arch.model.requires_grad_(False)
    try:
        arch.train(1, progress=False)
    finally:
        arch.model.requires_grad_(True)


def named(count: int) -> Callable[[Architecture], Architecture]:
    def call(arch: Architecture) -> Architecture:
        arch.classes = [f"class {k}" for k in range(count)]
        return arch

    return call


class Block(nn.Module):
    """A network with a layer inside a layer, that reshapes by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.view(-1, 4))


CONSTRUCTED: list[tuple[dict[str, Any], str]] = [
    ({"model": SmallCNN}, r"must be a torch.nn.Module, not the class SmallCNN. Make one: SmallCNN\(\)"),
    ({"model": "lenet"}, "must be a torch.nn.Module, not 'lenet'"),
    ({"model": nn.Identity(), "optimizer": None}, "no parameters: there is nothing to train"),
    ({"loss_fn": "mse"}, r"must be a function of \(outputs, labels\), such as nn.CrossEntropyLoss\(\)"),
    ({"loss_fn": nn.MSELoss}, r"such as nn.MSELoss\(\), not the class MSELoss"),
    ({"loss_fn": nn.TripletMarginLoss()}, r"takes \(anchor, positive, negative\): wrap it"),
    ({"loss_fn": lambda outputs: outputs.mean()}, r"takes \(outputs\): wrap it"),
    ({"optimizer": None}, "made for this model, such as SGD.*, not None"),
    ({"optimizer": "adam"}, "not 'adam'"),
    ({"optimizer": optim.Adam}, r"such as Adam\(model.parameters\(\), lr=0.01\), not the class Adam"),
    ({"optimizer": lambda _model: sgd(SmallCNN())}, "4 of the optimizer's 4 parameters are not this"),
    ({"optimizer": mixed}, "1 of the optimizer's 5 parameters are not this model's"),
    ({"classes": "abc"}, "must be a list of names, not 'abc'"),
    ({"classes": 3}, "must be a list of names, not 3"),
    ({"classes": []}, "at least two classes"),
    ({"classes": ["a", "b", "a"]}, "'a' is given twice"),
    ({"device": "gpu"}, "no device 'gpu'"),
    ({"device": None}, "no device 'None'"),
    ({"device": "cpu:1"}, "no device 'cpu:1'"),
    ({"precision": "8-bit"}, "no precision '8-bit'; usable: 'auto', '32-true'"),
    ({"threads": -1}, "threads must be a whole number of at least 0, not -1"),
    ({"threads": "2"}, "threads must be a whole number"),
]


@pytest.mark.parametrize(("changes", "words"), CONSTRUCTED)
def test_at_construction(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as told:
        built(**changes)
    assert "\n" not in str(told.value)


# (call, error, words); the call is given an Architecture, which is as before when it returns
CALLS: list[tuple[Callable[[Architecture], Any], type[LenetscopeError], str]] = [
    (assigned("model", SmallCNN), UsageError, "not the class SmallCNN"),
    (assigned("model", None), UsageError, "not None"),
    (assigned("optimizer", sgd(SmallCNN())), UsageError, "4 of the optimizer's 4 parameters"),
    (assigned("optimizer", optim.SGD), UsageError, "not the class SGD"),
    (lambda a: a.set_optimizer("sgd"), UsageError, "not 'sgd'"),
    (with_new_head, UsageError, "2 of the optimizer's 4 parameters are not this model's"),
    (frozen, UsageError, "frozen"),
    (assigned("loss_fn", nn.NLLLoss), UsageError, "not the class NLLLoss"),
    (assigned("classes", ["a", "a"]), UsageError, "'a' is given twice"),
    (assigned("device", "abacus"), UsageError, "no device 'abacus'"),
    (lambda a: a.to(None), UsageError, "no device 'None'"),
    (assigned("scheduler", "cosine"), UsageError, r"StepLR\(arch.optimizer, …\), not 'cosine'"),
    (assigned("scheduler", optim.lr_scheduler.StepLR), UsageError, "not the class StepLR"),
    (trained_on(TensorDataset(IMAGES, LABELS)), UsageError, "wrap it, as in DataLoader"),
    (trained_on([(IMAGES, LABELS)], TensorDataset(IMAGES, LABELS)), UsageError, "wrap it, as in"),
    (trained_on("images/"), UsageError, "a loader gives batches .* 'images/' does not"),
    (trained_on(IMAGES), UsageError, r"\(6, 1, 10, 10\) of float32 does not"),
    (trained_on(5), UsageError, "5 does not"),
    (trained_on(iter([(IMAGES, LABELS)])), UsageError, "used up after one epoch"),
    (trained_on([(IMAGES, LABELS)], iter([])), UsageError, "used up after one epoch"),
    (trained_on(DataLoader(Unending(), batch_size=None)), UsageError, "has no length"),
    (trained_on([]), DataError, "the loader has no batches"),
    (trained_on([(IMAGES, LABELS)], []), DataError, "the loader has no batches"),
    (trained_on(DataLoader(TensorDataset(IMAGES))), DataError, "gives a list of .1, 1, 10, 10."),
    (trained_on([(IMAGES, LABELS, LABELS)]), DataError, "must be two tensors"),
    (trained_on([(IMAGES.numpy(), LABELS.numpy())]), DataError, "must be two tensors"),
    (trained_on([{"x": IMAGES}]), DataError, "gives a dict of 1"),
    (trained_on([(IMAGES[:0], LABELS[:0])]), DataError, "at least one sample"),
    (trained_on([(IMAGES, LABELS[:4])]), DataError, r"outputs \(6, 3\) .* labels \(4,\) of int64"),
    (trained_on([(IMAGES, LABELS.float())]), DataError, r"labels \(6,\) of float32"),
    (trained_on([(IMAGES, LABELS + 1)]), DataError, "labels go from 1 to 3"),
    (trained_on([(IMAGES.byte(), LABELS)]), DataError, "takes float32, .* uint8"),
    (trained_on([(IMAGES.repeat(1, 3, 1, 1), LABELS)]), DataError, r"takes \(N, 1, H, W\)"),
    (lambda a: a.train("3"), UsageError, "n_epochs must be a whole number of at least 0, not '3'"),
    (lambda a: a.train(1.5), UsageError, "not 1.5"),
    (lambda a: a.train(True), UsageError, "not True"),
    (lambda a: a.train(1, seed=-1), UsageError, "seed must be a whole number from 0 to 4294967295"),
    (lambda a: a.train(1, seed=2**32), UsageError, "from 0 to 4294967295"),
    (lambda a: a.train(1, seed=None), UsageError, "not None"),
    (lambda a: a.train(1, callbacks=EarlyStopping(3)), UsageError, "list of Callback"),
    (lambda a: a.train(1, callbacks=[EarlyStopping]), UsageError, "list of Callback"),
    (lambda a: a.train(1, checkpoint_steps=-1), UsageError, "checkpoint_steps must be a whole"),
    (lambda a: a.train(1, stop=True), UsageError, "stop must be a function of no arguments"),
    (lambda a: a.set_seed(-1), UsageError, "seed must be a whole number"),
    (lambda a: a.set_seed("42"), UsageError, "seed must be a whole number"),
    (lambda a: a.set_clip_grad_value(-1), UsageError, "clip_value must be a number above 0, not -1"),
    (lambda a: a.set_clip_grad_norm("1"), UsageError, "max_norm must be a number above 0"),
    (lambda a: a.set_clip_grad_norm(1, norm_type=None), UsageError, "norm_type must be a number"),
    (lambda a: a.set_clip_backprop(float("nan")), UsageError, "above 0, not nan"),
    (lambda a: named(2)(a).train(1, progress=False), UsageError, "2 names, and .* 3 classes"),
    (lambda a: named(4)(a).evaluate(), UsageError, "4 names, and the model tells 3 classes"),
    (lambda a: named(4)(a).confusion_matrix(), UsageError, "one name for each"),
    (lambda a: named(2)(a).plot_confusion(), UsageError, "one name for each"),
    (lambda a: a.evaluate("test.npz"), UsageError, "'test.npz' does not"),
    (lambda a: a.evaluate(TensorDataset(IMAGES, LABELS)), UsageError, "wrap it"),
    (lambda a: a.predict("x.png"), UsageError, "'x.png' is a path. lenetscope.read"),
    (lambda a: a.predict(Path("x.png")), UsageError, "'x.png' is a path"),
    (lambda a: a.predict(["x.png", "y.png"]), DataError, "not a list of 2"),
    (lambda a: a.predict(np.array(["7"])), DataError, r"not \(1,\) of <U1"),
    (lambda a: a.predict(None), DataError, "not None"),
    (lambda a: a.predict(np.zeros((0, 1, 10, 10))), DataError, "one sample or more"),
    (lambda a: a.predict(0.5), DataError, r"not \(\) of float32"),
    (lambda a: a.predict(IMAGES * 1j), DataError, "real numbers"),
    (lambda a: a.predict(IMAGES.byte()), UsageError, "not of a recipe: preprocess"),
    (lambda a: a.predict(IMAGES[:, :, :9]), DataError, r"'fc' \(Linear\) takes \(…, 100\)"),
    (lambda a: a.predict(IMAGES[0, 0]), DataError, r"'conv1' \(Conv2d\) takes \(N, 1, H, W\)"),
    (lambda a: a.predict_proba(torch.zeros(2, 3, 10, 10)), DataError, r"was given \(2, 3, 10, 10\)"),
    (lambda a: a.correct("x.png", LABELS), UsageError, "is a path"),
    (lambda a: a.correct(IMAGES, "labels"), DataError, "labels must be an array of numbers"),
    (lambda a: a.correct(IMAGES, LABELS[:5]), DataError, "one for each of the 6 inputs, not 5"),
    (lambda a: a.correct(IMAGES, LABELS, None), UsageError, "threshold must be a number, not None"),
    (lambda a: a.load_checkpoint("/"), LenetscopeError, "Is a directory"),
    (lambda a: a.load_checkpoint(3), UsageError, "a path must be text"),
    (lambda a: a.save_checkpoint(None), UsageError, "a path must be text"),
    (lambda a: a.attach_hooks(5), UsageError, "layers must be a name or a list"),
    (lambda a: a.attach_hooks("conv1", "print"), UsageError, "hook_fn must be a function of"),
    (lambda a: a.attach_hooks("conv1", max_bytes="1 GB"), UsageError, "max_bytes must be a number"),
    (lambda a: a.capture_gradients(["fc9"]), LayerError, "did you mean 'fc'"),
    (lambda a: a.capture_parameters(None, max_bytes=-1), UsageError, "max_bytes must be a number"),
    (lambda a: a.visualize_outputs("conv1"), LayerError, "Call attach_hooks first"),
    (lambda a: a.visualize_outputs(3), UsageError, "layers must be a name or a list"),
    (lambda a: a.visualize_outputs("conv1", n_images=0), UsageError, "n_images must be a whole"),
    (lambda a: a.lr_range_test("x", 0.1), UsageError, "'x' does not"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], 0), UsageError, "end_lr must be a number above 0"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], "1"), UsageError, "end_lr must be a number above 0"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], 1, 1), UsageError, "num_iter must be a whole"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], 1, 9.5), UsageError, "num_iter must be a whole"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], 1, alpha=0), UsageError, "alpha must be a number"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], 1, step_mode="log"), UsageError, "'exp' or"),
    (lambda a: a.lr_range_test([(IMAGES, LABELS)], 1, ax="left"), UsageError, "ax must be axes"),
    (lambda a: a.visualize_outputs("conv1", y="012"), UsageError, "must be lists of labels"),
    (lambda a: a.loader_apply(TensorDataset(IMAGES, LABELS), len), UsageError, "wrap it"),
    (lambda a: a.loader_apply([(IMAGES, LABELS)], "sum"), UsageError, "func must be a function"),
    (lambda a: a.loader_apply([(IMAGES, LABELS)], lambda x, y: 1), UsageError, "must return a tensor"),
    (lambda a: a.loader_apply([(IMAGES, LABELS)], len, reduce=["sum"]), UsageError, "reduce must be"),
    (lambda a: a.make_normalizer([(LABELS, LABELS)]), DataError, r"images must be \(N, C, H, W\), not"),
    (lambda a: a.statistics_per_channel("x"), DataError, "images must be an array of numbers"),
    (lambda a: a.make_normalizer([IMAGES]), DataError, "must be two tensors"),
    (lambda a: a.evaluate().most_confused(0), UsageError, "count must be a whole number"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_at_each_call(make_arch: Make, number: int) -> None:
    call, kind, words = CALLS[number]
    arch = make_arch()
    arch.scheduler = optim.lr_scheduler.StepLR(arch.optimizer, 1)
    kept = {
        name: getattr(arch, name) for name in ("model", "optimizer", "scheduler", "loss_fn", "device")
    }
    weights, moments = (
        copy.deepcopy(arch.model.state_dict()),
        copy.deepcopy(arch.optimizer.state_dict()),
    )
    streams = torch.get_rng_state(), np.random.get_state()[1].tolist()
    with pytest.raises(kind, match=words) as told:
        call(arch)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 320
    assert {name: getattr(arch, name) for name in kept} == kept
    assert all(torch.equal(value, weights[name]) for name, value in arch.model.state_dict().items())
    assert arch.optimizer.state_dict() == moments
    assert (arch.total_epochs, arch.history, arch.state.step, arch.state.rng) == (0, [], 0, None)
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert np.random.get_state()[1].tolist() == streams[1]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in arch.model.modules())
    assert not any(p._backward_hooks for p in arch.model.parameters())


def test_a_training_after_a_mistake_is_the_one_without_it(make_arch: Make) -> None:
    arch, other = make_arch(), make_arch()
    for wrong in ([(IMAGES, LABELS + 1)], [(IMAGES[:, :, :9], LABELS)], [IMAGES]):
        with pytest.raises(DataError):
            trained_on(wrong)(arch)
    for each in (arch, other):
        each.train(1, progress=False)
    assert same_weights(arch.model, other.model)


def test_what_is_unusual_and_right_stays_possible(make_arch: Make) -> None:
    model = SmallCNN()
    model.conv1.requires_grad_(False)
    subset = Architecture(model, nn.CrossEntropyLoss(), sgd(model.fc), device=torch.device("cpu"))
    before = model.conv1.weight.clone()
    subset.set_loaders([(IMAGES, LABELS)], DataLoader(Unending(), batch_size=None))
    subset.train(np.int64(2), progress=False)
    assert torch.equal(model.conv1.weight, before)

    class Learned(nn.Module):
        """A loss that learns its scale."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return nn.functional.cross_entropy(self.scale * outputs, labels)

    loss, model = Learned(), SmallCNN()
    optimizer = optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1)
    learning = Architecture(model, loss, optimizer, device="cpu", classes=np.array(["a", "b", "c"]))
    learning.lr_range_test([(IMAGES, LABELS)], 1.0, num_iter=3)
    learning.set_loaders([(IMAGES, LABELS)])
    learning.train(1, progress=False)
    assert loss.scale != 1
    assert learning.evaluate([(IMAGES, LABELS)]).classes == ("a", "b", "c")

    flipped = IMAGES.numpy()[:, :, ::-1]  # memory in another order
    assert np.array_equal(learning.predict(flipped), learning.predict(flipped.copy()))
    assert np.array_equal(learning.predict(IMAGES.numpy().astype(">f4")), learning.predict(IMAGES))


def test_a_layer_is_named_where_torch_complains_inside_it() -> None:
    model = Block()
    arch = Architecture(model, nn.CrossEntropyLoss(), sgd(model), device="cpu")
    with pytest.raises(
        DataError, match=r"cannot take \(3, 3\) of float32: shape '\[-1, 4\]' is invalid"
    ):
        arch.predict(torch.rand(3, 3))
    arch.set_loaders([(torch.rand(1, 4), LABELS[:1])])
    with pytest.raises(DataError, match=r"'body.0' \(BatchNorm1d\) was given .* drop_last=True"):
        arch.train(1, progress=False)
    embedding = nn.Sequential(nn.Embedding(5, 3))
    arch = Architecture(embedding, nn.MSELoss(), sgd(embedding), device="cpu")
    with pytest.raises(
        DataError, match=r"layer '0' \(Embedding\) was given \(2,\) of int64; index out of"
    ):
        arch.evaluate([(torch.tensor([1, 9]), torch.zeros(2, 3))])


@pytest.mark.parametrize("raised", [RuntimeError, ValueError, TypeError, IndexError])
def test_what_the_users_own_code_raises_is_not_reworded(
    make_arch: Make, raised: type[Exception]
) -> None:
    def fail(*_given: object) -> None:
        raise raised("of my own")

    arch = make_arch()
    handle = arch.model.relu1.register_forward_hook(fail)
    with pytest.raises(raised, match="^of my own$"):
        arch.predict(IMAGES)
    handle.remove()
    arch.model.forward = fail
    with pytest.raises(raised, match="^of my own$"):
        arch.predict(IMAGES)
    arch = make_arch()
    arch.loss_fn = lambda outputs, labels: fail()
    with pytest.raises(raised, match="^of my own$"):
        arch.train(1, progress=False)


def test_losses_that_give_no_single_number_and_models_that_give_nothing(make_arch: Make) -> None:
    arch = make_arch()
    arch.loss_fn = nn.CrossEntropyLoss(reduction="none")
    for call in (
        arch.evaluate,
        lambda: arch.train(1),
        lambda: arch.lr_range_test(arch.train_loader, 1),
    ):
        with pytest.raises(UsageError, match=r"not \(\d+,\) of float32: make it with reduction='mean'"):
            call()
    arch.model.forward = lambda x: None
    with pytest.raises(UsageError, match="the model returns None"):
        arch.train(1, progress=False)
