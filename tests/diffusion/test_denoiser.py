from __future__ import annotations

import torch
from torch import Tensor, nn

from reddit.diffusion import Denoiser, NoiseSchedule, gaussian_denoiser, sample_ddim

SCHEDULE = NoiseSchedule(zero_terminal_snr=True)
T = torch.tensor([float(SCHEDULE.steps)], dtype=torch.float64)


class Arbitrary(nn.Module):
    """A network with nothing learned, whose answer depends on all that it is given."""

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.sin(1.3 * x_t) * 0.8 - 0.4 * y + 0.2 * alpha.view(-1, 1, 1, 1)


def images(seed: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_pure_noise_is_independent_of_the_image() -> None:
    """The exact denoiser's answer at T is the mean, whatever x_T is: there is nothing to hide from it."""
    exact = gaussian_denoiser(SCHEDULE, mean=0.3, deviation=0.2)
    for seed in (1, 2):
        x_0 = exact(images(seed), T, images(0)).x_0
        torch.testing.assert_close(x_0, torch.full_like(x_0, 0.3), atol=1e-12, rtol=0)


def test_a_masked_x_t_hides_pure_noise_and_nothing_else() -> None:
    sees, blind = (Denoiser(Arbitrary(), SCHEDULE, "v", mask_x_T=blind) for blind in (False, True))
    y, times = images(0, 2), torch.tensor([SCHEDULE.steps, SCHEDULE.steps / 2], dtype=torch.float64)
    one, other = images(1, 2), images(2, 2)
    first, second = blind(one, times, y), blind(other, times, y)
    assert torch.equal(first.x_0[0], second.x_0[0])
    assert torch.equal(first.x_0[0], sees(torch.zeros_like(one), times, y).x_0[0])
    assert torch.equal(first.x_0[1], sees(one, times, y).x_0[1])
    assert not torch.equal(first.x_0[1], second.x_0[1])


def test_a_masked_x_t_does_not_change_the_drawn_noise() -> None:
    blind = Denoiser(Arbitrary(), SCHEDULE, "v", mask_x_T=True)
    x, y = images(1), images(0)
    torch.testing.assert_close(blind(x, T, y).eps, x)

    def sampled(steps: int, seed: int) -> Tensor:
        return sample_ddim(blind, SCHEDULE, images(seed), y, SCHEDULE.grid(steps))

    assert torch.equal(sampled(1, 1), sampled(1, 2))
    assert not torch.equal(sampled(2, 1), sampled(2, 2))
