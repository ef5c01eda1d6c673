"""The field of light, and the camera that photographs it."""

from __future__ import annotations

import numpy as np
import pytest

from reddit.data.darken import linear_to_srgb, srgb_to_linear
from reddit.data.night import Backlight, Lamp, Night, grid_of, random_night, relight

NOISELESS = {"full_well": 1e12, "read_noise": 0.0}


def flat(value: int, size: int = 32) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_ambient_light_is_a_factor_in_linear_light() -> None:
    night = Night((0.1, 0.1, 0.1), (), **NOISELESS)
    dark = relight(flat(200), night, grid_of(32, 32), np.random.default_rng(0))
    expected = linear_to_srgb(srgb_to_linear(np.array(200 / 255)) * 0.1) * 255
    assert np.all(dark == np.rint(expected))


def test_full_light_leaves_the_picture_as_it_is() -> None:
    scene = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    night = Night((1.0, 1.0, 1.0), (), **NOISELESS)
    assert np.array_equal(relight(scene, night, grid_of(40, 60), np.random.default_rng(0)), scene)


def test_a_lamp_lights_its_surroundings_fully_and_nothing_far_away() -> None:
    lamp = Lamp("lamp", place=(0.5, 0.25), size=0.05, angle=0.0, strength=2.0, colour=(1.0, 1.0, 1.0))
    night = Night((0.02, 0.02, 0.02), (lamp,), **NOISELESS)
    light = night.light(grid_of(100, 100), np.zeros((100, 100, 3), np.float32))
    assert np.all(light[50, 25] == 1.0)
    assert np.all(light[50, 95] == np.float32(0.02))
    # Half a standard deviation and more: 2 exp(-d² / 2 s²) = 1 at d = s sqrt(2 ln 2) = 1.177 s.
    row = light[50, :, 0]
    edge = int(np.argmax(row[25:] < 1.0))
    assert edge == int(np.ceil(1.17741 * 5))


def test_a_backlight_lights_what_is_bright() -> None:
    scene = np.full((40, 60, 3), 0.02, np.float32)
    scene[:, 30:] = 0.8
    light = Backlight(threshold=0.2, softness=0.3, blur=1.0).light(scene)[..., 0]
    assert light[:, :24].max() < 0.01
    assert light[:, 36:].min() > 0.99
    level = np.full((8, 8, 3), 0.2, np.float32)
    assert Backlight(threshold=0.2, softness=0.3, blur=1.0).light(level) == pytest.approx(0.5)


def test_a_panel_lights_nothing_but_itself() -> None:
    panel = Lamp("panel", place=(0.5, 0.5), size=0.2, angle=0.3, strength=1.0, colour=(1.0, 1.0, 1.0))
    light = panel.light(grid_of(100, 100))[..., 0]
    rows, columns = np.mgrid[:100, :100]
    distance = np.hypot(rows - 50, columns - 50)
    assert light[distance < 18].min() > 0.99
    assert light[distance > 22].max() < 0.01


@pytest.mark.parametrize("shape", ["lamp", "window", "side", "flash", "panel"])
def test_light_is_the_same_in_a_part_as_in_the_whole(shape: str) -> None:
    lamp = Lamp(shape, place=(0.4, 0.6), size=0.1, angle=0.7, strength=0.9, colour=(1.1, 1.0, 0.9))
    night = Night((0.05, 0.05, 0.05), (lamp,), **NOISELESS)
    rows, columns = slice(20, 50), slice(10, 90)
    scene = np.zeros((80, 120, 3), np.float32)
    whole = night.light(grid_of(80, 120), scene)
    part = night.light(grid_of(80, 120, rows, columns), scene[rows, columns])
    assert np.array_equal(part, whole[rows, columns])
    assert whole.max() <= 1.0 and whole.min() >= np.float32(0.05)


def test_shot_noise_has_the_variance_of_the_photo_electrons() -> None:
    """Of linear light L: variance L / full_well + (read_noise / full_well)²."""
    scene = flat(220, 256)
    night = Night((0.5, 0.5, 0.5), (), full_well=2000.0, read_noise=5.0)
    dark = relight(scene, night, grid_of(256, 256), np.random.default_rng(0))
    linear = srgb_to_linear(dark / 255.0)
    light = srgb_to_linear(np.array(220 / 255.0)) * 0.5
    assert linear.mean() == pytest.approx(light, rel=0.01)
    assert linear.var() == pytest.approx(light / 2000 + (5 / 2000) ** 2, rel=0.05)


def test_banding_is_the_same_along_a_row() -> None:
    night = Night((0.5, 0.5, 0.5), (), full_well=1e6, read_noise=1.0, banding=1e5)
    dark = relight(flat(200, 64), night, grid_of(64, 64), np.random.default_rng(0)).astype(float)
    assert dark.std(axis=1).max() < 1
    assert dark[:, 0].std() > 5


def test_a_seed_draws_one_night() -> None:
    first, second, other = (random_night(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == second
    assert first != other


def test_random_nights_cover_their_range() -> None:
    nights = [random_night(np.random.default_rng(seed)) for seed in range(400)]
    ambient = np.array([night.ambient[1] for night in nights])
    good = ambient == 1.0
    assert 0.05 < good.mean() < 0.16
    assert ambient.min() < 1 / 80 and 0.4 < ambient[~good].max() <= 0.5
    assert 0.4 < np.mean([bool(night.lamps) for night in nights]) < 0.6
    assert 0.16 < np.mean([night.backlight is not None for night in nights]) < 0.3
    assert not any(night.lamps and night.backlight for night in nights)
