from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.models.norm import group_norm, half_layer_norm, half_norm, half_silu, layer_norm

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


def test_the_processor_computes_as_ever() -> None:
    x, norm = example()
    for features in (x.float(), x):
        with torch.autocast("cpu", torch.bfloat16, enabled=features.dtype == torch.bfloat16):
            assert torch.equal(group_norm(features, norm), F.silu(norm(features)))
            assert torch.equal(group_norm(features, norm, silu=False), norm(features))
