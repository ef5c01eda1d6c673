from __future__ import annotations

import numpy as np
import pytest

from reddit.lighting import DARK, LIT, fade, luminance, median_luminance


def test_luminance_of_the_primaries() -> None:
    light = luminance(np.eye(3, dtype=np.float32))
    assert light.tolist() == pytest.approx([0.299, 0.587, 0.114])
    assert float(luminance(np.full(3, 0.25, np.float32))) == pytest.approx(0.25)


def test_the_median_is_not_moved_by_lamps() -> None:
    picture = np.full((10, 10, 3), 0.1, np.float32)
    picture[:4] = 1.0
    assert median_luminance(picture) == pytest.approx(0.1)


def test_what_is_transparent_does_not_count() -> None:
    picture = np.zeros((10, 10, 3), np.float32)
    picture[:2] = 0.5
    visible = np.zeros((10, 10), bool)
    visible[:2] = True
    assert median_luminance(picture) == 0
    assert median_luminance(picture, visible) == pytest.approx(0.5)
    assert median_luminance(picture, visible & False) == 0


def test_a_big_picture_is_looked_at_here_and_there() -> None:
    picture = np.broadcast_to(np.linspace(0, 1, 3000, dtype=np.float32)[:, None, None], (3000, 2000, 3))
    assert median_luminance(picture) == pytest.approx(0.5, abs=2e-3)


def test_fading_between_dark_and_lit() -> None:
    medians = [0.0, DARK, 0.75 * DARK + 0.25 * LIT, LIT, 1.0]
    assert [fade(median) for median in medians] == pytest.approx([1, 1, 0.75, 0, 0])
