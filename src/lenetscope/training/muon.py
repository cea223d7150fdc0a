"""The optimizer Muon, for networks with convolutions.

The step of a hidden layer's weights is the nearest semi-orthogonal matrix to their momentum, so that no
direction dominates: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
It is scaled to the size of a step of Adam, so that all layers share one learning rate: J. Liu et al.,
"Muon is scalable for LLM training", arXiv:2502.16982, section 2.2. `torch.optim.Muon` takes matrices
only; here the weights of a convolution are one, with a row per output channel.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial whose iteration brings all singular values near 1 (Jordan et al.)."""

ITERATIONS = 5
"""How often it is applied: singular values are between 0.7 and 1.2 then."""

SIZE_OF_ADAM = 0.2
"""Root mean square of the entries of a step of Adam, divided by the learning rate (Liu et al.)."""


class Muon(Optimizer):
    """Muon for hidden layers; AdamW for the first and the last layer, biases and normalisation.

    Args:
        params: of a network, in the order of its layers.
        lr: learning rate of both.
        momentum: of both.
        beta2: decay of AdamW's mean of squared gradients.
        weight_decay: decoupled, of both.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        momentum: float = 0.95,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        every = list(params)
        hidden = [p for p in every if p.ndim > 1][1:-1]
        known = set(map(id, hidden))
        groups = [
            {"params": hidden, "hidden": True},
            {"params": [p for p in every if id(p) not in known], "hidden": False},
        ]
        options = {"lr": lr, "momentum": momentum, "beta2": beta2, "weight_decay": weight_decay}
        super().__init__([group for group in groups if group["params"]], options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; parameters without a gradient stay as they are.

        Args:
            closure: computes the loss and its gradients, and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            used = [(p, p.grad) for p in group["params"] if p.grad is not None]
            for p, _ in used:
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                    if not group["hidden"]:
                        state["exp_avg_sq"] = torch.zeros_like(p)
                        state["step"] = torch.zeros((), dtype=torch.float32)
            (self._orthogonal if group["hidden"] else self._adam)(used, group)
        return loss

    def _orthogonal(self, used: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        for p, gradient in used:
            mean: Tensor = self.state[p]["exp_avg"]
            mean.lerp_(gradient, 1 - group["momentum"])
            ahead = gradient.lerp(mean, group["momentum"])  # Nesterov's
            update = orthogonalised(ahead.flatten(1))
            size = SIZE_OF_ADAM * max(update.shape) ** 0.5
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update.reshape(p.shape), alpha=-group["lr"] * size)

    def _adam(self, used: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        states = [self.state[p] for p, _ in used]
        adamw(
            [p for p, _ in used],
            [gradient for _, gradient in used],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["momentum"],
            beta2=group["beta2"],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix with the singular vectors of another, its singular values near 1.

    >>> turned = orthogonalised(torch.tensor([[3.0, 0.0], [0.0, 0.5]]))
    >>> bool(((turned - torch.eye(2)).abs() < 0.35).all())
    True

    Args:
        matrix: (M, N).

    Returns:
        (M, N), of the same type; computed in bfloat16.
    """
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    turned: Tensor = (x if wide else x.T).to(matrix.dtype)
    return turned
