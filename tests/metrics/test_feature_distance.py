from __future__ import annotations

import torch
from torch import Tensor

from reddit.metrics.feature_distance import FusedDistance, feature_distance


def features() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64).relu() for _ in range(2))
    return x.requires_grad_(), y.requires_grad_(), torch.rand(1, 5, 1, 1, generator=generator).double()


def test_the_fused_distance_is_the_plain_one() -> None:
    x, y, head = features()
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64)
    ours, theirs = FusedDistance.apply(x, y, head), feature_distance(x, y, head)
    assert torch.allclose(ours, theirs, rtol=1e-9)
    found = [torch.autograd.grad((value * weights).sum(), (x, y)) for value in (ours, theirs)]
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-9)


def test_only_the_gradients_that_are_asked_for() -> None:
    x, y, head = features()
    for mine, other in ((x, y.detach()), (x.detach(), y)):
        whole = torch.autograd.grad(feature_distance(mine, other, head).sum(), x if mine is x else y)
        fused = torch.autograd.grad(FusedDistance.apply(mine, other, head).sum(), x if mine is x else y)
        assert torch.allclose(whole[0], fused[0], rtol=1e-7, atol=1e-9)


def test_features_that_are_all_zero_have_a_finite_gradient() -> None:
    x, y = torch.zeros(1, 4, 2, 2, requires_grad=True), torch.rand(1, 4, 2, 2)
    FusedDistance.apply(x, y, torch.ones(1, 4, 1, 1)).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_half_precision_is_computed_in_single() -> None:
    x, y, head = (tensor.detach().float() for tensor in features())
    x, y = x.bfloat16().requires_grad_(), y.bfloat16()
    found = FusedDistance.apply(x, y, head)
    assert found.dtype == torch.float32
    assert torch.allclose(found, feature_distance(x.float(), y.float(), head), rtol=1e-5)
    found.sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16


def test_a_distance_to_itself_is_zero() -> None:
    x, _, head = features()
    assert FusedDistance.apply(x, x, head).abs().max() == 0
