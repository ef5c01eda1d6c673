from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_1samp

from reddit.reproduce import statistics
from reddit.reproduce.statistics import (
    EXACT_UP_TO,
    LEVEL,
    crossed,
    find,
    holm,
    sign_flips,
    together,
    verdict,
    why_undecided,
)

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("shift", [0.0, 0.3, -1.0])
def test_the_exact_test_agrees_with_scipy(shift: float) -> None:
    values = RNG.normal(shift, 1, 9)
    theirs = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flips(values)[0] == pytest.approx(theirs.pvalue, abs=1e-12)


def test_known_p_values() -> None:
    assert sign_flips(np.array([1.0, 2, 3, 4, 5, 6]))[0] == 2 / 2**6  # only the pattern observed is as far
    # Sums of at least 5 among those of ±1 ±2 ±4: 7 and 5.
    assert sign_flips(np.array([-1.0, 2, 4]))[0] == 2 * 2 / 2**3
    assert sign_flips(np.zeros(6))[0] == 1


def test_known_intervals() -> None:
    # Of 64 patterns one may be left out on either side: the ends are the extreme values themselves.
    assert sign_flips(np.array([5.0, 1, 2, 9, 4, 3]))[1] == (1, 9)
    assert sign_flips(np.array([1.0, 2, 3, 4, 5]))[1] == (-math.inf, math.inf)


@pytest.mark.parametrize("count", [8, 12, EXACT_UP_TO + 5])
def test_the_interval_holds_the_centres_that_the_test_does_not_reject(count: int) -> None:
    values = RNG.normal(0.2, 1, count)
    low, high = sign_flips(values)[1]
    for centre, rejected in (
        (low - 1e-6, True),
        (low + 1e-6, False),
        (high - 1e-6, False),
        (high + 1e-6, True),
    ):
        assert (sign_flips(values - centre)[0] <= LEVEL) == rejected


def test_sampled_and_exact_tests_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.normal(0.5, 1, 13)
    exact = sign_flips(values)
    monkeypatch.setattr(statistics, "EXACT_UP_TO", 5)
    statistics._subsets.cache_clear()
    sampled = sign_flips(values)
    statistics._subsets.cache_clear()
    assert sampled == sign_flips(values)  # the same subsets every time
    statistics._subsets.cache_clear()
    assert sampled[0] != exact[0] and sampled[0] == pytest.approx(exact[0], abs=0.01)
    assert sampled[1] == pytest.approx(exact[1], abs=0.05)


def test_without_spread_over_seeds_the_crossed_test_is_the_t_test() -> None:
    scenes = RNG.normal(0.4, 1, 9)
    p, (low, high) = crossed(np.tile(scenes, (3, 1)))
    theirs = ttest_1samp(scenes, 0)
    assert p == pytest.approx(theirs.pvalue)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_without_spread_over_scenes_it_is_the_t_test_over_seeds() -> None:
    seeds = np.array([0.1, 0.5, 0.3])
    assert crossed(np.tile(seeds[:, None], (1, 9)))[0] == pytest.approx(ttest_1samp(seeds, 0).pvalue)


def test_one_seed_or_one_scene_gives_no_verdict() -> None:
    for shape in ((1, 9), (9, 1)):
        assert crossed(RNG.normal(5, 1, shape)) == (1.0, (-math.inf, math.inf))


def test_no_variation_at_all() -> None:
    p, interval = crossed(np.full((3, 8), 0.5))
    assert p < 1e-9 and interval == pytest.approx((0.5, 0.5))
    assert crossed(np.zeros((3, 8))) == (1.0, (0.0, 0.0))


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04: times 3, 2, 1 gives 0.03, 0.04, 0.04.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def null_matrices(
    count: int, seeds: int, scenes: int, seed_spread: float, scene_spread: float = 0.3, noise: float = 0.1
) -> list[np.ndarray]:
    """Differences of no mean, with a common shift a seed and a scene, as training runs and pictures give."""
    rng = np.random.default_rng(1)
    return [
        rng.normal(0, seed_spread, (seeds, 1))
        + rng.normal(0, scene_spread, scenes)
        + rng.normal(0, noise, (seeds, scenes))
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed_spread", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("seeds", [2, 3])
def test_false_findings_are_as_rare_as_promised(seeds: int, seed_spread: float) -> None:
    findings = [find(m) for m in null_matrices(600, seeds, 10, seed_spread)]
    decided = sum(verdict(f, f.p) != "undecided" for f in findings)
    assert decided / len(findings) <= 0.065  # 0.05 and less than two standard errors of this simulation


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize(
    ("scenes", "seed_spread", "scene_spread", "noise"),
    [(100, 0.3, 0.3, 1.0), (100, 0.15, 0.1, 0.5), (15, 0.3, 0.0, 0.95), (15, 0.1, 1.0, 1.0)],
)
def test_false_findings_stay_rare_where_single_cells_are_noisy(
    seeds: int, scenes: int, seed_spread: float, scene_spread: float, noise: float
) -> None:
    matrices = null_matrices(600, seeds, scenes, seed_spread, scene_spread, noise)
    decided = sum(crossed(m)[0] <= LEVEL and abs(np.sign(m.mean(axis=1)).sum()) == seeds for m in matrices)
    assert decided / len(matrices) <= 0.065


def test_a_test_over_pictures_only_has_false_findings() -> None:
    findings = [find(m) for m in null_matrices(400, 2, 10, 0.3)]
    naive = sum(f.p_scenes <= LEVEL and f.seeds_agree for f in findings)
    assert naive / len(findings) > 0.2


def test_a_true_difference_is_found() -> None:
    findings = [find(0.5 + m) for m in null_matrices(100, 3, 12, 0.05)]
    assert sum(verdict(f, f.p) == "supported" for f in findings) >= 95
    findings = [find(m - 0.5) for m in null_matrices(100, 3, 12, 0.05)]
    assert sum(verdict(f, f.p) == "contradicted" for f in findings) >= 95


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_crossed_interval_holds_what_its_test_does_not_reject(level: float) -> None:
    differences = null_matrices(1, 3, 10, 0.1)[0]
    low, high = crossed(differences, level)[1]
    for end in (low, high):
        assert crossed(differences - end, level)[0] == pytest.approx(level, rel=1e-6)


def test_a_verdict_needs_every_seed() -> None:
    finding = find(np.vstack([np.full((3, 10), 1.0), np.full((1, 10), -0.01)]))
    assert verdict(finding, 0.001) == "undecided" and why_undecided(finding, 0.001, 10) == "seeds disagree"


def test_why_there_is_no_verdict() -> None:
    few, alone = np.full((3, 4), 1.0), np.full((1, 10), 1.0)
    assert "fewer than 6" in why_undecided(find(few), find(few).p, 4)
    assert why_undecided(find(alone), find(alone).p, 10) == "one training seed"
    assert why_undecided(find(np.zeros((3, 10))), 1.0, 10) == "no difference"
    clear = find(1 + 0.01 * RNG.normal(size=(3, 10)))
    assert why_undecided(clear, clear.p, 10) == "" and why_undecided(clear, 0.2, 10) == "p 0.2"


def test_a_claim_of_several_comparisons() -> None:
    assert together(["supported", "supported"]) == "supported"
    assert together(["supported", "undecided"]) == "undecided"
    assert together(["supported", "undecided", "contradicted"]) == "contradicted"
    assert together([]) == "undecided"
