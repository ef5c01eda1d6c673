from __future__ import annotations

import numpy as np
import pytest

from reddit.data.darken import Camera, darken, linear_to_srgb, random_camera, srgb_to_linear

NEUTRAL = (1.0, 1.0, 1.0)


def flat(level: int, side: int = 256) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


def test_srgb_round_trip() -> None:
    value = np.linspace(0, 1, 10_001)
    # The standard's two pieces miss each other by 3e-8 where they meet.
    assert np.abs(linear_to_srgb(srgb_to_linear(value)) - value).max() < 1e-7
    assert np.abs(srgb_to_linear(linear_to_srgb(value)) - value).max() < 1e-7
    assert (np.diff(srgb_to_linear(value)) > 0).all()


def test_srgb_known_values() -> None:
    # Mid-grey and the ends of IEC 61966-2-1.
    assert srgb_to_linear(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.0, 0.21404114, 1.0], abs=1e-7)
    assert linear_to_srgb(np.array([0.001])) == pytest.approx([0.01292])


def test_full_exposure_without_noise_is_the_identity() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    camera = Camera(exposure=1.0, full_well=1e12, read_noise=0.0, white_balance=NEUTRAL)
    assert np.array_equal(darken(picture, camera, np.random.default_rng(1)), picture)


def electrons(picture: np.ndarray, camera: Camera, seed: int = 0) -> np.ndarray:
    """What the sensor counted, read back from the 8 bits."""
    dark = darken(picture, camera, np.random.default_rng(seed))
    return srgb_to_linear(dark / 255.0) * camera.full_well


@pytest.mark.parametrize("exposure", [0.2, 0.5])
def test_shot_noise_has_the_variance_of_its_mean(exposure: float) -> None:
    # A small full well, so that the noise is many 8-bit levels and rounding adds little.
    camera = Camera(exposure, full_well=200.0, read_noise=0.0, white_balance=NEUTRAL)
    counted = electrons(flat(200), camera)
    mean = float(srgb_to_linear(np.array(200 / 255))) * exposure * 200
    assert counted.mean() == pytest.approx(mean, rel=0.01)
    assert counted.var() == pytest.approx(mean, rel=0.03)


def test_read_noise_adds_its_variance() -> None:
    camera = Camera(0.3, full_well=400.0, read_noise=6.0, white_balance=NEUTRAL)
    counted = electrons(flat(220), camera)
    mean = float(srgb_to_linear(np.array(220 / 255))) * 0.3 * 400
    assert counted.var() == pytest.approx(mean + 36, rel=0.03)


@pytest.mark.parametrize("exposure", [1 / 8, 1 / 20, 1 / 40])
def test_linear_light_falls_by_the_exposure(exposure: float) -> None:
    camera = Camera(exposure, full_well=8000.0, read_noise=0.0, white_balance=NEUTRAL)
    dark = darken(flat(230), camera, np.random.default_rng(0))
    light = srgb_to_linear(np.array([230 / 255]))[0]
    # Rounding to 8 bits moves the mean by at most half a level, averaged out by the noise.
    assert srgb_to_linear(dark / 255.0).mean() == pytest.approx(exposure * light, rel=0.02)


def test_white_balance_scales_linear_light() -> None:
    camera = Camera(0.5, full_well=1e9, read_noise=0.0, white_balance=(1.2, 1.0, 0.8))
    dark = srgb_to_linear(darken(flat(180, 8), camera, np.random.default_rng(0)) / 255.0)
    ratio = dark.mean(axis=(0, 1)) / dark[..., 1].mean()
    assert ratio == pytest.approx([1.2, 1.0, 0.8], rel=0.02)


def test_same_generator_same_picture() -> None:
    camera = random_camera(np.random.default_rng(3))
    one, two = (darken(flat(99, 16), camera, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, darken(flat(99, 16), camera, np.random.default_rng(5)))
    assert one.dtype == np.uint8
    assert one.shape == (16, 16, 3)


def test_random_cameras_stay_in_their_ranges() -> None:
    rng = np.random.default_rng(0)
    cameras = [random_camera(rng) for _ in range(500)]
    exposures = np.array([c.exposure for c in cameras])
    low, high = exposures.min(), exposures.max()
    assert 0 < 4 * low < high <= 1
    assert np.median(exposures) == pytest.approx((low * high) ** 0.5, rel=0.2)  # log-uniform
    assert all(4000 <= c.full_well <= 12000 for c in cameras)
    assert all(2 <= c.read_noise <= 5 for c in cameras)
    assert all(0.95 <= gain <= 1.05 for c in cameras for gain in c.white_balance)
    assert all(c.white_balance[1] == 1.0 for c in cameras)
