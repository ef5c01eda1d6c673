from __future__ import annotations

import numpy as np
import pytest

from reddit.inference.steady import Steady

STEP = 0.04


def scene(offset: int = 0, seed: int = 0) -> np.ndarray:
    """A window of a wide dark picture of blocks, without noise: uint8 (96, 160, 3)."""
    blocks = np.random.default_rng(seed).integers(10, 60, (12, 40, 3)).astype(np.uint8)
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:, offset : offset + 160]


def jumps(frames: list[np.ndarray]) -> float:
    return float(np.abs(np.diff(np.log([frame.mean() for frame in frames]))).mean())


def flickering(dark: list[np.ndarray], size: float) -> list[np.ndarray]:
    """Four times as bright, give or take; the left and the right half by numbers of their own."""
    rng = np.random.default_rng(1)
    gains = 4 * np.exp(size * rng.standard_normal((len(dark), 2)))
    half = np.arange(160) < 80
    return [
        np.rint(np.clip(frame * np.where(half, *gain)[None, :, None], 0, 255)).astype(np.uint8)
        for frame, gain in zip(dark, gains, strict=True)
    ]


@pytest.mark.parametrize("speed", [0, 1, 3])
def test_flicker_is_averaged_out(speed: int) -> None:
    dark = [scene(speed * k) for k in range(40)]
    bright = flickering(dark, 0.05)
    steady = Steady()
    results = [steady(a, b, STEP * k) for k, (a, b) in enumerate(zip(dark, bright, strict=True))]
    assert jumps(bright[20:]) > 0.02
    assert jumps(results[20:]) < 0.15 * jumps(bright[20:]) + jumps(dark[20:])
    assert np.mean(results) == pytest.approx(np.mean(bright), rel=0.05)


def test_without_flicker_nothing_changes() -> None:
    dark = [scene(k) for k in range(20)]
    steady = Steady()
    for k, frame in enumerate(dark):
        assert (
            np.abs(steady(frame, 4 * frame, STEP * k).astype(int) - 4 * frame).mean()
            < 0.02 * 4 * frame.mean()
        )


def test_a_cut_begins_anew() -> None:
    """The second scene has another gain, and none of the first."""
    steady = Steady()
    for k in range(30):
        steady(scene(), 4 * scene(), STEP * k)
    other = 255 - scene(seed=1)
    assert (steady(other, other // 2, STEP * 30) == other // 2).all()
    assert np.abs(steady(other, other // 2, STEP * 31).astype(int) - other // 2).max() <= 1


def test_light_that_is_switched_on_begins_anew() -> None:
    steady = Steady()
    for k in range(30):
        steady(scene(), 4 * scene(), STEP * k)
    lit = 3 * scene()
    assert (steady(lit, lit, STEP * 30) == lit).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20, 15)])
def test_small_frames(size: tuple[int, int]) -> None:
    steady = Steady()
    frame = np.full((*size, 3), 30, np.uint8)
    for k in range(3):
        assert steady(frame, 4 * frame, STEP * k).shape == frame.shape


def test_sixteen_bits_are_as_eight() -> None:
    dark = [scene(k) for k in range(10)]
    eight, sixteen = Steady(), Steady()
    for k, (low, bright) in enumerate(zip(dark, flickering(dark, 0.05), strict=True)):
        deep = sixteen(low.astype(np.uint16) * 257, bright.astype(np.uint16) * 257, STEP * k)
        assert deep.dtype == np.uint16
        assert np.abs(deep / 257 - eight(low, bright, STEP * k)).max() < 0.6


def test_black_stays_black() -> None:
    steady = Steady()
    black = np.zeros((40, 60, 3), np.uint8)
    assert all(steady(black, black, STEP * k).max() == 0 for k in range(5))
