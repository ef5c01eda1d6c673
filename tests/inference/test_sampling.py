from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reddit.checkpoint.format import load_denoiser
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.image.geometry import thumbnail, turn, turn_back
from reddit.inference.sampling import _thumbnail, restore, restore_rows
from reddit.inference.seeds import view_seed
from reddit.inference.tiling import Span, Tiling
from reddit.utils.errors import UserError

TILING = Tiling(96, 48, multiple=4)


def picture(height: int, width: int) -> Tensor:
    """A dark slope with some noise, (3, H, W)."""
    slope = torch.linspace(0, 0.2, width).expand(3, height, width)
    return slope + 0.02 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


def tiled(denoiser: Denoiser, low: Tensor, tiling: Tiling = TILING, seed: int = 5, steps: int = 2) -> Tensor:
    def read(rows: Span, columns: Span) -> Tensor:
        return low[:, slice(*rows), slice(*columns)]

    rows = restore_rows(denoiser, read, low.shape[1], low.shape[2], steps, seed, tiling)
    return torch.cat([band.clone() for _, band in rows], dim=1)


@pytest.mark.parametrize("size", [(9, 700), (700, 9), (1, 500)])
def test_tiles_beyond_the_receptive_field_change_nothing(light_weights: Path, size: tuple[int, int]) -> None:
    """In one step a pixel of this network depends on less than 40 around it, a quarter of the overlap."""
    denoiser = load_denoiser(light_weights)[0]
    low = picture(*size)
    whole = restore(denoiser, low[None], 1, [5])[0]
    wide = Tiling(320, 160, multiple=4)
    assert len(wide.spans(max(size))) > 1 and whole.std() > 0.05
    assert torch.allclose(tiled(denoiser, low, wide, steps=1), whole, atol=1e-5)
    assert not torch.allclose(tiled(denoiser, low, wide, steps=1, seed=6), whole, atol=0.1)


@pytest.mark.parametrize("size", [(200, 150), (97, 300), (130, 3)])
def test_narrow_tiles_of_a_light_network_come_close(light_weights: Path, size: tuple[int, int]) -> None:
    denoiser = load_denoiser(light_weights)[0]
    low = picture(*size)
    difference = (tiled(denoiser, low) - restore(denoiser, low[None], 2, [5])[0]).abs()
    assert difference.mean() < 1e-4 and difference.max() < 1 / 255


def test_no_seam_is_seen_where_tiles_meet(light_weights: Path) -> None:
    """What tiles change goes on in no larger steps where they meet than inside them; a hard cut shows."""
    denoiser = load_denoiser(light_weights)[0]
    low = picture(96, 240)
    whole = restore(denoiser, low[None], 2, [5])[0]

    def steps_at_and_between_cuts(tiling: Tiling) -> tuple[float, float]:
        steps = (tiled(denoiser, low, tiling) - whole).mean(dim=(0, 1)).diff().abs()
        spans = tiling.spans(240)
        cuts = torch.zeros(len(steps), dtype=torch.bool)
        for (_, end), (start, _) in pairwise(spans):
            cuts[(start + end) // 2 - 2 : (start + end) // 2 + 2] = True
        return float(steps[cuts].max()), float(steps[~cuts].max())

    soft, between = steps_at_and_between_cuts(TILING)
    hard, _ = steps_at_and_between_cuts(Tiling(96, 0, multiple=4))
    assert soft <= between and soft < hard / 10


def test_the_network_never_sees_more_than_a_tile(light_weights: Path) -> None:
    denoiser = load_denoiser(light_weights)[0]
    seen = []
    denoiser.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    tiled(denoiser, picture(150, 400))
    assert seen and max(max(shape[2:]) for shape in seen) < TILING.size + TILING.multiple


def test_every_tile_is_shown_the_whole_pictures_thumbnail(light_weights: Path) -> None:
    denoiser = load_denoiser(light_weights)[0]
    seen = []
    denoiser.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[3]))
    low = picture(150, 400)
    tiled(denoiser, low)
    whole = thumbnail(2 * low[None] - 1)
    assert len(seen) > 2 and all(torch.allclose(context, whole, atol=1e-6) for context in seen)


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (64, 64), (65, 63), (200, 131)])
def test_the_thumbnail_is_made_in_rows(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    read_sizes = []

    def read(rows: Span, columns: Span) -> Tensor:
        read_sizes.append(rows[1] - rows[0])
        return image[:, slice(*rows), slice(*columns)]

    assert torch.allclose(_thumbnail(read, *size), thumbnail(image[None]), atol=1e-6)
    assert max(read_sizes) <= size[0] // 64 + 2


def test_noise_at_every_step_cannot_be_shared_by_tiles(light_weights: Path) -> None:
    denoiser = load_denoiser(light_weights)[0]
    with pytest.raises(UserError, match="the sampler ddpm does not work in tiles"):
        next(restore_rows(denoiser, lambda *_: torch.zeros(3, 1, 1), 1, 1, 2, 0, TILING, sampler="ddpm"))


class _Slope(nn.Module):
    """Answers v = -y · (1 at the left … 0 at the right): at T the clean image is y on a slope."""

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None) -> Tensor:
        return -y * torch.linspace(1, 0, y.shape[-1])


def test_an_ensemble_is_the_mean_over_symmetries() -> None:
    schedule = NoiseSchedule("linear", 512, 1e-4, 2e-2, zero_terminal_snr=True)
    network = _Slope()
    network.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    denoiser = Denoiser(network, schedule, "v")
    low = torch.rand(1, 3, 20, 30)
    y = 2 * low - 1

    def clean(ensemble: int) -> Tensor:
        return 2 * restore(denoiser, low, 1, [0], ensemble=ensemble) - 1

    across, down = torch.linspace(1, 0, 30), torch.linspace(1, 0, 20)[:, None]
    assert torch.allclose(clean(1), y * across, atol=1e-5)
    assert torch.allclose(clean(2), y * 0.5, atol=1e-5)  # a slope and its mirror image
    assert torch.allclose(clean(5), y * (across + (1 - across) + across + (1 - across) + down) / 5, atol=1e-5)
    assert torch.allclose(clean(8), y * 0.5, atol=1e-5)


def test_an_ensemble_draws_other_noise_for_each_view(light_weights: Path) -> None:
    denoiser = load_denoiser(light_weights)[0]
    low = picture(24, 24)[None]
    one, two = (restore(denoiser, low, 2, [5], ensemble=k) for k in (1, 2))
    same_noise = (one + turn_back(restore(denoiser, turn(low, 1), 2, [5]), 1)) / 2
    assert not torch.allclose(two, same_noise, atol=1e-3)
    assert view_seed(5, 0) == 5


def test_tiles_of_an_ensemble_agree_with_the_whole(light_weights: Path) -> None:
    denoiser = load_denoiser(light_weights)[0]
    low = picture(9, 700)

    def read(rows: Span, columns: Span) -> Tensor:
        return low[:, slice(*rows), slice(*columns)]

    wide = Tiling(320, 160, multiple=4)
    rows = restore_rows(denoiser, read, 9, 700, 1, 5, wide, ensemble=2)
    tiled_ensemble = torch.cat([band.clone() for _, band in rows], dim=1)
    whole = restore(denoiser, low[None], 1, [5], ensemble=2)[0]
    # A flipped tile begins at another place of the network's grid than the flipped whole does.
    assert (tiled_ensemble - whole).abs().mean() < 2e-3
