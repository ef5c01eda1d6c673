from __future__ import annotations

import numpy as np
import pytest

from reddit.image.luminance import DARK, LIT, fade, luminance, mean_luminance


def test_luminance_of_the_primaries() -> None:
    light = luminance(np.eye(3, dtype=np.float32))
    assert light.tolist() == pytest.approx([0.299, 0.587, 0.114])
    assert float(luminance(np.full(3, 0.25, np.float32))) == pytest.approx(0.25)


def test_the_mean_of_a_picture_of_two_shades() -> None:
    picture = np.full((10, 10, 3), 0.1, np.float32)
    picture[:4] = 1.0
    assert mean_luminance(picture) == pytest.approx(0.46)


def test_what_is_transparent_does_not_count() -> None:
    picture = np.zeros((10, 10, 3), np.float32)
    picture[:2] = 0.5
    visible = np.zeros((10, 10), bool)
    visible[:2] = True
    assert mean_luminance(picture) == pytest.approx(0.1)
    assert mean_luminance(picture, visible) == pytest.approx(0.5)
    assert mean_luminance(picture, visible & False) == 0


def test_a_large_picture_is_sampled() -> None:
    picture = np.broadcast_to(np.linspace(0, 1, 3000, dtype=np.float32)[:, None, None], (3000, 2000, 3))
    assert mean_luminance(picture) == pytest.approx(0.5, abs=2e-3)


def test_fading_between_dark_and_lit() -> None:
    means = [0.0, DARK, 0.75 * DARK + 0.25 * LIT, LIT, 1.0]
    assert [fade(mean) for mean in means] == pytest.approx([1, 1, 0.75, 0, 0])
