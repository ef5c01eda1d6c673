"""From scores to verdicts: the differences of each comparison are tested, adjusted and judged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import stdev

import numpy as np

from reddit.report.tables import Cell as Shown
from reddit.reproduce import statistics
from reddit.reproduce.folds import DECIDING, decide, find_over_folds, worth_naming
from reddit.reproduce.plan import Cell, Claim, Comparison, Plan, metric_name
from reddit.reproduce.scoring import Scored
from reddit.reproduce.statistics import Finding, Verdict
from reddit.utils.errors import UserError

LESS_IS_BETTER = ("lpips", "niqe", "niqe_grey")
"""Metrics whose differences change sign, so that above 0 is always better."""


@dataclass(frozen=True)
class Judged:
    """One comparison of a claim, with its p-value adjusted for all comparisons of the plan.

    With folds, the p-value is adjusted for the comparisons of the claim.
    """

    claim: Claim
    comparison: Comparison
    finding: Finding
    adjusted_p: float
    verdict: Verdict
    why: str
    scenes: int = 0
    """Scenes, over all folds."""
    folds: tuple[int, ...] = ()
    """The folds that were compared, from 0; none without folds."""


def judge(plan: Plan, scored: Sequence[Scored]) -> list[Judged]:
    """Judge every comparison of a plan, each over the folds in which all its cells are scored.

    Raises:
        UserError: a picture equals its ground truth, so that its PSNR is infinite.
    """
    folds = sorted({one.fold for one in scored})
    if len(folds) > 1:
        by_fold = {fold: [one for one in scored if one.fold == fold] for fold in folds}
        return [one for claim in plan.claims for one in _judge_over_folds(claim, by_fold, plan.metric)]
    asked = [(claim, comparison) for claim in plan.claims for comparison in claim.comparisons]
    matrices = [differences(comparison, scored, comparison.metric or plan.metric) for _, comparison in asked]
    found = [statistics.find(matrix) for matrix in matrices]
    adjusted = statistics.holm([finding.p for finding in found])
    return [
        Judged(
            *which,
            finding,
            p,
            statistics.verdict(finding, p),
            statistics.why_undecided(finding, p, m.shape[1]),
            m.shape[1],
        )
        for which, m, finding, p in zip(asked, matrices, found, adjusted, strict=True)
    ]


def _judge_over_folds(claim: Claim, by_fold: Mapping[int, Sequence[Scored]], metric: str) -> list[Judged]:
    """The comparisons of a claim by the rule of `reddit.reproduce.folds`."""
    found, sizes = [], []
    for comparison in claim.comparisons:
        used = comparison.metric or metric
        needed = {cell for _, cell in comparison.terms}
        there = [fold for fold, scored in by_fold.items() if needed <= {one.cell for one in scored}]
        matrices = [differences(comparison, by_fold[fold], used) for fold in there]
        sizes.append((sum(matrix.shape[1] for matrix in matrices), tuple(there)))
        # With a margin, 0 is not the point of no difference.
        found.append(find_over_folds(matrices, None if comparison.margin else worth_naming(used)))
    adjusted = statistics.holm([finding.p for finding in found])
    same = statistics.holm([finding.p_same for finding in found])
    judged = []
    each = zip(claim.comparisons, found, adjusted, same, sizes, strict=True)
    for comparison, finding, p, p_same, size in each:
        verdict = decide(finding, p, p_same)
        p = finding.p if finding.mean > 0 else p
        why = f"p {p:.2g}" if verdict == "undecided" else ""
        judged.append(Judged(claim, comparison, finding, p, verdict, why, *size))
    return judged


def by_other_metrics(plan: Plan, scored: Sequence[Scored]) -> dict[str, list[Judged]]:
    """The same comparisons by each other metric that was scored, for information only.

    Comparisons with a margin or with their own metric are omitted, as they hold for that metric only. The
    p-values are adjusted for each metric separately.
    """
    plain = [
        replace(claim, comparisons=tuple(c for c in claim.comparisons if not c.margin and c.metric is None))
        for claim in plan.claims
    ]
    plan = replace(plan, claims=tuple(claim for claim in plain if claim.comparisons))
    others = [metric for metric in next(iter(scored[0].pictures.values())) if metric != plan.metric]
    return {metric: judge(replace(plan, metric=metric), scored) for metric in others if plan.claims}


def differences(comparison: Comparison, scored: Sequence[Scored], metric: str) -> np.ndarray:
    """The weighted sum of a comparison, (seeds, scenes), above 0 is better; scenes are means of pictures."""
    by_cell: dict[Cell, list[np.ndarray]] = defaultdict(list)
    for one in scored:
        by_cell[one.cell].append(_scene_means(one, metric))
    total = sum(weight * np.array(by_cell[cell]) for weight, cell in comparison.terms)
    sign = -1 if metric.endswith(LESS_IS_BETTER) else 1
    return np.asarray(sign * total + comparison.margin)


def deciding(
    plan: Plan, judged: Sequence[Judged], others: Mapping[str, Sequence[Judged]]
) -> dict[str, Sequence[Judged]]:
    """The comparisons by each metric that decides; `others`: from `by_other_metrics`."""
    folds = any(one.finding.unit == "fold" for one in judged)
    return {plan.metric: judged} | {
        metric: others[metric] for metric in DECIDING if folds and metric in others
    }


def in_words(by_metric: Mapping[str, Sequence[Judged]]) -> dict[str, str]:
    """The verdict of each claim in words; by each metric, if several decide."""
    words: dict[str, list[str]] = defaultdict(list)
    for metric, judged in by_metric.items():
        for claim, verdict in verdicts(judged).items():
            words[claim].append(f"{verdict} by {metric_name(metric)}" if len(by_metric) > 1 else verdict)
    return {claim: ", ".join(each) for claim, each in words.items()}


def verdicts(judged: Sequence[Judged]) -> dict[str, Verdict]:
    """The verdict of each claim."""
    by_claim: dict[str, list[Verdict]] = defaultdict(list)
    for one in judged:
        by_claim[one.claim.text].append(one.verdict)
    return {text: statistics.together(each) for text, each in by_claim.items()}


def _scene_means(scored: Scored, metric: str) -> np.ndarray:
    groups: dict[str, list[float]] = defaultdict(list)
    for name, scores in sorted(scored.pictures.items()):
        value = math.log2(scores[metric]) if metric == "seconds" else scores[metric]
        if not math.isfinite(value):
            raise UserError(
                f"{scored.run}: {name} has a {metric} of {value}: is it equal to its ground truth?"
            )
        groups[scored.scenes[name]].append(value)
    return np.array([np.mean(group) for group in groups.values()])


# Rows of tables


def picture_rows(plan: Plan, scored: Sequence[Scored]) -> list[dict[str, Shown]]:
    """Every picture of every cell and seed, with its run and weights."""
    return [
        {**_about(plan, one.cell), "sampler": one.sampler, "seed": one.seed}
        | {"picture": name, "scene": one.scenes[name]}
        | {_column(metric): value for metric, value in scores.items()}
        | {"run": one.run, "checkpoint": one.digest}
        for one in scored
        for name, scores in one.pictures.items()
    ]


def summary_rows(plan: Plan, scored: Sequence[Scored]) -> list[dict[str, Shown]]:
    """Every cell: means over pictures and seeds, and the standard deviation over seeds."""
    rows = []
    for cell in plan.cells:
        ours = [one for one in scored if one.cell == cell]
        row: dict[str, Shown] = {**_about(plan, cell), "sampler": ours[0].sampler}
        if any(one.fold for one in scored):
            row["folds"] = len({one.fold for one in ours})
        row["seeds"] = len({one.seed for one in ours})
        scenes = {name: scene for one in ours for name, scene in one.scenes.items()}
        row["pictures"], row["scenes"] = len(scenes), len(set(scenes.values()))
        for metric in next(iter(ours[0].pictures.values())):
            means = [one.mean(metric) for one in ours]
            row[_column(metric)] = sum(means) / len(means)
            row[f"{_column(metric)}_std"] = stdev(means) if len(means) > 1 else None
        row["runs"] = " ".join(dict.fromkeys(one.run for one in ours))
        row["checkpoints"] = " ".join(dict.fromkeys(one.digest for one in ours))
        rows.append(row)
    return rows


def verdict_rows(judged: Sequence[Judged]) -> list[dict[str, Shown]]:
    """Every comparison: difference, intervals, p-values and verdict."""
    rows: list[dict[str, Shown]] = []
    for one in judged:
        finding, spread = one.finding, one.finding.spread
        row: dict[str, Shown] = {
            "claim": one.claim.text,
            "comparison": one.comparison.text,
            "difference": finding.mean,
            "low": finding.whole[0],
            "high": finding.whole[1],
            "low_over_scenes": finding.scenes[0],
            "high_over_scenes": finding.scenes[1],
            "p_over_scenes": finding.p_scenes,
            "p": finding.p,
            "p_adjusted": one.adjusted_p,
            f"{finding.unit}s_agreeing": f"{finding.agreeing} of {len(finding.parts)}",
            "verdict": one.verdict,
            "why": one.why,
            "scenes": one.scenes,
        }
        if one.folds:
            row["folds"] = " ".join(str(fold + 1) for fold in one.folds)
        if spread:
            row |= {"p_same": finding.p_same, "sd_folds": spread.folds}
            row |= {"sd_runs": spread.runs, "sd_scenes": spread.scenes}
        rows.append(row)
    return rows


def together_rows(by_metric: Mapping[str, Sequence[Judged]]) -> list[dict[str, Shown]]:
    """Every comparison once, with difference, 95 % interval and verdict by each metric that decides.

    Above 0 is better, also in LPIPS. What a metric does not judge, as a tolerance in dB, is missing there.
    """
    rows: dict[str, dict[str, Shown]] = {}
    for metric, judged in by_metric.items():
        name, digits = metric_name(metric), 4 if metric.endswith("lpips") else 2
        for one in judged:
            folds: dict[str, Shown] = {"folds": " ".join(str(k + 1) for k in one.folds)} if one.folds else {}
            about = {"comparison": one.comparison.text, **folds, "scenes": one.scenes}
            row = rows.setdefault(one.comparison.text, about)
            low, high = one.finding.whole
            row[name] = f"{one.finding.mean:+.{digits}f}"
            row[f"95 % by {name}"] = (
                f"{low:+.{digits}f} to {high:+.{digits}f}" if math.isfinite(low) else "unbounded"
            )
            row[f"verdict by {name}"] = one.verdict
    keys = dict.fromkeys(key for row in rows.values() for key in row)
    return [{key: row.get(key) for key in keys} for row in rows.values()]


def other_metric_rows(others: Mapping[str, Sequence[Judged]]) -> list[dict[str, Shown]]:
    """The rows of `verdict_rows` for other metrics, with a column for the metric."""
    return [
        {"metric": _column(metric), **row}
        for metric, judged in others.items()
        for row in verdict_rows(judged)
    ]


def _about(plan: Plan, cell: Cell) -> dict[str, Shown]:
    return {"arm": plan.arm(cell.arm).label, "steps": cell.steps}


def _column(metric: str) -> str:
    """`raw.psnr` → `psnr_raw`, as in the other tables of the project."""
    return "_".join(reversed(metric.split(".")))
