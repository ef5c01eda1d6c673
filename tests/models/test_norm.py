from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.models.norm import (
    ChannelsLastGroupNorm,
    group_norm,
    half_layer_norm,
    half_norm,
    half_silu,
    layer_norm,
)

ROUNDING = 2**-8
"""Of one operation in bf16, relative."""


def example() -> tuple[Tensor, nn.GroupNorm]:
    """Features whose groups have means far from 0, as behind a convolution with a bias."""
    torch.manual_seed(0)
    norm = nn.GroupNorm(4, 16)
    nn.init.normal_(norm.weight, 1, 0.2)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 16, 24, 20) + 3 * torch.randn(2, 16, 1, 1)
    return x.to(torch.bfloat16).to(memory_format=torch.channels_last), norm


def test_half_precision_is_close_to_single() -> None:
    x, norm = example()
    expected = F.silu(norm(x.float()))
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            y = half_silu(half_norm(x, norm), like=x)
        assert y.dtype == torch.bfloat16
        assert (y - expected).abs().max() < 4 * ROUNDING * expected.abs().max()
        assert (y - expected).mean().abs() < ROUNDING / 4


def test_layer_norm_in_half_precision_is_close_to_single() -> None:
    x, _ = example()
    norm = nn.LayerNorm(16)
    nn.init.normal_(norm.weight, 1, 0.2)
    x = x.permute(0, 2, 3, 1)
    expected = norm(x.float())
    assert (half_layer_norm(x, norm) - expected).abs().max() < 2 * ROUNDING * expected.abs().max()
    assert torch.equal(layer_norm(x.float(), norm), expected)


def test_without_gradients_the_memory_order_is_kept() -> None:
    x, norm = example()
    with torch.no_grad():
        y = half_silu(half_norm(x, norm).contiguous(), like=x)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_gradients_are_close_to_those_in_single_precision() -> None:
    found = []
    for single in (False, True):
        x, norm = example()
        x = (x.float() if single else x).requires_grad_()
        y = F.silu(norm(x)) if single else half_silu(half_norm(x, norm), like=x)
        y.float().square().sum().backward()
        found.append([p.grad.float() for p in (x, norm.weight, norm.bias)])  # type: ignore[union-attr]
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() < 4 * ROUNDING * theirs.norm()


def test_without_gradients_the_processor_computes_as_pytorch() -> None:
    x, norm = example()
    for features in (x.float(), x):
        with torch.autocast("cpu", torch.bfloat16, enabled=features.dtype == torch.bfloat16):
            assert torch.equal(group_norm(features, norm), F.silu(norm(features)))
            assert torch.equal(group_norm(features, norm, silu=False), norm(features))


def test_the_gradient_in_channels_last_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    x = (torch.randn(2, 8, 3, 5) + 2 * torch.randn(1, 8, 1, 1)).double().to(memory_format=torch.channels_last)
    weight, bias = torch.randn(2, 8).double()
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    assert torch.autograd.gradcheck(lambda *given: ChannelsLastGroupNorm.apply(*given, 4, 1e-5), inputs)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2 * ROUNDING)])
def test_the_gradient_in_channels_last_is_close_to_the_exact_one(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, tolerance: float
) -> None:
    called, apply = [], ChannelsLastGroupNorm.apply
    monkeypatch.setattr(ChannelsLastGroupNorm, "apply", lambda *given: called.append(1) or apply(*given))
    found = []
    for exact in (False, True):
        x, norm = example()
        x = x.to(torch.float64 if exact else dtype).requires_grad_()
        y = F.silu(norm.double()(x)) if exact else group_norm(x, norm)
        towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
        gradients = torch.autograd.grad(y, (x, norm.weight, norm.bias), towards)
        assert gradients[0].is_contiguous(memory_format=torch.channels_last)
        found.append([y, *gradients])
    assert called == [1]
    for ours, expected in zip(*found, strict=True):
        assert (ours - expected).norm() < tolerance * expected.norm()


def test_other_cases_keep_the_gradient_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChannelsLastGroupNorm, "apply", lambda *_: pytest.fail("called"))
    x, norm = example()
    x = x.float()
    frozen, contiguous, small = x, x.contiguous().requires_grad_(), x[:, :, :4].requires_grad_()
    for features in (frozen, contiguous, small):
        assert torch.equal(group_norm(features, norm, silu=False), norm(features))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(group_norm(x.requires_grad_(), norm, silu=False), norm(x))
