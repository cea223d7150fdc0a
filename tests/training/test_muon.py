"""The optimizer Muon."""

import pytest
import torch
from torch import nn

from lenetscope.training.muon import SIZE_OF_ADAM, Muon, orthogonalised


def network() -> tuple[nn.Sequential, nn.Conv2d]:
    """Return a network and its hidden convolution."""
    torch.manual_seed(0)
    hidden = nn.Conv2d(4, 6, 3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), hidden, nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)
    )
    return model, hidden


def _loss(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    loss: torch.Tensor = model(images).square().sum()
    return loss


@pytest.mark.parametrize("shape", [(4, 36), (36, 4), (5, 5)])
def test_singular_vectors_stay_and_singular_values_come_near_1(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = orthogonalised(matrix)
    strength = torch.diagonal(left.T @ turned @ right.T)
    assert strength.min() > 0.6
    assert strength.max() < 1.3
    assert (turned - left @ torch.diag(strength) @ right).abs().max() < 0.03  # bfloat16
    assert torch.equal(orthogonalised(torch.zeros(shape)), torch.zeros(shape))


def test_only_hidden_weights_are_orthogonalised() -> None:
    model, convolution = network()
    hidden, rest = Muon(model.parameters()).param_groups
    assert [p.shape for p in hidden["params"]] == [convolution.weight.shape]
    assert sum(map(torch.numel, rest["params"])) + convolution.weight.numel() == sum(
        map(torch.numel, model.parameters())
    )


def test_a_step_is_muons_for_hidden_weights_and_adamws_for_the_rest() -> None:
    model, _ = network()
    same, hidden = network()
    optimizer = Muon(model.parameters(), lr=0.01, momentum=0.8, beta2=0.95, weight_decay=0.1)
    plain = torch.optim.AdamW(same.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    flat = nn.Parameter(hidden.weight.detach().flatten(1).clone())
    matrices = torch.optim.Muon(
        [flat], lr=0.01, weight_decay=0.1, momentum=0.8, adjust_lr_fn="match_rms_adamw"
    )
    images = torch.randn(8, 1, 6, 6)
    for _ in range(3):
        for trained in (model, same):
            trained.zero_grad()
            _loss(trained, images).backward()
        assert hidden.weight.grad is not None
        flat.grad = hidden.weight.grad.flatten(1)
        for each in (optimizer, plain, matrices):
            each.step()
        hidden.weight.data.copy_(flat.detach().view_as(hidden.weight))
    for ours, theirs in zip(model.parameters(), same.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-3)  # of steps of 0.01, in bfloat16


def test_a_step_has_the_size_of_one_of_adam() -> None:
    model, hidden = network()
    before = hidden.weight.detach().clone()
    optimizer = Muon(model.parameters(), lr=0.01)
    _loss(model, torch.randn(8, 1, 6, 6)).backward()
    optimizer.step()
    size = (hidden.weight - before).square().mean().sqrt()
    assert size.item() == pytest.approx(0.01 * SIZE_OF_ADAM, rel=0.2)


def test_a_closure_is_called_and_parameters_without_a_gradient_stay() -> None:
    model, hidden = network()
    hidden.requires_grad_(False)
    kept = hidden.weight.clone()

    def closure() -> torch.Tensor:
        loss = _loss(model, torch.ones(2, 1, 6, 6))
        loss.backward()
        return loss

    assert Muon(model.parameters()).step(closure).item() > 0
    assert torch.equal(hidden.weight, kept)
