"""From what a model puts out to classes and probabilities.

In: outputs of a model, the loss that it is trained with. Out: predicted classes, probabilities, or
None where there are no classes (a regression). Three shapes are understood: logits (N, K), one logit
a sample (N,) or (N, 1) with `BCEWithLogitsLoss`, and one probability a sample with `BCELoss`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, UsageError
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, eval_mode


def main_output(outputs: Any) -> Tensor | None:
    """Return the tensor to judge by: ``outputs`` itself, its ``logits``, or its first element.

    Networks with auxiliary classifiers, such as Inception, put out several in training mode; others
    put out a dictionary, of which ``"logits"`` is taken, or the only tensor that there is.
    """
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, dict):
        tensors = [value for value in outputs.values() if isinstance(value, Tensor)]
        only = tensors[0] if len(tensors) == 1 else None
        return outputs["logits"] if isinstance(outputs.get("logits"), Tensor) else only
    if isinstance(getattr(outputs, "logits", None), Tensor):
        return outputs.logits  # type: ignore[no-any-return]
    if isinstance(outputs, (tuple, list)) and outputs and isinstance(outputs[0], Tensor):
        return outputs[0]
    return None


def is_binary(loss_fn: Any) -> bool:
    """Tell whether the loss is for one output a sample that says how likely class 1 is."""
    return isinstance(loss_fn, (nn.BCEWithLogitsLoss, nn.BCELoss))


def predicted_classes(
    outputs: Any, labels: Any, loss_fn: Any, threshold: float = 0.5
) -> tuple[Tensor, Tensor, int] | None:
    """Compare outputs with labels, as classes.

    Args:
        outputs: of the model: logits (N, K), or (N,) or (N, 1) for a binary loss.
        labels: (N,) integers, or 0 and 1 of the outputs' shape for a binary loss.
        loss_fn: decides which of the two it is.
        threshold: of the probability above which a binary model says 1.

    Returns:
        Predicted classes (N,) int64, true classes (N,) int64 and K; or None if these outputs and
        labels are of no classification that is understood.
    """
    values = main_output(outputs)
    if values is None or not isinstance(labels, Tensor):
        return None
    if is_binary(loss_fn):
        if values.numel() != len(values) or labels.numel() != len(values):
            return None
        chance = values if isinstance(loss_fn, nn.BCELoss) else torch.sigmoid(values.float())
        return (chance.flatten() > threshold).long(), labels.flatten().long(), 2
    if values.ndim != 2 or labels.ndim != 1 or labels.is_floating_point():
        return None
    if values.shape[1] < 2:
        return None
    return values.argmax(dim=1), labels.long(), values.shape[1]


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


def label_error(outputs: Any, labels: Tensor, error: IndexError) -> Exception:
    """Say which label is out of range, if that is what a loss complains about.

    Returns:
        A `DataError`, or ``error`` itself if it has another cause.
    """
    values = main_output(outputs)
    if values is None or labels.is_floating_point() or values.ndim < 2:
        return error
    low, high, classes = int(labels.min()), int(labels.max()), values.shape[1]
    if low >= 0 and high < classes:
        return error
    return DataError(
        f"a label is out of range: labels go from {low} to {high}, and the network has outputs for "
        f"0 to {classes - 1}."
    )


def model_outputs(
    model: nn.Module, images: Tensor, batch_size: int = 250, *, track: Track = untracked
) -> Tensor:
    """Return what a model puts out for many images, in evaluation mode and without gradients.

    Args:
        model: of one input; its modes are as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        batch_size: how many go through at once.
        track: is handed the batches and shows how far one has come.

    Returns:
        (N, K) float32 on the CPU: logits, as a rule.

    Raises:
        UsageError: if the model puts out no tensor that one can judge by, see `main_output`.
    """
    device = device_of(model)
    parts = []
    with eval_mode(model), torch.no_grad():
        for batch in track(torch.split(images, batch_size)):
            outputs = main_output(model(batch.to(device)))
            if outputs is None:
                raise UsageError(
                    "the model puts out no tensor, nor anything with one called 'logits': there is "
                    "nothing to judge by."
                )
            parts.append(outputs.float().cpu())
    return torch.cat(parts)
