"""The rule for cross-validation: differences over folds, each with its own teacher, runs and scenes.

A fold's differences are a matrix (seeds, scenes), positive if the claim holds. No scene is in two folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from reddit.reproduce.statistics import LEVEL, Finding, Interval, Spread, Verdict

DECIDING = ("gt_mean.psnr", "gt_mean.lpips")
"""The metrics that decide; each gives a verdict of its own."""
WORTH = {"psnr": 0.1, "lpips": 0.003}
"""The smallest difference worth naming: dB, and LPIPS."""


def worth_naming(metric: str) -> float | None:
    """The smallest difference of a metric that is worth naming, None if there is no such limit."""
    return WORTH.get(metric.rpartition(".")[2])


def find_over_folds(folds: Sequence[np.ndarray], worth: float | None = None) -> Finding:
    """Test the mean over folds; each fold counts as much as the others.

    Student's t over the means of folds holds for other scenes, training sets, teachers and seeds alike, as a
    fold has its own of each. Beside it, a test over scenes alone with the training runs as they are; the
    larger p counts. Chance may make the folds agree better than their scenes allow.

    Args:
        folds: at least two matrices (seeds, scenes) with at least two scenes each.
        worth: the smallest difference worth naming; None: no test that the difference is smaller.
    """
    means = np.array([fold.mean() for fold in folds])
    mean = float(means.mean())
    over_scenes = [fold.mean(axis=0) for fold in folds]  # averaged over seeds
    error_folds = float(means.std(ddof=1)) / math.sqrt(len(folds))
    error_scenes = math.sqrt(sum(s.var(ddof=1) / len(s) for s in over_scenes)) / len(folds)
    errors = (
        (error_folds, len(folds) - 1),
        (error_scenes, sum(map(len, over_scenes)) - len(folds)),
    )
    p_folds, p_scenes = (2 * _tail(abs(mean), *error) for error in errors)
    p_same = 1.0 if worth is None else max(_tail(worth - abs(mean), *error) for error in errors)
    whole, scenes = (_interval(mean, *error) for error in errors)
    wider = (min(whole[0], scenes[0]), max(whole[1], scenes[1]))
    by_fold = tuple(map(float, means))
    return Finding(mean, by_fold, scenes, wider, p_scenes, p_folds, "fold", p_same, _spread(folds))


def _tail(distance: float, error: float, freedom: int) -> float:
    """One-sided p of a distance from the limit of a hypothesis, above 0 outside of it."""
    if error == 0:
        return 0.0 if distance > 0 else 0.5 if distance == 0 else 1.0
    return float(stdtr(freedom, -distance / error))


def _interval(mean: float, error: float, freedom: int) -> Interval:
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    return mean - half, mean + half


def _spread(folds: Sequence[np.ndarray]) -> Spread:
    """Standard deviations: of fold means, of runs within folds, of scenes within folds."""
    runs = [fold.mean(axis=1).var(ddof=1) for fold in folds if len(fold) > 1]
    scenes = [fold.mean(axis=0).var(ddof=1) for fold in folds]
    return Spread(
        float(np.std([fold.mean() for fold in folds], ddof=1)),
        math.sqrt(np.mean(runs)) if runs else None,
        math.sqrt(np.mean(scenes)),
    )


def decide(finding: Finding, adjusted_p: float, adjusted_p_same: float) -> Verdict:
    """The verdict of one comparison.

    Args:
        adjusted_p, adjusted_p_same: adjusted for the comparisons of its claim. Support takes the p as it is,
            because a claim needs the support of all of them.
    """
    if adjusted_p_same <= LEVEL:
        return "no difference"
    if finding.mean > 0:
        return "supported" if finding.p <= LEVEL else "undecided"
    return "contradicted" if adjusted_p <= LEVEL else "undecided"
