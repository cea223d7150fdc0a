"""What every question of a model must hold to: nothing is left behind, whatever happens."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope import rng


class Failing(SmallCNN):
    """Raises in the middle of its n-th pass."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.passes = passes

    def forward(self, x: Tensor) -> Tensor:
        self.passes -= 1
        if not self.passes:
            self.relu1(self.conv1(x))
            raise RuntimeError("in the middle")
        return super().forward(x)


def traces(model: nn.Module) -> list[object]:
    """Return all that a question must not change, in a form that can be compared."""
    return [
        [(m.training, dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in model.modules()],
        ["forward" in vars(m) for m in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        [p.tolist() for p in model.state_dict().values()],
        str(rng.capture()),
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    ]


@pytest.fixture
def untouched_by() -> Callable[[Callable[[nn.Module, Tensor, Tensor], object]], None]:
    """Return a function that asks a question of models that answer, and that raise in between."""

    def ask(question: Callable[[nn.Module, Tensor, Tensor], object]) -> None:
        images, labels = torch.rand(6, 1, 10, 10), torch.tensor([0, 1, 2, 0, 1, 2])
        # 1,000: it does not come to that
        for passes in (1000, 1, 2):
            model = Failing(passes)
            model(images).sum().backward() if passes > 1 else None
            model.passes = passes
            model.dropout.eval()
            model.conv1.bias.requires_grad_(False)
            before = traces(model)
            kept = images.clone()
            if passes == 1000:
                question(model, images, labels)
            else:
                try:
                    question(model, images, labels)
                except RuntimeError as error:
                    assert str(error) == "in the middle"
                else:
                    assert passes == 2, "the model was never asked"
            assert traces(model) == before
            assert torch.equal(images, kept)

    return ask
