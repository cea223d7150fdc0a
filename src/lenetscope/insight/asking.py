"""What a question about classes needs of a model and of images, checked.

In: a model, images, a class or classes, a baseline. Out: logits, class numbers and baselines in the
shapes that questions compute with, or an error that says what does not fit.
"""

import inspect

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, UsageError, listed
from lenetscope.evaluation.predictions import main_output, model_outputs
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import untouched

Baseline = str | float | Tensor
Target = int | Tensor | None


def logits_of(
    model: nn.Module, images: Tensor, batch_size: int = 250, *, track: Track = untracked
) -> Tensor:
    """Return logits (N, K), or say why there are none; the arguments are those of `attribute`."""
    check_one_input(model)
    check_images(images)
    if batch_size < 1:
        raise UsageError(f"a batch of {batch_size} images cannot be; choose 1 or more.")
    with untouched(model):  # dropout written as a function may draw in any mode
        return as_logits(model_outputs(model, images, batch_size, track=track))


def as_logits(outputs: object) -> Tensor:
    """Return the logits (N, K) among what a model puts out, or refuse with a `UsageError`."""
    found = main_output(outputs)
    if found is None or found.ndim != 2 or found.shape[1] < 2:
        what = "no tensor" if found is None else f"a tensor {tuple(found.shape)}"
        raise UsageError(
            f"the model puts out {what}, and not logits (N, K) of two classes or more: there is no "
            "class to ask about. Wrap it in a module that does; for one logit z a sample, (0, z)."
        )
    return found


def check_one_input(model: nn.Module) -> None:
    """Refuse a model whose ``forward`` needs more than images.

    Raises:
        UsageError: if it does.
    """
    empty, kinds = inspect.Parameter.empty, inspect.Parameter
    needed = [
        p.name
        for p in inspect.signature(model.forward).parameters.values()
        if p.default is empty and p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise UsageError(
            f"the model needs {len(needed)} inputs, {' and '.join(map(repr, needed))}, and only images "
            "can be given; wrap it in a module of one input that holds the others fixed."
        )


def check_images(images: Tensor) -> None:
    """Refuse what is no batch of preprocessed images.

    Raises:
        DataError: if ``images`` are not floats (N, C, H, W) with N ≥ 1, all of them finite.
    """
    if images.ndim != 4 or not len(images) or not images.is_floating_point():
        raise DataError(
            f"images of shape {tuple(images.shape)} and type {images.dtype} cannot be asked about; "
            "give at least one, as floats (N, C, H, W), preprocessed as the model takes them."
        )
    if not bool(images.isfinite().all()):
        raise DataError("some pixels are infinite or no number; mend the images first.")


def chosen_classes(logits: Tensor, target: Target) -> Tensor:
    """Return the class asked about for each image, (N,) int64 on the CPU, see `attribute`."""
    count, classes = logits.shape
    if target is None:
        return logits.argmax(1).cpu()
    given = torch.as_tensor(target).detach().cpu()
    if given.is_floating_point() or given.dtype == torch.bool or given.shape not in ((), (count,)):
        raise DataError(
            f"a target of shape {tuple(given.shape)} and type {given.dtype} is none: give None, one "
            f"integer for all, or integers ({count},), one an image."
        )
    if int(given.min()) < 0 or int(given.max()) >= classes:
        raise DataError(
            f"targets go from {int(given.min())} to {int(given.max())}, and the network has outputs "
            f"for 0 to {classes - 1}."
        )
    return given.long().expand(count).clone()


def baseline_of(images: Tensor, baseline: Baseline = "background") -> Tensor:
    """Return what "nothing there" looks like, expanded to (N, C, H, W), see `attribute`."""
    if isinstance(baseline, str):
        if baseline != "background":
            raise UsageError(
                f"'{baseline}' is no baseline; give {listed(['background'])}, a number or a tensor."
            )
        lowest = images.detach().amin((0, 2, 3))  # (C,)
        return lowest[:, None, None].expand(images.shape)
    given = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).detach()
    try:
        return given.expand(images.shape)
    except RuntimeError:
        raise DataError(
            f"a baseline {tuple(given.shape)} does not fit images {tuple(images.shape)}; give a "
            "number, (C, 1, 1) or (C, H, W)."
        ) from None
