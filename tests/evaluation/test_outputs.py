"""What counts as logits, probabilities and labels, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation import predicted_classes, probabilities
from lenetscope.evaluation.outputs import (
    loss_of,
    main_output,
    model_outputs,
    require_labels,
    require_logits,
    require_probabilities,
    require_rows,
)


def test_classes_and_probabilities_of_the_shapes_that_are_understood() -> None:
    logits, labels = torch.tensor([[1.0, 3.0], [2.0, -1.0]]), torch.tensor([1, 1])
    predicted, true, classes = predicted_classes(logits, labels, nn.CrossEntropyLoss())
    assert (predicted.tolist(), true.tolist(), classes) == ([1, 0], [1, 1], 2)
    assert torch.allclose(probabilities(logits, nn.CrossEntropyLoss()), logits.softmax(1))
    logs = logits.log_softmax(1)
    assert torch.allclose(probabilities(logs, nn.NLLLoss()), logits.softmax(1))

    for shape in ((2,), (2, 1)):
        logit, target = torch.tensor([0.5, -0.5]).reshape(shape), torch.ones(shape)
        binary = nn.BCEWithLogitsLoss()
        assert predicted_classes(logit, target, binary)[0].tolist() == [1, 0]
        assert predicted_classes(logit, target, binary, threshold=0.7)[0].tolist() == [0, 0]
        assert torch.allclose(probabilities(logit, binary)[:, 1], torch.sigmoid(logit).flatten())
        chance = torch.sigmoid(logit)
        assert predicted_classes(chance, target, nn.BCELoss())[0].tolist() == [1, 0]
        assert torch.allclose(probabilities(chance, nn.BCELoss())[:, 1], chance.flatten())

    for outputs, targets in (
        (torch.zeros(2, 3), torch.zeros(2, 3)),
        (torch.zeros(2, 3, 4), torch.zeros(2, 4).long()),
        (torch.zeros(2, 1), torch.zeros(2).long()),
        ({"a": 1}, torch.zeros(2).long()),
    ):
        assert predicted_classes(outputs, targets, nn.CrossEntropyLoss()) is None
    assert probabilities(torch.zeros(2, 1), nn.MSELoss()) is None
    assert predicted_classes(torch.zeros(2, 2), torch.zeros(2, 2), nn.BCEWithLogitsLoss()) is None


class Wrapped(nn.Module):
    """Returns the outputs of a model in another form."""

    def __init__(self, form: object) -> None:
        super().__init__()
        self.inner, self.form = SmallCNN(), form

    def forward(self, x: Tensor) -> object:
        return self.form(self.inner(x))


class WithLogits:
    """As the outputs of Hugging Face models."""

    logits = torch.ones(2, 3)


def test_the_main_output_of_several_forms() -> None:
    tensor, other = torch.ones(2, 3), torch.zeros(2)
    for outputs in (tensor, {"logits": tensor, "features": other}, {"x": tensor}, (tensor, other)):
        assert main_output(outputs) is tensor
    assert main_output(WithLogits()) is WithLogits.logits
    for outputs in (None, {"a": tensor, "b": other}, [], ("text", tensor)):
        assert main_output(outputs) is None


def test_outputs_of_many_images(digits: tuple[Tensor, Tensor]) -> None:
    model, images = Wrapped(lambda logits: {"logits": logits}).double(), digits[0].double()
    found = model_outputs(model, images, 7)
    assert model.training
    assert found.dtype == torch.float32
    assert torch.allclose(found, model.eval()(images)["logits"].float())
    with pytest.raises(UsageError, match="nothing to evaluate"):
        model_outputs(Wrapped(lambda _logits: "text"), digits[0])


def test_the_model_is_restored(untouched_by: object) -> None:
    untouched_by(lambda model, images, _labels: model_outputs(model, images))


def test_labels_that_a_loss_complains_about_are_named() -> None:
    ce, outputs = nn.CrossEntropyLoss(), torch.zeros(2, 3)
    assert loss_of(ce, outputs, torch.tensor([0, 2])).item() == pytest.approx(math.log(3))
    with pytest.raises(DataError, match="labels go from 0 to 5, which is out of range: 0 to 2"):
        loss_of(ce, outputs, torch.tensor([0, 5]))
    with pytest.raises(DataError, match="out of range"):
        loss_of(ce, torch.zeros(2, 3, 4), torch.full((2, 4), -1))

    def broken(_outputs: object, _labels: object) -> torch.Tensor:
        raise IndexError("of another cause")

    with pytest.raises(IndexError, match="of another cause"):  # the loss's own words
        loss_of(broken, outputs, torch.tensor([0, 5]))


def test_what_is_not_logits_or_labels_is_refused() -> None:
    assert require_logits({"logits": torch.zeros(2, 3)}).shape == (2, 3)
    for outputs, message in (
        (torch.zeros(2, 1), r"a tensor \(2, 1\), not logits \(N, K\)"),
        (torch.zeros(2), r"a tensor \(2,\)"),
        ("text", "returns no tensor"),
    ):
        with pytest.raises(UsageError, match=message):
            require_logits(outputs)
    labels = require_labels(np.array([0, 2], dtype=np.uint8), 2, 3)
    assert (labels.dtype, labels.tolist()) == (torch.int64, [0, 2])
    for given, message in (
        ([0], r"integers \(2,\), not \(1,\) of int64"),
        ([0.0, 1.0], r"not \(2,\) of float32"),
        ([0, 3], "labels go from 0 to 3, which is out of range: 0 to 2"),
        ([-1, 0], "out of range"),
    ):
        with pytest.raises(DataError, match=message):
            require_labels(torch.tensor(given), 2, 3)


def test_what_is_not_a_row_of_numbers_per_image_is_refused() -> None:
    values, labels = require_rows("logits", torch.tensor([[3.0, -1.0]]), [1])
    assert (values.tolist(), labels.tolist()) == ([[3, -1]], [1])
    for given, message in (
        (np.array([0.5, 0.5]), r"logits must be .* not \(2,\).*evaluation.probabilities"),
        (np.ones((2, 1)), r"two classes, not \(2, 1\)"),
        (np.ones((0, 2)), "at least one image"),
        (np.array([[np.nan, 1], [0.5, 0.5]]), "logits must be finite"),
    ):
        with pytest.raises(DataError, match=message):
            require_rows("logits", given, np.array([0, 1]))
    for given, message in (
        (
            np.array([[3.0, -1.0], [0.5, 0.5]]),
            r"not probabilities: they go from -1 to 3.*logits.softmax",
        ),
        (np.array([[0.9, 0.5], [0.5, 0.5]]), "rows add up to 1 to 1.4"),
    ):
        with pytest.raises(DataError, match=message):
            require_probabilities(given, np.array([0, 1]))
