from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from reddit.config import load_config
from reddit.reproduce.findings import (
    by_other_metrics,
    differences,
    judge,
    picture_rows,
    summary_rows,
    verdict_rows,
    verdicts,
)
from reddit.reproduce.plan import Arm, Cell, Claim, Plan, better, growth
from reddit.reproduce.scoring import Scored
from reddit.reproduce.targets import GT_ONLY, TARGETS, TEACHER
from reddit.utils.errors import UserError
from reddit.utils.text import counted

PLANS = {name: target.build(sorted(target.steps, reverse=True), 16) for name, target in TARGETS.items()}
A, B = Arm("a", "A"), Arm("b", "B")


def scored(cell: Cell, seed: int, values: list[float], scenes: str = "") -> Scored:
    """Pictures 0, 1, …, in one scene each, or in scenes by their letters."""
    pictures = {str(k): {"raw.psnr": value, "seconds": value} for k, value in enumerate(values)}
    in_scenes = {name: scenes[k] if scenes else name for k, name in enumerate(pictures)}
    return Scored(cell, seed, f"runs/{cell.arm}-{seed}", f"digest{seed}", "ddim", pictures, in_scenes)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_comparison_uses_scored_cells(plan: Plan) -> None:
    for claim in plan.claims:
        assert claim.text.endswith(".")
        for comparison in claim.comparisons:
            assert {cell for _, cell in comparison.terms} <= set(plan.cells)
            assert sum(weight for weight, _ in comparison.terms) == pytest.approx(0)


@pytest.mark.parametrize("name", [name for name, plan in PLANS.items() if plan.metric != "seconds"])
def test_training_is_always_compared_with_gt_only_and_with_the_teacher(name: str) -> None:
    plan = PLANS[name]
    for steps in TARGETS[name].steps:
        assert Cell(GT_ONLY.key, steps) in plan.cells and Cell(TEACHER.key, steps) in plan.cells
    assert Cell(TEACHER.key, 16) in plan.cells
    assert any(not claim.source for claim in plan.claims)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_settings_of_arms_exist(plan: Plan) -> None:
    assert len({arm.key for arm in plan.arms}) == len(plan.arms) == len({arm.label for arm in plan.arms})
    for arm in plan.arms:
        load_config(None, arm.settings)


def test_a_plan_without_an_arm() -> None:
    plan = PLANS["figure5"].without({"no-perceptual"})
    assert "no-perceptual" not in {arm.key for arm in plan.arms} | {cell.arm for cell in plan.cells}
    assert len(plan.claims) == len(PLANS["figure5"].claims) - 1  # nothing is left of which loss matters more
    assert [c.text for c in plan.claims[1].comparisons] == ["ReDDiT − no pixel loss, 2 steps"]


def test_differences_by_hand() -> None:
    both = [
        scored(Cell("a", 2), 0, [20, 22, 30], "xxy"), scored(Cell("b", 2), 0, [19, 20, 31], "xxy"),
        scored(Cell("a", 2), 1, [21, 22, 30], "xxy"), scored(Cell("b", 2), 1, [19, 20, 30], "xxy"),
    ]  # fmt: skip
    # Scene x holds two pictures and counts once: (1 + 2) / 2 and (2 + 2) / 2; scene y -1 and 0.
    found = differences(better(A, B, 2, margin=0.5), both, "raw.psnr")
    assert found == pytest.approx(np.array([[2.0, -0.5], [2.5, 0.5]]))


def test_growth_is_the_slope_of_a_line() -> None:
    gains = {8: 0.1, 4: 0.3, 2: 0.5, 1: 0.7}  # 0.2 dB more with each halving
    cells = [scored(Cell("a", n), 0, [20 + gain]) for n, gain in gains.items()]
    cells += [scored(Cell("b", n), 0, [20.0]) for n in gains]
    assert differences(growth(A, B, list(gains)), cells, "raw.psnr") == pytest.approx(np.array([[0.2]]))


def test_the_fault_of_choosing_on_the_test_set_is_measured_where_it_flatters() -> None:
    claim = next(claim for claim in PLANS["faults"].claims if "D6" in claim.text)
    assert {comparison.metric for comparison in claim.comparisons} == {"gt_mean.psnr"}
    assert claim.comparisons[0].terms == ((1.0, Cell("d6", 2)), (-1.0, Cell("full", 2)))
    ours = Scored(Cell("full", 2), 0, "", "", "", {"0": {"raw.psnr": 9.0, "gt_mean.psnr": 20.0}}, {"0": "0"})
    flattered = Scored(
        Cell("d6", 2), 0, "", "", "", {"0": {"raw.psnr": 8.0, "gt_mean.psnr": 21.0}}, {"0": "0"}
    )
    plan = Plan("", PLANS["faults"].arms, (Cell("full", 2), Cell("d6", 2)), (claim,))
    assert judge(plan, [ours, flattered])[0].finding.mean == pytest.approx(1.0)


