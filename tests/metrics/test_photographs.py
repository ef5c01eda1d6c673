"""What an enhancer does to a photograph, on pictures whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from reddit.metrics import photographs as measure


def noise(seed: int = 0, size: tuple[int, int] = (400, 460), low: int = 90, high: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (*size, 3), dtype=np.uint8)


def same(picture: np.ndarray) -> np.ndarray:
    return picture


def test_clipping_counts_pixels_that_were_not_bright_before() -> None:
    low = np.full((10, 10, 3), 240, np.uint8)
    low[:2] = 100
    white = np.full_like(low, 255)
    assert measure.newly_clipped(low, white) == pytest.approx(0.2)
    assert measure.newly_clipped(low, low) == 0
    red = low.copy()
    red[0, :, 0] = 250  # one channel of a tenth of the pixels; Y stays far below
    assert measure.newly_clipped(low, red) == 0
    assert measure.newly_clipped_any_channel(low, red) == pytest.approx(0.1)


def test_bright_detail_is_the_contrast_of_the_brightest_fifth() -> None:
    low = noise()
    y = low.astype(float)
    halved = np.rint(y.mean() + (y - y.mean()) / 2).astype(np.uint8)
    assert measure.bright_detail(low, low) == 1
    assert measure.bright_detail(low, halved) == pytest.approx(0.5, abs=0.02)
    assert np.isnan(measure.bright_detail(noise(low=0, high=50), low))


def test_shadow_lift_is_of_dark_pixels_alone() -> None:
    low = noise()
    low[:100] = 20
    lifted = low.copy()
    lifted[:100] = 65
    assert measure.shadow_lift(low, lifted) == 45
    assert np.isnan(measure.shadow_lift(noise(), noise()))


def test_detail_and_saturation_are_ratios() -> None:
    gt = noise()
    grey = np.repeat(measure.grey(gt)[..., None], 3, axis=2)
    assert measure.detail_against_gt(gt, gt) == 1
    assert measure.detail_against_gt(grey, gt) == pytest.approx(1, abs=0.01)
    assert measure.saturation_against_gt(gt, gt) == 1
    assert measure.saturation_against_gt(grey, gt) < 0.01


def test_grain_is_noise_where_the_ground_truth_is_flat() -> None:
    gt = np.full((100, 100, 3), 120, np.uint8)
    noisy = np.repeat(np.random.default_rng(0).normal(120, 4, (100, 100, 1)), 3, axis=2)
    result = np.rint(noisy).astype(np.uint8)
    # E of the deviation of 9 normal values (population form): 4 · 0.914 = 3.66; over the 0.25 of rounding.
    assert measure.grain_against_gt(result, gt) == pytest.approx(3.66 / 0.25, rel=0.05)
    assert np.isnan(measure.grain_against_gt(gt, noise()))


def test_a_pointwise_function_never_jumps() -> None:
    picture = noise()
    assert measure.shift_jump(picture, lambda p: 255 - p) == 0
    assert measure.symmetry_jump(picture, lambda p: 255 - p) == pytest.approx(0)
    assert measure.symmetry_jump(picture, same) == pytest.approx(0)


def test_a_function_of_the_frame_jumps() -> None:
    picture = np.zeros((400, 460, 3), np.uint8)
    picture[:, np.arange(460) // 8 % 2 == 1] = 255

    def to_first_column(p: np.ndarray) -> np.ndarray:
        return np.full_like(p, p[0, 0, 0] // 2)

    assert measure.shift_jump(picture, to_first_column) == 127
    corner = noise()
    corner[0, 0], corner[-1, -1] = 10, 250
    assert measure.symmetry_jump(corner, lambda p: np.full_like(p, p[0, 0, 0])) >= 240


def test_symmetries_are_eight_and_differ() -> None:
    picture = noise(size=(3, 4))
    found = list(measure.symmetries(picture))
    assert len({(p.shape, p.tobytes()) for p in found}) == 8
    assert np.array_equal(found[0], picture)


def test_halo_is_one_without_a_halo() -> None:
    assert measure.halo(same) == 1

    def dark_ring(p: np.ndarray) -> np.ndarray:
        rows, columns = np.mgrid[:400, :600]
        ring = np.abs(np.hypot(columns - 300, rows - 200) - 100) < 60
        result = p.copy()
        result[ring & (p[..., 0] < 100)] = 6
        return result

    assert measure.halo(dark_ring) == pytest.approx(0.5)
