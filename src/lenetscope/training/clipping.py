"""Gradients bounded before each step, or as soon as they are computed: methods of `Architecture`."""

from functools import partial
from typing import TYPE_CHECKING, Any

from lenetscope.arguments import require_number
from lenetscope.observe import hook_gradients

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture


def set_clip_grad_value(self: "Architecture", clip_value: float) -> None:
    """Bound each element of each gradient to ±``clip_value`` before each step."""
    _clip(self, clip_val=require_number("clip_value", clip_value, above=0))


def set_clip_grad_norm(self: "Architecture", max_norm: float, norm_type: float = 2) -> None:
    """Bound the norm of all gradients together to ``max_norm`` before each step."""
    norm_type = require_number("norm_type", norm_type, above=0)
    max_norm = require_number("max_norm", max_norm, above=0)
    _clip(self, max_norm=max_norm, norm_type=norm_type, error_if_nonfinite=False)


def set_clip_backprop(self: "Architecture", clip_value: float) -> None:
    """Bound each gradient to ±``clip_value`` as soon as it is computed, by hooks."""
    bound = require_number("clip_value", clip_value, above=0)
    self._clip_handles += hook_gradients(self.model.parameters(), lambda g: g.clamp(-bound, bound))


def remove_clip(self: "Architecture") -> None:
    """Stop clipping, in all three ways."""
    self.clipping = None
    while self._clip_handles:
        self._clip_handles.pop().remove()


def _clip(self: "Architecture", **options: Any) -> None:
    self.clipping = partial(_clip_gradients, self, **options)  # a copy clips the gradients of its own


def _clip_gradients(arch: "Architecture", **options: Any) -> None:
    arch.fabric.clip_gradients(arch.model, arch.optimizer, **options)