def test_table4_distinguishes_proportional_from_constant_times() -> None:
    plan = PLANS["table4"]
    rng = np.random.default_rng(0)

    def timed(seconds: dict[int, float]) -> dict[str, str]:
        noisy = [
            scored(cell, turn, list(seconds[cell.steps] * np.exp(0.02 * rng.normal(size=8))))
            for turn in range(3)
            for cell in plan.cells
        ]
        return dict(verdicts(judge(plan, noisy)))

    steps = [cell.steps for cell in plan.cells]
    assert set(timed({n: 0.04 * n for n in steps}).values()) == {"supported"}
    assert set(timed({n: 1 + 0.01 * n for n in steps}).values()) == {"contradicted"}


def planted(gain: float, seeds: int = 3) -> tuple[Plan, list[Scored]]:
    """A plan of two claims: A beats B at 2 steps by `gain`, and at 1 step by nothing."""
    claims = tuple(Claim(f"At {counted(n, 'step')}.", "the paper", (better(A, B, n),)) for n in (2, 1))
    plan = Plan("Title", (A, B), tuple(Cell(arm, n) for arm in "ab" for n in (2, 1)), claims)
    rng = np.random.default_rng(3)
    pictures = rng.normal(20, 3, 12)
    return plan, [
        scored(cell, seed, list(pictures + gain * (cell == ("a", 2)) + rng.normal(0, 0.1, 12)))
        for seed in range(seeds)
        for cell in plan.cells
    ]


@pytest.mark.parametrize(("gain", "expected"), [(0.5, "supported"), (-0.5, "contradicted"), (0, "undecided")])
def test_a_planted_difference_is_judged(gain: float, expected: str) -> None:
    plan, everything = planted(gain)
    assert verdicts(judge(plan, everything)) == {"At 2 steps.": expected, "At 1 step.": "undecided"}


def test_p_values_are_adjusted_for_all_comparisons_of_a_plan() -> None:
    first, second = judge(*planted(0.5))
    assert first.adjusted_p == pytest.approx(2 * first.finding.p)
    assert second.adjusted_p == second.finding.p


def test_other_metrics_are_judged_too() -> None:
    plan, everything = planted(0.5)
    plan = replace(plan, claims=(*plan.claims, Claim("Nearly.", "", (better(A, B, 2, margin=0.5),))))
    rich = [
        replace(
            one,
            pictures={
                name: scores | {"raw.lpips": 40 - scores["raw.psnr"]} for name, scores in one.pictures.items()
            },
        )
        for one in everything
    ]
    others = by_other_metrics(plan, rich)
    assert set(others) == {"seconds", "raw.lpips"}
    found = others["raw.lpips"]
    assert [one.comparison.text for one in found] == ["A − B, 2 steps", "A − B, 1 step"]
    for ours, decided in zip(found, judge(plan, rich), strict=False):
        assert ours.finding.mean == pytest.approx(decided.finding.mean)  # less LPIPS is better
        assert ours.adjusted_p <= decided.adjusted_p + 1e-9  # of two comparisons, not three


def test_one_seed_gives_no_verdict() -> None:
    for one in judge(*planted(0.5, seeds=1)):
        assert (one.verdict, one.why) == ("undecided", "one training seed")


def test_a_picture_equal_to_its_gt_is_refused() -> None:
    cells = [scored(Cell("a", 2), 0, [math.inf]), scored(Cell("b", 2), 0, [20.0])]
    with pytest.raises(UserError, match=r"runs/a-0: 0 has a raw\.psnr of inf"):
        differences(better(A, B, 2), cells, "raw.psnr")


def test_rows_name_runs_and_weights() -> None:
    plan, everything = planted(0.5)
    rows = picture_rows(plan, everything)
    assert len(rows) == 4 * 3 * 12
    assert {(row["run"], row["checkpoint"]) for row in rows if row["seed"] == 1} == {
        ("runs/a-1", "digest1"),
        ("runs/b-1", "digest1"),
    }
    summary = summary_rows(plan, everything)[0]
    means = [one.mean("raw.psnr") for one in everything if one.cell == ("a", 2)]
    assert summary["psnr_raw"] == pytest.approx(np.mean(means))
    assert summary["psnr_raw_std"] == pytest.approx(np.std(means, ddof=1))
    assert summary["runs"] == "runs/a-0 runs/a-1 runs/a-2" and summary["scenes"] == 12
    verdict = verdict_rows(judge(plan, everything))[0]
    assert verdict["verdict"] == "supported" and verdict["seeds_agreeing"] == "3 of 3"


def test_claims_need_all_their_comparisons() -> None:
    plan, everything = planted(0.5)
    one = Claim("At every number of steps.", "the paper", tuple(better(A, B, n) for n in (2, 1)))
    joined = Plan(plan.title, plan.arms, plan.cells, (one,))
    assert verdicts(judge(joined, everything)) == {"At every number of steps.": "undecided"}


def test_steps_are_counted_in_labels() -> None:
    assert [better(A, B, n).text for n in (1, 2)] == ["A − B, 1 step", "A − B, 2 steps"]
    assert better(A, B, 2, other_steps=16, margin=0.5).text == "A − B, 2 against 16 steps, 0.5 granted"
