"""Looking into any model: hooks that record, and the pictures of what they saw.

In: a module, the names of its layers. Out: arrays and figures. `Architecture` is this and training.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from torch import nn

from lenetscope import insight, plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]


class Looking:
    """Filters, feature maps, gradients and parameters of a model.

    Args:
        model: any module.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._hooks: insight.Capture | insight.CustomHooks | None = None
        self._records: dict[str, insight.ParameterRecord] = {}
        self._custom: dict[str, Any] = {}

    def count_parameters(self) -> int:
        """Return how many numbers the model learns."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def visualize_filters(self, layer_name: str, **kwargs: Any) -> "Figure":
        """Draw the filters of a convolution.

        Args:
            layer_name: exact name of a `torch.nn.Conv2d`.
            kwargs: go to `matplotlib.figure.Figure`, such as ``figsize``.

        Raises:
            LayerError: if there is no such layer, or it has no filters.
        """
        return plots.filters(insight.filters_of(self.model, layer_name), layer_name, **kwargs)

    def visualize_outputs(
        self, layers: str | Sequence[str], n_images: int = 10, y: Any = None, yhat: Any = None
    ) -> "Figure":
        """Draw what hooked layers put out: a column an image, a row a layer.

        Args:
            layers: names that `attach_hooks` was given.
            n_images: at most so many columns.
            y: true labels of the images, for the titles.
            yhat: predicted labels, for the titles.

        Raises:
            LayerError: if a layer was not hooked.
            DataError: if no image has gone through the model since.
        """
        wanted = [layers] if isinstance(layers, str) else list(layers)
        seen = {name: insight.recorded(self.visualization, name)[:n_images] for name in wanted}
        return plots.outputs(seen, y, yhat)

    def attach_hooks(
        self,
        layers_to_hook: str | Sequence[str],
        hook_fn: Callable[..., Any] | None = None,
        *,
        max_bytes: int = insight.DEFAULT_BUDGET,
    ) -> None:
        """Record what layers put out at each forward pass, in place of layers hooked before.

        Args:
            layers_to_hook: names or patterns, see `insight.find_layers`.
            hook_fn: called in place of recording, with (layer, inputs, outputs).
            max_bytes: when the next values would go past it, recording stops with a warning.

        Raises:
            LayerError: if there is no such layer; hooks attached before are then still there.
        """
        if hook_fn is None:
            hooks: Any = insight.Capture(self.model, layers_to_hook, max_bytes=max_bytes)
        else:
            hooks = insight.CustomHooks(self.model, layers_to_hook, hook_fn)
        if self._hooks is not None:
            self._hooks.remove()
        self._hooks = hooks
        self._custom = dict.fromkeys(insight.find_layers(self.model, layers_to_hook))

    @property
    def visualization(self) -> dict[str, Any]:
        """What hooked layers put out, by name: arrays (N, …), None before the first forward pass."""
        if isinstance(self._hooks, insight.Capture):
            hooks = self._hooks
            return {n: hooks[n].numpy() if n in hooks else None for n in hooks.names}
        return self._custom

    def capture_gradients(
        self, layers_to_hook: str | Sequence[str], *, max_bytes: int = insight.DEFAULT_BUDGET
    ) -> None:
        """Record the gradients of layers' parameters at each backward pass, in `gradients`."""
        self._record("gradients", layers_to_hook, max_bytes)

    def capture_parameters(
        self, layers_to_hook: str | Sequence[str], *, max_bytes: int = insight.DEFAULT_BUDGET
    ) -> None:
        """Record the parameters of layers at each forward pass, in `parameters`."""
        self._record("parameters", layers_to_hook, max_bytes)

    def _record(self, what: str, layers: str | Sequence[str], max_bytes: int) -> None:
        record = insight.ParameterRecord(
            self.model, layers, gradients=what == "gradients", max_bytes=max_bytes
        )
        if what in self._records:
            self._records[what].remove()
        self._records[what] = record

    @property
    def gradients(self) -> dict[str, dict[str, list[Array]]]:
        """What `capture_gradients` recorded: ``[layer][parameter]``, a list of arrays."""
        return self._records["gradients"].values if "gradients" in self._records else {}

    @property
    def parameters(self) -> dict[str, dict[str, list[Array]]]:
        """What `capture_parameters` recorded: ``[layer][parameter]``, a list of arrays."""
        return self._records["parameters"].values if "parameters" in self._records else {}

    _gradients, _parameters = gradients, parameters  # their names in StepByStep

    def remove_hooks(self) -> None:
        """Take all hooks off the model; what they recorded stays."""
        for hooks in (self._hooks, *self._records.values()):
            if hooks is not None:
                hooks.remove()
