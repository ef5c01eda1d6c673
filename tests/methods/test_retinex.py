from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from reddit.data.denoised import denoise_gaussian, denoise_nlm
from reddit.diffusion import NoiseSchedule, target_gain, x0_target
from reddit.image.pixels import to_float
from reddit.methods.retinex import (
    Denoise,
    illumination,
    noise_map,
    refine,
    refinement_strength,
    reflectance,
    reflectance_authors,
    remap,
)

PAPER = NoiseSchedule()


def scene(height: int = 48, width: int = 64) -> tuple[Tensor, Tensor]:
    """A picture whose reflectance is 1 in one channel of every pixel, and a smooth illumination."""
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, height, dtype=torch.float64),
        torch.linspace(0, 1, width, dtype=torch.float64),
        indexing="ij",
    )
    squares = ((rows * 6).long() + (columns * 8).long()) % 3
    colours = torch.tensor([[1.0, 0.4, 0.2], [0.3, 1.0, 0.7], [0.5, 0.6, 1.0]], dtype=torch.float64)
    r = colours[squares].permute(2, 0, 1)[None]
    light = (0.1 + 0.3 * columns * (1 - 0.5 * rows))[None, None]
    return r, light


def parts_of(y: Tensor, denoised: Tensor) -> Tensor:
    return reflectance(y, illumination(y), noise_map(y, denoised))


def test_known_parts_are_recovered() -> None:
    r, light = scene()
    y = r * light
    assert torch.allclose(illumination(y), light, rtol=0, atol=1e-12)
    assert torch.allclose(parts_of(y, y), r, rtol=0, atol=1e-6)


