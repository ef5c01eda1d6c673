from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from reddit.checkpoint.build import build_network
from reddit.config import ModelConfig, load_config
from reddit.models import ConditionalUNet, count_parameters
from reddit.models.blocks import NoiseLevelEmbedding, SelfAttention
from reddit.models.unet import log_curve

CONFIGS = Path(__file__).parents[2] / "configs"


def small(**options: object) -> ConditionalUNet:
    torch.manual_seed(0)
    settings = {"width": 8, "multipliers": [1, 2, 2], "blocks": 1, "attention_levels": [2], "groups": 4}
    return ConditionalUNet(**(settings | options))  # type: ignore[arg-type]


def inputs(batch: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(batch, 3, height, width, generator=generator)
    y = 2 * torch.rand(batch, 3, height, width, generator=generator) - 1
    return x_t, y, torch.linspace(0.1, 0.9, batch)


def test_the_papers_network_has_its_parameters() -> None:
    with torch.device("meta"):
        network = build_network(load_config(CONFIGS / "lolv1.yaml").model)
        defaults = ConditionalUNet()
    assert count_parameters(network) == 17_117_315
    assert count_parameters(defaults) == 17_117_315


def test_the_light_network_is_light() -> None:
    with torch.device("meta"):
        network = build_network(load_config(CONFIGS / "lolv1_light.yaml").model)
    assert 1_000_000 < count_parameters(network) <= 4_000_000


def test_frozen_parameters_are_not_counted() -> None:
    network = small()
    before = count_parameters(network)
    network.stem.requires_grad_(False)
    assert before - count_parameters(network) == 8 * 6 * 9 + 8


@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 50), (96, 96)])
def test_any_size_comes_back(size: tuple[int, int], unshuffle: int) -> None:
    x_t, y, alpha = inputs(2, *size)
    output = small(unshuffle=unshuffle)(x_t, y, alpha)
    assert output.shape == x_t.shape
    assert torch.isfinite(output).all()


def test_padding_is_the_reflection_of_the_picture() -> None:
    network = small().eval()
    x_t, y, alpha = inputs(1, 30, 21)
    wide = [torch.nn.functional.pad(image, (0, 3, 0, 2), mode="reflect") for image in (x_t, y)]
    with torch.no_grad():
        expected = network(*wide, alpha)[..., :30, :21]
        assert torch.equal(network(x_t, y, alpha), expected)


@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("log_condition", [False, True])
def test_gradient_reaches_every_parameter(unshuffle: int, log_condition: bool) -> None:
    network = small(unshuffle=unshuffle, log_condition=log_condition)
    output = network(*inputs(2, 16, 24))
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_each_input_matters() -> None:
    network = small().eval()
    x_t, y, alpha = inputs(1, 8, 8)
    with torch.no_grad():
        output = network(x_t, y, alpha)
        for other in ((-x_t, y, alpha), (x_t, -y, alpha), (x_t, y, alpha / 2)):
            assert not torch.allclose(network(*other), output, atol=1e-3)


def test_pictures_of_a_batch_do_not_mix() -> None:
    network = small().eval()
    x_t, y, alpha = inputs(3, 16, 16)
    with torch.no_grad():
        together = network(x_t, y, alpha)
        alone = network(x_t[1:2], y[1:2], alpha[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_attention_is_the_explicit_softmax() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, groups=4).double()
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    normed = attention.norm(x).flatten(2)  # (B, C, H·W)
    query, key, value = torch.einsum("oc,bcn->bon", attention.qkv.weight[:, :, 0, 0], normed).chunk(3, dim=1)
    scores = torch.einsum("bcn,bcm->bnm", query, key) / math.sqrt(8)
    mixed = torch.einsum("bnm,bcm->bcn", scores.softmax(dim=2), value)
    out = torch.einsum("oc,bcn->bon", attention.out.weight[:, :, 0, 0], mixed)
    expected = x + (out + attention.out.bias[None, :, None]).view_as(x)
    assert torch.allclose(attention(x), expected, rtol=0, atol=1e-12)


def test_noise_levels_are_distinguished() -> None:
    torch.manual_seed(0)
    embedding = NoiseLevelEmbedding(16)
    levels = embedding(torch.linspace(0, 1, 64))
    assert levels.shape == (64, 16)
    apart = torch.cdist(levels, levels) + torch.eye(64)
    assert apart.min() > 1e-3


def test_log_curve_ends_and_figures() -> None:
    def curve(level: float) -> float:
        return float(log_curve(torch.tensor([2 * level / 255 - 1], dtype=torch.float32)))

    assert curve(0) == pytest.approx(-1, abs=1e-6)
    assert curve(255) == pytest.approx(1, abs=1e-6)
    assert curve(1) - curve(0) == pytest.approx(0.25, abs=1e-5)
    assert curve(255) - curve(254) == pytest.approx(0.001, abs=5e-4)
    steps = log_curve(torch.linspace(-1, 1, 256)).diff()
    assert (steps > 0).all()
    assert curve(-3) == pytest.approx(-1, abs=1e-6)  # padding and rounding may go below black


def test_log_condition_adds_three_channels() -> None:
    assert small(log_condition=True).stem.in_channels == 9
    assert small(log_condition=True, unshuffle=2).stem.in_channels == 36
    assert small().stem.in_channels == 6


def test_attention_is_at_the_configured_levels() -> None:
    def count(levels: list[int]) -> int:
        return sum(isinstance(m, SelfAttention) for m in small(attention_levels=levels).modules())

    assert [count([]), count([2]), count([0, 2])] == [1, 4, 7]  # the middle; one down and two up a level


def test_settings_reach_the_network() -> None:
    config = ModelConfig(width=8, multipliers=[1, 3], blocks=2, attention_levels=[], groups=4, unshuffle=2)
    network = build_network(config)
    assert network.multiple == 4
    assert network.stem.out_channels == 8
    assert network.head[2].out_channels == 12
    assert max(p.shape[0] for p in network.parameters()) >= 24
