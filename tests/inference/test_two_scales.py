from __future__ import annotations

import numpy as np
import pytest

from reddit.image.arrays import shrink
from reddit.inference.two_scales import gain_map


def scene(height: int, width: int) -> np.ndarray:
    """A dark and a bright half, with a sharp edge between them."""
    picture = np.full((height, width, 3), 0.05, np.float32)
    picture[:, width // 2 :] = 0.6
    return picture


def test_no_difference_is_no_gain() -> None:
    dark = np.random.default_rng(0).random((48, 60, 3)).astype(np.float32)
    gains = gain_map(dark, dark, dark)
    assert np.abs(gains.apply(dark, dark, 0, 48) - dark).max() < 1e-6


def test_a_gain_is_carried_to_the_full_size() -> None:
    dark = scene(400, 600)
    detailed = np.clip(3 * dark, 0, 1)
    small, small_detailed = shrink(dark, 60), shrink(detailed, 60)
    gains = gain_map(small, small_detailed, 0.5 * small_detailed)
    assert gains.apply(detailed, dark, 0, 400) == pytest.approx(0.5 * detailed, abs=0.02)


def test_a_gain_of_one_side_stops_at_the_edge() -> None:
    dark = scene(400, 600)
    detailed = np.where(dark < 0.3, np.float32(0.5), dark)  # the dark half has become a blotch
    small, small_detailed = shrink(dark, 60), shrink(detailed, 60)
    found = gain_map(small, small_detailed, small).apply(detailed, dark, 0, 400)
    assert np.abs(found - dark)[:, :280].max() < 0.03  # without an edge-following gain, 0.2
    assert np.abs(found - dark)[:, 320:].max() < 0.03


def test_parts_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    dark, detailed = rng.random((2, 300, 200, 3)).astype(np.float32)
    gains = gain_map(*(shrink(p, 50) for p in (dark, detailed, dark)))
    whole = gains.apply(detailed, dark, 0, 300)
    parts = [gains.apply(detailed[k : k + 64], dark[k : k + 64], k, 300) for k in range(0, 300, 64)]
    assert np.allclose(np.concatenate(parts), whole, atol=1e-6)


def test_black_stays_black() -> None:
    black = np.zeros((40, 40, 3), np.float32)
    assert gain_map(black, black, black).apply(black, black, 0, 40).max() == 0