def noisy_scene() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reflectance, illumination, and the noisy picture with its non-local means."""
    r, light = scene(96, 128)
    clean = (r * light)[0].permute(1, 2, 0).numpy()
    noise = np.random.default_rng(0).normal(0, 3 / 255, clean.shape)
    picture = np.rint(np.clip(clean + noise, 0, 1) * 255).astype(np.uint8)
    return r.float(), light.float(), to_float(picture)[None], to_float(denoise_nlm(picture, 3.0))[None]


def test_denoising_brings_the_reflectance_closer() -> None:
    r, light, y, denoised = noisy_scene()
    error_without = (reflectance(y, light, torch.zeros_like(y)) - r).abs().mean()
    error = (reflectance(y, light, noise_map(y, denoised, "signed")) - r).abs().mean()
    assert error < 0.6 * error_without


def test_the_magnitude_of_the_noise_only_darkens() -> None:
    # Equation 7 subtracts |y - D(y)|: where noise had darkened a pixel it darkens it again.
    _, light, y, denoised = noisy_scene()
    found = reflectance(y, light, noise_map(y, denoised))
    assert (found <= reflectance(y, light, y - denoised) + 1e-6).all()
    assert (found <= reflectance(y, light, torch.zeros_like(y)) + 1e-6).all()


def test_reflectance_by_hand() -> None:
    y = torch.tensor([0.2, 0.4, 0.1]).view(1, 3, 1, 1)
    n = torch.tensor([0.05, 0.0, 0.2]).view(1, 3, 1, 1)
    h = illumination(y)
    assert h.item() == pytest.approx(0.4)
    assert reflectance(y, h, n).flatten().tolist() == pytest.approx([0.375, 1.0, 0.0])
    assert reflectance(y, h, n, floor=0.8).flatten().tolist() == pytest.approx([0.1875, 0.5, 0.0])


def test_noise_map_is_a_magnitude_unless_it_is_to_keep_its_sign() -> None:
    y, denoised = torch.tensor([0.2, 0.5]), torch.tensor([0.3, 0.1])
    assert noise_map(y, denoised).tolist() == pytest.approx([0.1, 0.4])
    assert noise_map(y, denoised, "signed").tolist() == pytest.approx([-0.1, 0.4])


@pytest.mark.parametrize("kind", ["max", "mean", "smooth_max"])
def test_black_and_random_pictures_stay_in_range(kind: str) -> None:
    random = torch.rand(1, 3, 20, 17, generator=torch.Generator().manual_seed(0))
    for y in (torch.zeros(1, 3, 20, 17), random, random / 255):
        r = reflectance(y, illumination(y, kind), noise_map(y, 0.9 * y))
        assert torch.isfinite(r).all()
        assert r.min() >= 0
        assert r.max() <= 1
    assert torch.equal(parts_of(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)), torch.zeros(1, 3, 4, 4))


def test_illumination_kinds() -> None:
    y = torch.zeros(1, 3, 31, 31)
    y[0, :, 15, 15] = torch.tensor([0.3, 0.9, 0.6])
    assert illumination(y)[0, 0, 15, 15].item() == pytest.approx(0.9)
    assert illumination(y, "mean")[0, 0, 15, 15].item() == pytest.approx(0.6)
    smooth = illumination(y, "smooth_max")
    assert smooth.shape == (1, 1, 31, 31)
    assert smooth[0, 0, 15, 15].item() == pytest.approx(0.9 / 225, rel=1e-5)
    assert smooth[0, 0, 8, 22].item() == pytest.approx(0.9 / 225, rel=1e-5)
    assert smooth[0, 0, 7, 15].item() == pytest.approx(0.0, abs=1e-7)
    flat = torch.full((1, 3, 9, 5), 0.25)  # smaller than the window: the border is repeated
    assert torch.allclose(illumination(flat, "smooth_max"), torch.full((1, 1, 9, 5), 0.25))


def test_remap_by_hand() -> None:
    s = torch.tensor([256.0])
    alpha, sigma = PAPER.alpha(s).item(), PAPER.sigma(s).item()
    r, eps = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), -2.0)
    assert remap(PAPER, r, eps, s).flatten().tolist() == pytest.approx([0.5 * alpha - 2 * sigma] * 3)
    assert torch.equal(remap(PAPER, r, eps, torch.zeros(1)), r)


def test_refine_by_hand() -> None:
    x_s, remapped = torch.full((3, 3, 1, 2), 1.0), torch.full((3, 3, 1, 2), -1.0)
    refined = refine(x_s, remapped, torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64))
    assert refined.dtype == x_s.dtype
    assert torch.equal(refined[0], x_s[0])
    assert refined[1].flatten().tolist() == [0.5] * 6
    assert torch.equal(refined[2], remapped[2])


def grid(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    times = PAPER.grid(2 * steps)
    return times[:-2:2], times[1:-1:2], times[2::2]


def refined_target(space: str, omega: float, steps: int) -> tuple[Tensor, Tensor]:
    """How far refinement moves the clean-image target, and the way to the reflectance; (N, 3, 2, 2)."""
    t, u, s = grid(steps)
    generator = torch.Generator().manual_seed(0)
    x_t, x_u_clean, r = torch.randn(3, len(t), 3, 2, 2, generator=generator, dtype=torch.float64)
    eps = PAPER.eps_from_x_0(x_t, x_u_clean, u)
    x_s = PAPER.add_noise(x_u_clean, eps, s)
    strength = refinement_strength(PAPER, omega, t, s, space)
    refined = refine(x_s, remap(PAPER, r, eps, s), strength)
    before = x0_target(PAPER, x_t, x_s, t, s).x_0
    return (x0_target(PAPER, x_t, refined, t, s).x_0 - before), r - x_u_clean


@pytest.mark.parametrize("steps", [8, 4, 2, 1])
@pytest.mark.parametrize("omega", [0.0, 0.2, 0.5, 1.0])
def test_clean_strength_moves_the_target_by_omega(steps: int, omega: float) -> None:
    moved, way = refined_target("clean", omega, steps)
    assert torch.allclose(moved, omega * way, rtol=0, atol=1e-10)


@pytest.mark.parametrize("steps", [8, 4, 2, 1])
def test_clean_strength_never_overshoots(steps: int) -> None:
    moved, way = refined_target("clean", 3.0, steps)
    assert torch.allclose(moved, way, rtol=0, atol=1e-10)


def test_trajectory_strength_moves_the_target_by_omega_times_the_gain() -> None:
    t, _, s = grid(8)
    moved, way = refined_target("trajectory", 0.5, 8)
    gain = target_gain(PAPER, t, s).view(-1, 1, 1, 1)
    assert torch.allclose(moved, 0.5 * gain * way, rtol=0, atol=1e-10)
    assert 0.5 * gain.max() > 1  # the paper's strength does overshoot here
    assert refinement_strength(PAPER, 0.5, t, s).tolist() == [0.5] * 8


def test_authors_reflectance_is_finite_and_different() -> None:
    r, light = scene()
    for y in (r * light, torch.full_like(r, 0.5), torch.zeros_like(r)):  # 0.5 is their division by zero
        found = reflectance_authors(y)
        assert found.shape == y.shape
        assert torch.isfinite(found).all()
        assert found.abs().max() <= 1
    y = r * light
    assert (reflectance_authors(y) - (2 * parts_of(y, y) - 1)).abs().mean() > 0.2


def test_authors_reflectance_by_an_independent_computation() -> None:
    y = 0.55 + 0.4 * torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    signed = 2 * y[0].permute(1, 2, 0).numpy() - 1
    grey = signed @ np.array([0.299, 0.587, 0.114], np.float32)
    noise = np.abs(grey - cv2.GaussianBlur(grey, (15, 15), 3.0))
    expected = np.clip(signed / signed.max(axis=2, keepdims=True) - noise[..., None], -1, 1)
    assert np.abs(reflectance_authors(y)[0].permute(1, 2, 0).numpy() - expected).max() < 1e-5


def test_authors_reflectance_inverts_dark_colours() -> None:
    # Below mid-grey their maximum is negative, so the brightest channel gets the smallest quotient.
    y = torch.tensor([0.4, 0.2, 0.1]).view(1, 3, 1, 1).expand(1, 3, 16, 16).contiguous()
    red, _, blue = reflectance_authors(y)[0, :, 8, 8].tolist()
    assert red == pytest.approx(1.0)
    assert blue == pytest.approx(1.0)  # 4 before clipping: no longer darker than red


@pytest.mark.parametrize("denoise", [denoise_nlm, denoise_gaussian])
def test_denoisers_keep_shape_and_type_and_reduce_noise(denoise: Denoise) -> None:
    rng = np.random.default_rng(0)
    picture = np.clip(np.rint(rng.normal(100, 3, (40, 56, 3))), 0, 255).astype(np.uint8)
    flipped = denoise(picture[:, ::-1])
    denoised = denoise(picture)
    assert denoised.shape == flipped.shape == picture.shape
    assert denoised.dtype == np.uint8
    assert denoised.std() < 0.7 * picture.std()
    assert abs(float(denoised.mean()) - float(picture.mean())) < 1
    assert np.abs(denoised.astype(int) - flipped[:, ::-1]).max() <= 1


def test_nlm_keeps_an_edge_that_the_blur_loses() -> None:
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 20:] = 200
    assert np.array_equal(denoise_nlm(picture), picture)
    assert denoise_gaussian(picture)[20, 19].max() > 50
