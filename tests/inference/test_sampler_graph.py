from __future__ import annotations

from typing import Any

import pytest
import torch

from reddit.checkpoint.build import build_denoiser
from reddit.config import resolve_config
from reddit.diffusion import Denoiser
from reddit.image import geometry
from reddit.inference import sampler_graph as graph
from reddit.inference.sampling import restore

NETWORK = {
    "width": 4,
    "multipliers": [1],
    "blocks": 1,
    "attention_levels": [],
    "groups": 1,
    "unshuffle": 2,
    "block": "light",
    "context": True,
    "log_condition": True,
}


def with_random_weights(settings: dict[str, Any]) -> Denoiser:
    """A denoiser whose weights are all different from zero."""
    denoiser = build_denoiser(resolve_config(settings, source="test"))
    generator = torch.Generator().manual_seed(0)
    for parameter in denoiser.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return denoiser.eval()


# Traceable formulas against `reddit.image.geometry`


@pytest.mark.parametrize("multiple", [1, 2, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3), (5, 17), (16, 32), (33, 21)])
def test_padding_repeats_what_pad_to_multiple_repeats(size: tuple[int, int], multiple: int) -> None:
    image = torch.arange(size[0] * size[1]).view(1, 1, *size)
    rows, columns = graph.padding_indices(*size, multiple)
    expected, _ = geometry.pad_to_multiple(image.float(), multiple)
    assert torch.equal(image[:, :, rows][..., columns].float(), expected)


def test_averages_of_known_sizes() -> None:
    pairs = graph.averaging_matrix(128)
    assert torch.equal(pairs[3].nonzero().flatten(), torch.tensor([6, 7]))
    assert torch.equal(pairs[3, 6:8], torch.tensor([0.5, 0.5]))
    repeated = graph.averaging_matrix(32)
    assert torch.equal(repeated, torch.eye(32).repeat_interleave(2, dim=0))


@pytest.mark.parametrize("size", [(1, 1), (5, 64), (65, 63), (100, 333)])
def test_the_thumbnail_is_the_same(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(graph.averaged(image), geometry.thumbnail(image), atol=1e-6, rtol=0)


# The sampler


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_the_sampler_restores(prediction: str, steps: int, clip: bool) -> None:
    denoiser = with_random_weights({"model": NETWORK | {"prediction": prediction}})
    noise = torch.randn(3, 11, 9, generator=torch.Generator().manual_seed(4))[None]
    low = torch.rand(1, 3, 11, 9, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        sampled = graph.Sampler(denoiser, steps, clip)(low, noise)
    torch.testing.assert_close(sampled, restore(denoiser, low, steps, [4], clip=clip), atol=2e-5, rtol=0)


@pytest.mark.parametrize("second_input", ["end", "step"])
@pytest.mark.parametrize("architecture", ["unet", "compact"])
def test_the_sampler_says_how_far_a_step_goes(architecture: str, second_input: str) -> None:
    settings = NETWORK | {"architecture": architecture, "prediction": "x0", "second_input": second_input}
    denoiser = with_random_weights({"model": settings})
    noise = torch.randn(3, 11, 9, generator=torch.Generator().manual_seed(4))[None]
    low = torch.rand(1, 3, 11, 9, generator=torch.Generator().manual_seed(5))
    pictures = []
    for steps in (1, 4):
        with torch.no_grad():
            pictures.append(graph.Sampler(denoiser, steps, True)(low, noise))
        torch.testing.assert_close(pictures[-1], restore(denoiser, low, steps, [4]), atol=2e-5, rtol=0)
    plain = restore(with_random_weights({"model": settings | {"second_input": "none"}}), low, 1, [4])
    assert not torch.allclose(pictures[0], plain, atol=1e-3)
