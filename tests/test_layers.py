"""The table of layers, in the order in which they run."""

import pytest
import torch
from torch import nn

from lenetscope.errors import DataError
from lenetscope.layers import resizing_layers, summarize
from lenetscope.models.lenet import LeNet


def test_layers_are_listed_as_they_run() -> None:
    model = LeNet().train()
    rows = summarize(model, (1, 28, 28))
    assert [row.name for row in rows] == [name for name, _ in model.named_children()]
    assert sum(row.parameters for row in rows) == 421_642
    assert (rows[0].kind, rows[0].shape, rows[0].parameters) == ("Conv2d", (32, 28, 28), 320)
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert resizing_layers(rows) == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2"]


def test_a_layer_that_runs_twice_has_two_rows_and_its_parameters_once() -> None:
    linear = nn.Linear(2, 2)
    rows = summarize(nn.Sequential(linear, nn.ReLU(), linear), (2,))
    assert [(row.name, row.parameters) for row in rows] == [("0", 6), ("1", 0), ("0", 0)]


def test_a_model_that_fails_is_as_before() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 1)).train()
    with pytest.raises(DataError, match=r"layer '1' \(Linear\) takes \(…, 3\), and was given \(1, 2\)"):
        summarize(model, (2,))
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.is_grad_enabled()
