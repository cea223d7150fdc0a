"""Everything up to a layer, computed once, however often the rest runs.

In: a model, a layer, a batch. Out: a first pass, and further passes in which the layer puts out
something else. What had finished before the layer did cannot depend on it, whatever the model is made
of: in the further passes these modules hand out what they gave in the first. That holds for modules
that only compute; one that changes its input in place or keeps a memory may break it. So the first pass
is replayed unchanged, and unless it gives the same bits, the further passes run in full.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.evaluation.predictions import main_output
from lenetscope.insight.stream import Found, never_ran, values_of


class Replay:
    """One batch, and what each module gave for it until the layer had run.

    Args:
        model: in evaluation mode, under ``torch.no_grad()``, for as long as this is used.
        found: the layer and which of its calls.
        batch: (n, …), on the model's device.

    Attributes:
        outputs: of the model, unchanged.
        values: (n, …), what the layer put out.
        from_memory: whether passes begin at the layer; else they run in full.

    Raises:
        LayerError: if the call of the layer does not take place, or puts out no tensor.
    """

    def __init__(self, model: nn.Module, found: Found, batch: Tensor) -> None:
        self._model, self._found, self._batch = model, found, batch
        self._steps: list[tuple[nn.Module, Any]] = []
        self._made: list[Any] = []  # what the layer put out, once it has run
        with self._recording() as calls:
            self.outputs: Any = model(batch.clone())
        if not self._made:
            raise never_ran(found.key, calls[0])
        self.values: Tensor = values_of(found.name, self._made[0]).clone()
        # without the layer itself at the end, its output could not be handed out
        self.from_memory: bool = bool(self._steps) and self._steps[-1][0] is found.layer
        self.from_memory = self.from_memory and self._same(self.run(self.values.clone()))

    def run(self, values: Tensor) -> Any:
        """Return what the model puts out when the layer puts out these values.

        Args:
            values: like `values`; later layers may overwrite them.
        """
        outputs = _replaced(self._made[0], values)
        with self._from_memory(outputs) if self.from_memory else self._in_full(outputs):
            # a clone, because the first layer may work in place
            return self._model(self._batch.clone())

    def _same(self, outputs: Any) -> bool:
        first, second = main_output(self.outputs), main_output(outputs)
        return first is not None and second is not None and torch.equal(first, second)

    @contextmanager
    def _recording(self) -> Iterator[list[int]]:
        starts: list[int] = []
        calls = [0]

        def begin(_module: nn.Module, _inputs: Any) -> None:
            starts.append(len(self._steps))

        def end(module: nn.Module, _inputs: Any, outputs: Any) -> None:
            start = starts.pop()
            if not self._made and _copyable(outputs):
                # in place of the steps inside of it
                self._steps[start:] = [(module, _copied(outputs))]
            if module is self._found.layer:
                if calls[0] == self._found.call:
                    self._made.append(_copied(outputs))
                calls[0] += 1

        with ExitStack() as block:
            for module in self._model.modules():
                if module is not self._model:
                    block.callback(module.register_forward_pre_hook(begin).remove)
                    block.callback(module.register_forward_hook(end).remove)
            yield calls

    @contextmanager
    def _from_memory(self, outputs: Any) -> Iterator[None]:
        """Let the modules that were recorded hand out what they gave, in the order of then."""
        cursor = 0

        def stand_in(module: nn.Module, forward: Any) -> Any:
            def give(*args: Any, **named: Any) -> Any:
                nonlocal cursor
                if cursor == len(self._steps) or self._steps[cursor][0] is not module:
                    return forward(*args, **named)
                cursor += 1
                last = cursor == len(self._steps)
                return outputs if last else _copied(self._steps[cursor - 1][1])

            return give

        with ExitStack() as block:
            for module in dict.fromkeys(module for module, _ in self._steps):
                block.enter_context(_forward(module, stand_in(module, module.forward)))
            yield

    @contextmanager
    def _in_full(self, outputs: Any) -> Iterator[None]:
        calls = 0

        def replace(_layer: nn.Module, _inputs: Any, _outputs: Any) -> Any:
            nonlocal calls
            calls += 1
            return outputs if calls - 1 == self._found.call else None

        handle = self._found.layer.register_forward_hook(replace)
        try:
            yield
        finally:
            handle.remove()


@contextmanager
def _forward(module: nn.Module, function: Any) -> Iterator[None]:
    """Let a module do something else while the block runs."""
    own = vars(module).get("forward")
    module.forward = function
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


def _copyable(outputs: Any) -> bool:
    if isinstance(outputs, dict):
        return all(map(_copyable, outputs.values()))
    return isinstance(outputs, Tensor) or (
        type(outputs) in (tuple, list) and all(map(_copyable, outputs))
    )


def _copied(outputs: Any) -> Any:
    """Copy tensors, also inside of others: a later layer may work in place."""
    if isinstance(outputs, Tensor):
        return outputs.clone()
    if isinstance(outputs, dict):
        return {key: _copied(value) for key, value in outputs.items()}
    return type(outputs)(map(_copied, outputs)) if type(outputs) in (tuple, list) else outputs


def _replaced(made: Any, values: Tensor) -> Any:
    """Put values in the place of the tensor that `values_of` takes."""
    if isinstance(made, Tensor):
        return values
    return type(made)([values, *made[1:]])
