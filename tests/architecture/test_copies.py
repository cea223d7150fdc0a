"""An `Architecture` and its model are copied and saved, also with hooks on, and show themselves."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from conftest import same_weights
from lenetscope import Architecture, capture
from lenetscope.errors import UsageError
from lenetscope.observe import is_observed
from lenetscope.table import percent

Make = Callable[..., Architecture]
IMAGES = torch.rand(6, 1, 10, 10)

HOOKED: dict[str, Callable[[Architecture], Any]] = {
    "attach_hooks": lambda a: a.attach_hooks(["conv1", "relu1"]),
    "hook_fn": lambda a: a.attach_hooks("conv1", lambda layer, inputs, outputs: None),
    "capture_gradients": lambda a: a.capture_gradients(["conv1", "fc"]),
    "capture_parameters": lambda a: a.capture_parameters(["conv1", "fc"]),
    "set_clip_backprop": lambda a: a.set_clip_backprop(1.0),
}


@pytest.mark.parametrize("name", HOOKED)
def test_a_model_with_hooks_is_copied_and_saved(make_arch: Make, name: str) -> None:
    arch = make_arch()
    HOOKED[name](arch)
    arch.train(1, progress=False)
    saved = io.BytesIO()
    torch.save(arch.model, saved)
    saved.seek(0)
    copies = [
        torch.load(saved, weights_only=False),
        copy.deepcopy(arch.model),
        pickle.loads(pickle.dumps(arch.model)),
    ]
    seen = str(arch.handles)
    for each in copies:
        assert same_weights(each, arch.model)
        each(IMAGES).sum().backward()
    assert str(arch.handles) == seen  # a copy is not observed
    assert not any(is_observed(each) for each in copies)
    arch.train(1, progress=False)


@pytest.mark.parametrize("what", ["outputs", "inputs", "gradients"])
def test_a_model_is_copied_and_saved_while_it_is_captured(make_arch: Make, what: str) -> None:
    model = make_arch().model
    with capture(model, "conv1", what=what) as seen:
        model(IMAGES).sum().backward()
        for each in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            each(IMAGES)
    assert len(seen["conv1"]) == len(IMAGES)


def test_a_copied_architecture_clips_its_own_gradients(make_arch: Make) -> None:
    arch = make_arch()
    arch.set_clip_grad_norm(1e-6)
    for other in (copy.deepcopy(arch), pickle.loads(pickle.dumps(arch))):
        assert other.optimizer.param_groups[0]["params"][0] is other.model.conv1.weight
        before = other.model.conv1.weight.clone()
        other.train(1, progress=False)
        moved = (other.model.conv1.weight - before).abs().max()
        assert 0 < moved < 1e-6
        assert same_weights(arch.model, make_arch().model)


def test_it_shows_itself(make_arch: Make) -> None:
    arch = make_arch(classes=["cat", "<dog>", "cow"])
    arch.model.conv1.requires_grad_(False)
    assert repr(arch).splitlines() == [
        "Architecture",
        "model         SmallCNN, 343 parameters, 40 of them frozen",
        "loss          CrossEntropyLoss",
        "optimizer     SGD, lr 0.05",
        "scheduler     none",
        "device        cpu, 32-true",
        "classes       cat, <dog>, cow",
    ]
    arch.train(2, progress=False)
    row = arch.history[-1]
    html = arch._repr_html_()
    for text in (
        "Architecture",
        "epochs done",
        "2",
        "cat, &lt;dog&gt;, cow",
        f"loss {row['valid_loss']:.4f}, accuracy {percent(row['valid_accuracy'])}",
    ):
        assert f">{text}<" in html
    arch.capture_gradients("fc")
    arch.train(1, progress=False)
    assert "fc.weight        3 times (3, 100)" in repr(arch.handles["fc.gradients"])
    lazy = nn.Sequential(nn.LazyLinear(3))
    arch = Architecture(lazy, nn.CrossEntropyLoss(), torch.optim.SGD(lazy.parameters()), device="cpu")
    assert "Sequential, 0 parameters" in repr(arch)
    with pytest.raises(UsageError, match="lazy layers"):
        arch.count_parameters()
