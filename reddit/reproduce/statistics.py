"""Statistics of paired differences: tests over scenes and training seeds, and verdicts.

Differences are a matrix (seeds, scenes), positive if the claim holds. A claim must hold for other scenes and
for other training runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

LEVEL = 0.05
"""Largest p-value of a verdict, adjusted for all comparisons of a target."""
EXACT_UP_TO = 15
"""Largest number of scenes for which all patterns of signs are used."""
SAMPLES = 9999
"""Number of random patterns of signs for more scenes."""

Verdict = Literal["supported", "contradicted", "no difference", "undecided"]
Interval = tuple[float, float]


class Spread(NamedTuple):
    """Standard deviations of a difference: folds, runs in a fold (None: one each), scenes in a fold."""

    folds: float
    runs: float | None
    scenes: float


@dataclass(frozen=True)
class Finding:
    """The statistics of a matrix of differences, or of one for each fold.

    Attributes:
        mean: mean over seeds and scenes, all scenes (of a fold) with equal weight.
        parts: the mean of each seed, or of each fold.
        scenes: 95 % interval over scenes for these training runs.
        whole: 95 % interval over scenes and training runs.
        p_scenes, p_whole: two-sided p-values of no difference, over scenes, and over scenes and runs.
        unit: `seed` or `fold`.
        p_same: p-value of a difference worth naming, by two one-sided tests; 1: not tested.
        spread: for folds, the standard deviations.
    """

    mean: float
    parts: tuple[float, ...]
    scenes: Interval
    whole: Interval
    p_scenes: float
    p_whole: float
    unit: Literal["seed", "fold"] = "seed"
    p_same: float = 1.0
    spread: Spread | None = None

    @property
    def p(self) -> float:
        """The larger of the two p-values."""
        return max(self.p_scenes, self.p_whole)

    @property
    def agreeing(self) -> int:
        """How many seeds or folds have the sign of the mean."""
        return sum(part * self.mean > 0 for part in self.parts)

    @property
    def seeds_agree(self) -> bool:
        return self.agreeing == len(self.parts)


def find(differences: np.ndarray) -> Finding:
    """Test a matrix (seeds, scenes) of finite differences."""
    scenes = differences.mean(axis=0)
    p_scenes, interval = sign_flips(scenes)
    p_whole, whole = crossed(differences)
    parts = tuple(float(x) for x in differences.mean(axis=1))
    return Finding(float(scenes.mean()), parts, interval, whole, p_scenes, p_whole)


def sign_flips(values: np.ndarray, level: float = LEVEL) -> tuple[float, Interval]:
    """The two-sided sign-flip test of a centre at 0, and the interval of centres that it does not reject.

    Flipping the signs of a subset lowers the sum if and only if the sum of the subset is positive. So the
    p-value counts subset means beyond 0, and the ends of the interval are subset means (Hartigan 1969). Exact
    for symmetric distributions up to `EXACT_UP_TO` values; above, with `SAMPLES` random subsets of a fixed
    seed. With few values the interval is infinite, because no pattern is rare enough.
    """
    subsets = _subsets(len(values))
    patterns = len(subsets) + 1  # with the empty subset, the observed signs
    means = np.sort(subsets @ values / subsets.sum(axis=1))
    tiny = 1e-12 * float(np.abs(values).max())
    beyond = min(int((means <= tiny).sum()), int((means >= -tiny).sum()))
    rare = math.floor(level / 2 * patterns)
    interval = (float(means[rare - 1]), float(means[-rare])) if rare else (-math.inf, math.inf)
    return min(1.0, 2 * (1 + beyond) / patterns), interval


@lru_cache(maxsize=4)
def _subsets(count: int) -> np.ndarray:
    """Non-empty subsets of `count` values: (subsets, count), 1.0 for members."""
    if count <= EXACT_UP_TO:
        numbers = np.arange(1, 2**count)[:, None]
        return (numbers >> np.arange(count) & 1).astype(float)
    drawn = np.random.default_rng(0).integers(0, 2, (SAMPLES, count), dtype=np.int8).astype(float)
    drawn[drawn.sum(axis=1) == 0, 0] = 1.0
    return drawn


def crossed(differences: np.ndarray, level: float = LEVEL) -> tuple[float, Interval]:
    """The test and interval of the mean over seeds and scenes, each seed with each scene.

    The variance of the mean has a part from the scenes and one from the seeds. Each part has the limit of
    Student's t with its own degrees of freedom, and the squares of the two are added (as in MOVER, Zou &
    Donner 2008). The noise of single cells is in both parts and so counts twice. Subtracting an estimate
    would double the rate of false findings if the noise is large and seeds are few. With one seed or one
    scene, p is 1.
    """
    seeds, scenes = differences.shape
    mean = float(differences.mean())
    if min(seeds, scenes) < 2:
        return 1.0, (-math.inf, math.inf)
    variances = np.array([differences.mean(axis=1 - k).var(ddof=1) / differences.shape[k] for k in (0, 1)])

    def half_width(p: float) -> float:
        limits = stdtrit(np.array([seeds - 1, scenes - 1]), p / 2) ** 2  # Student's quantiles
        return math.sqrt(limits @ variances)

    smallest = 1e-12
    if half_width(smallest) <= abs(mean):
        p = smallest if mean else 1.0
    else:
        p = float(brentq(lambda q: half_width(q) - abs(mean), smallest, 1.0))
    return p, (mean - half_width(level), mean + half_width(level))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjustment, which bounds the probability of any false finding by the level."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted


def verdict(finding: Finding, adjusted_p: float) -> Verdict:
    """Decided if the adjusted p is at most `LEVEL` and the means of all seeds have the same sign."""
    if adjusted_p > LEVEL or not finding.seeds_agree:
        return "undecided"
    return "supported" if finding.mean > 0 else "contradicted"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a claim, that of its weakest comparison: support needs all of them."""
    for failed in ("contradicted", "no difference"):
        if failed in verdicts:
            return failed
    return "supported" if verdicts and set(verdicts) == {"supported"} else "undecided"


def why_undecided(finding: Finding, adjusted_p: float, scenes: int) -> str:
    """The first reason why a comparison is undecided, in a few words; empty if it is decided."""
    if verdict(finding, adjusted_p) != "undecided":
        return ""
    needed = math.ceil(math.log2(2 / LEVEL))
    if scenes < needed:
        return f"{scenes} scenes; no verdict is possible with fewer than {needed}"
    if len(finding.parts) < 2:
        return "one training seed"
    if not finding.seeds_agree:
        return "seeds disagree" if finding.mean else "no difference"
    return f"p {adjusted_p:.2g}"
