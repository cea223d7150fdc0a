"""From a model's outputs to logits, classes and probabilities, and the labels they are compared with.

Three shapes of outputs are understood: logits (N, K), one logit per sample (N,) or (N, 1) with
`BCEWithLogitsLoss`, and one probability per sample with `BCELoss`. Anything else is a regression.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.arguments import as_tensor, main_output, shown
from lenetscope.errors import DataError, UsageError
from lenetscope.failures import complaint, explained
from lenetscope.observe import BATCH_SIZE, batches
from lenetscope.progress import Progress, no_progress
from lenetscope.restore import restored

Array = npt.NDArray[Any]
Values = Tensor | Array
Target = int | Tensor | None
"""A class that is asked about: see `chosen_classes`."""


ELEMENTWISE = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)
"""Losses for which other shapes are no error to torch: it repeats what is smaller, and warns."""


def is_binary(loss_fn: Any) -> bool:
    """Tell whether the loss is for one output per sample, the likelihood of class 1."""
    return isinstance(loss_fn, (nn.BCEWithLogitsLoss, nn.BCELoss))


def predicted_classes(
    outputs: Any, labels: Any, loss_fn: Any, threshold: float = 0.5
) -> tuple[Tensor, Tensor, int] | None:
    """Compare outputs with labels, as classes.

    Args:
        outputs: of the model: logits (N, K), or (N,) or (N, 1) for a binary loss.
        labels: (N,) integers, or 0 and 1 of the outputs' shape for a binary loss.
        loss_fn: decides which of the two it is.
        threshold: probability above which a binary model predicts class 1.

    Returns:
        Predicted classes (N,) int64, true classes (N,) int64 and K; None if these are not outputs and
        labels of a classification.
    """
    values = main_output(outputs)
    if values is None or not isinstance(labels, Tensor):
        return None
    if is_binary(loss_fn):
        if values.numel() != len(values) or labels.numel() != len(values):
            return None
        one = values if isinstance(loss_fn, nn.BCELoss) else torch.sigmoid(values.float())
        return (one.flatten() > threshold).long(), labels.flatten().long(), 2
    if values.ndim != 2 or values.shape[1] < 2 or labels.ndim != 1 or labels.is_floating_point():
        return None
    return values.argmax(dim=1), labels.long(), values.shape[1]


def correct_per_class(
    outputs: Any, labels: Tensor, loss_fn: Any, threshold: float = 0.5
) -> Tensor | None:
    """Return (K, 2), per class the correct predictions and the samples; None as `predicted_classes`.

    Raises:
        DataError: if there are not as many labels as outputs.
    """
    compared = predicted_classes(outputs, labels, loss_fn, threshold)
    if compared is None:
        return None
    predicted, true, classes = compared
    if len(predicted) != len(true):
        raise DataError(f"labels must be one for each of the {len(predicted)} inputs, not {len(true)}.")
    return torch.tensor(
        [(int((predicted[true == k] == k).sum()), int((true == k).sum())) for k in range(classes)]
    )


def probabilities(outputs: Any, loss_fn: Any) -> Tensor | None:
    """Return the probability of each class, (N, K) float32, or None for a regression."""
    values = main_output(outputs)
    if values is None:
        return None
    if is_binary(loss_fn):
        one = values.float() if isinstance(loss_fn, nn.BCELoss) else torch.sigmoid(values.float())
        return torch.stack([1 - one.flatten(), one.flatten()], dim=1)  # (N, 2)
    if values.ndim != 2 or values.shape[1] < 2:
        return None
    if isinstance(loss_fn, nn.NLLLoss):
        return values.float().exp()
    return values.float().softmax(dim=1)


def loss_of(loss_fn: Callable[..., Tensor], outputs: Any, labels: Tensor) -> Tensor:
    """Return the loss, a scalar.

    Raises:
        DataError: if the loss cannot take these outputs and labels, as where a label is out of range.
        UsageError: if there are no outputs, or the loss is not one number.
    """
    if outputs is None:
        raise UsageError("the model returns None: its forward must return the outputs.")
    if (
        isinstance(loss_fn, ELEMENTWISE)
        and isinstance(outputs, Tensor)
        and outputs.shape != labels.shape
    ):
        raise DataError(
            f"the loss compares outputs {shown(outputs)} with labels {shown(labels)} number by number: "
            "give the labels the shape of the outputs."
        )
    try:
        loss = loss_fn(outputs, labels)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if (words := complaint(error)) is None:
            raise
        values = main_output(outputs)
        if isinstance(error, IndexError) and values is not None and values.ndim > 1:
            require_labels(labels.flatten(), labels.numel(), values.shape[1])
        raise DataError(
            f"the loss cannot take outputs {shown(outputs)} with labels {shown(labels)}: {words}."
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise UsageError(
            f"the loss must be one number, the mean over the batch, not {shown(loss)}: make it with "
            "reduction='mean'."
        )
    return loss


def require_logits(outputs: Any) -> Tensor:
    """Return the logits (N, K) among a model's outputs.

    Raises:
        UsageError: if there are none, or of fewer than two classes.
    """
    logits = main_output(outputs)
    if logits is None or logits.ndim != 2 or logits.shape[1] < 2:
        what = "no tensor" if logits is None else f"a tensor {tuple(logits.shape)}"
        raise UsageError(
            f"the model returns {what}, not logits (N, K) of two classes or more. Wrap it in a module "
            "that does; for one logit z per sample, (0, z)."
        )
    return logits


def require_labels(labels: Any, count: int, classes: int | None = None) -> Tensor:
    """Return labels as (N,) int64 on the CPU.

    Args:
        labels: one per image.
        count: N.
        classes: K, if labels must be 0 to K - 1.

    Raises:
        DataError: if they are not N integers, or one is out of range.
    """
    given = as_tensor("labels", labels).detach().cpu()
    whole = not (given.is_floating_point() or given.dtype == torch.bool)
    if given.shape != (count,) or not whole or not count:
        raise DataError(f"labels must be integers ({count},), not {shown(given)}.")
    low, high = int(given.min()), int(given.max())
    if classes is not None and (low < 0 or high >= classes):
        raise DataError(f"labels go from {low} to {high}, which is out of range: 0 to {classes - 1}.")
    return given.long()


def chosen_classes(logits: Tensor, target: Target) -> Tensor:
    """Return the class that is asked about for each image, (N,) int64 on the CPU.

    Args:
        logits: (N, K).
        target: None for the predicted class, an int for all images, or (N,) integers.

    Raises:
        DataError: if there are not N integers from 0 to K - 1.
    """
    if target is None:
        return logits.argmax(dim=1).cpu()
    given = as_tensor("the target", target)
    given = given.expand(len(logits)) if given.ndim == 0 else given
    return require_labels(given, *logits.shape).clone()


def require_rows(what: str, given: Values, labels: Values) -> tuple[Array, Array]:
    """Return numbers (N, K) as float64 and labels (N,) as int64 arrays.

    Args:
        what: ``"logits"`` or ``"probabilities"``, for messages.
        given: (N, K) with N of at least 1 and K of at least 2.
        labels: (N,), from 0 to K - 1.

    Raises:
        DataError: if they are not as described, or not finite.
    """
    values = as_tensor(what, given).detach().cpu().double().numpy()
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        raise DataError(
            f"{what} must be (N, K) of at least one image and two classes, not {values.shape}. For a "
            "model of one output, evaluation.probabilities returns two columns."
        )
    true = require_labels(labels, *values.shape).numpy()
    if not np.isfinite(values).all():
        raise DataError(f"{what} must be finite: some are infinite or NaN.")
    return values, true


def require_probabilities(probabilities: Values, labels: Values) -> tuple[Array, Array]:
    """Return probabilities (N, K) as float64 and labels (N,) as int64 arrays.

    Raises:
        DataError: if these are not probabilities of at least two classes, or not labels for them.
    """
    values, true = require_rows("probabilities", probabilities, labels)
    sums = values.sum(axis=1)
    if values.min() < 0 or values.max() > 1 + 1e-6 or np.abs(sums - 1).max() > 0.01:
        raise DataError(
            f"these are not probabilities: they go from {values.min():.3g} to {values.max():.3g}, and "
            f"rows add up to {sums.min():.3g} to {sums.max():.3g}. For logits, give logits.softmax(1)."
        )
    return values, true


def model_outputs(
    model: nn.Module, images: Tensor, batch_size: int = BATCH_SIZE, *, progress: Progress = no_progress
) -> Tensor:
    """Return what a model returns for many images, in evaluation mode and without gradients.

    Args:
        model: of one input.
        images: (N, …), as the model takes them, on any device.
        batch_size: images per batch.
        progress: is handed the batches.

    Returns:
        (N, K) float32 on the CPU: logits, as a rule.

    Raises:
        DataError, UsageError: see `observe.require_images`; also if the model returns no tensor.
    """
    parts = []
    with restored(model), torch.no_grad():  # dropout written as a function may draw in any mode
        model.eval()
        for batch in batches(model, images, batch_size, progress):
            with explained(model):
                outputs = main_output(model(batch))
            if outputs is None:
                raise UsageError("the model returns no tensor: there is nothing to evaluate.")
            parts.append(outputs.float().cpu())
    return torch.cat(parts)
