from __future__ import annotations

import numpy as np
import pytest
import torch

from reddit.data import Pair
from reddit.evaluation.baselines import GainGamma, fit_gain_gamma
from reddit.image.pixels import to_float
from reddit.metrics import psnr


def pairs_of(gt: GainGamma, count: int = 3) -> list[Pair]:
    """Pairs whose highs are exactly a curve of their lows."""
    rng = np.random.default_rng(0)
    lows = [rng.integers(0, 120, (24, 32, 3)).astype(np.uint8) for _ in range(count)]
    curve = np.rint(gt.curve() * 255).astype(np.uint8)
    return [Pair(str(k), low, curve[low]) for k, low in enumerate(lows)]


def test_the_curve_of_the_pairs_is_recovered() -> None:
    found = fit_gain_gamma(pairs_of(GainGamma(1.7, 0.6)), quiet=True)
    assert (found.gain, found.gamma) == pytest.approx((1.7, 0.6), rel=0.02)


def test_its_error_equals_that_of_psnr() -> None:
    rng = np.random.default_rng(1)
    pairs = [Pair(str(k), *rng.integers(0, 256, (2, 20, 20, 3)).astype(np.uint8)) for k in range(2)]
    fitted = fit_gain_gamma(pairs, quiet=True)

    def score(candidate: GainGamma) -> float:
        values = [
            psnr(candidate(to_float(np.asarray(p.low)))[None], to_float(np.asarray(p.high))[None])
            for p in pairs
        ]
        return float(torch.stack(values).mean())

    for gain in (0.9, 1.1):
        for gamma in (0.9, 1.1):
            assert score(fitted) >= score(GainGamma(fitted.gain * gain, fitted.gamma * gamma)) - 1e-3


def test_the_curve_agrees_with_the_function() -> None:
    fitted = GainGamma(3.0, 0.7)
    levels = torch.arange(256) / 255
    assert torch.allclose((fitted(levels) * 255).round() / 255, torch.from_numpy(fitted.curve()).float())
