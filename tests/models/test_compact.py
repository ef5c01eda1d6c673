"""The compact network: sizes, tiles, statistics."""

from __future__ import annotations

import pytest
import torch

from reddit.image.geometry import thumbnail
from reddit.models import CompactUNet, compact_inference, count_parameters
from reddit.models.compact import BINS, picture_statistics
from reddit.models.unet import log_curve


def small() -> CompactUNet:
    torch.manual_seed(0)
    network = CompactUNet(width=8, multipliers=(1, 2, 2), blocks=1, detail=4)
    for parameter in network.parameters():  # no zeros: every path is seen
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_the_default_has_the_stated_size() -> None:
    assert count_parameters(CompactUNet()) == 2_491_967


@pytest.mark.parametrize("size", [(8, 8), (17, 31), (40, 24), (1, 50)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size) * 2 - 1
    assert small()(image, image, torch.tensor([0.0, 0.5])).shape == image.shape


def test_a_fresh_network_has_no_detail_path_yet_and_learns_everywhere() -> None:
    torch.manual_seed(0)
    network = CompactUNet(width=8, multipliers=(1, 2), blocks=1, detail=4)
    image = torch.rand(1, 3, 16, 16)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (network(image, image, torch.tensor([0.5])) - image).square().mean().backward()
        optimizer.step()
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum()]  # type: ignore[union-attr]
    assert still == []


def test_a_tile_with_the_context_gives_the_same_as_the_picture() -> None:
    """Only the surroundings of a pixel and the overview count."""
    network = small()
    y = torch.rand(1, 3, 96, 96) * 2 - 1
    x_t, alpha = torch.randn_like(y), torch.tensor([0.3])
    with torch.no_grad():
        whole = network(x_t, y, alpha)
        part = network(x_t[..., :88, :88], y[..., :88, :88], alpha, thumbnail(y))
    assert torch.allclose(whole[..., :24, :24], part[..., :24, :24], atol=1e-5)


def test_statistics_are_shares_of_known_bins() -> None:
    value = 2 * torch.tensor([0.0, 4 / 255, 1.0]) - 1
    for v in value:
        found = picture_statistics(v.expand(1, 3, 64, 64))[0]
        assert float(found[:BINS].sum()) == pytest.approx(1.0, abs=1e-5)
        place = (float(log_curve(v.reshape(1))) + 1) / 2 * (BINS - 1)
        centre = sum(k * float(found[k]) for k in range(BINS))
        assert centre == pytest.approx(place, abs=1e-4)
        assert found[BINS:].abs().max() < 1e-5  # grey


def test_statistics_know_colour_but_not_place() -> None:
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    red = picture.clone()
    red[:, 0] = 1.0
    assert picture_statistics(red)[0, BINS] > picture_statistics(picture)[0, BINS] + 0.1
    mixed = picture.flatten(2)[..., torch.randperm(64 * 64)].view_as(picture)
    assert torch.allclose(picture_statistics(mixed), picture_statistics(picture), atol=1e-5)


def test_statistics_are_steady_under_a_shift() -> None:
    """A window that moves by 8 of 384 pixels changes no number by more than its new pixels' share."""
    torch.manual_seed(0)
    wide = torch.rand(1, 3, 384, 400) * 2 - 1
    first, second = (picture_statistics(thumbnail(wide[..., k : k + 384])) for k in (0, 8))
    assert (first - second).abs().max() <= 8 / 384


# One picture at a time, on a processor without gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(8, 8), (17, 31), (1, 50)])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_inference_mode_gives_the_same(dtype: torch.dtype, size: tuple[int, int], alpha: float) -> None:
    """Zeros in place of noise, and noise; several pictures; rounding to bf16 is 0.4 % of each value."""
    network = small().to(memory_format=torch.channels_last)
    y = torch.rand(2, 3, *size) * 2 - 1
    x_t, level = torch.randn_like(y) * alpha, torch.tensor([alpha, alpha / 2])
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        with torch.no_grad():
            modules = network(x_t, y, level)
        with torch.inference_mode():
            quick = network(x_t, y, level)
    assert quick.dtype == modules.dtype and quick.shape == modules.shape
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    assert (quick - modules).abs().max() <= tolerance * modules.abs().max()


def test_inference_mode_leaves_its_inputs_as_they_are() -> None:
    network, y = small(), torch.rand(1, 3, 16, 16) * 2 - 1
    x_t, before = torch.randn_like(y), y.clone()
    noise = x_t.clone()
    with torch.inference_mode():
        network(x_t, y, torch.tensor([0.3]))
    assert torch.equal(y, before) and torch.equal(x_t, noise)


def test_the_curve_of_inference_is_that_of_training() -> None:
    values = torch.linspace(-1.1, 1, 1001).view(1, 1, 7, 143)
    assert torch.allclose(compact_inference.log_curve(values), log_curve(values), atol=1e-6)
