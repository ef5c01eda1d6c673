"""The page of a target: the paper's claims, our numbers, the verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reddit.evaluation.published import published, published_times
from reddit.report.charts import Chart
from reddit.report.page import render
from reddit.report.tables import Table, page_table, show, table
from reddit.reproduce.findings import Judged, summary_rows, verdicts
from reddit.reproduce.plan import Plan
from reddit.reproduce.scoring import Scored

RULE = (
    "The rule, fixed before the runs (docs/reproduce.md): a comparison is supported if its difference is "
    "above 0, its p-value over scenes and training seeds, adjusted by Holm for all comparisons of this page, "
    "is at most 0.05, and the mean of every seed has the same sign. It is contradicted if the same holds for "
    "a difference below 0, and else undecided. A claim is supported if all its comparisons are, and "
    "contradicted if one is."
)
_DIGITS = {"psnr": 3, "ssim": 4, "lpips": 4, "seconds": 4}
_HEADER = (
    "difference",
    "verdict",
    "mean",
    "95 % over scenes and seeds",
    "over scenes",
    "p, adjusted",
    "seeds",
)


def write_page(
    plan: Plan,
    scored: Sequence[Scored],
    judged: Sequence[Judged],
    others: Mapping[str, Sequence[Judged]],
    charts: Sequence[Chart],
    facts: Mapping[str, str],
    left_out: Mapping[str, str],
) -> bytes:
    """The page as HTML.

    Args:
        others: the same comparisons by other metrics, for information only.
        facts: what else affects the numbers (data set, protocol, seeds, iterations, hardware).
        left_out: arms that equal another under this configuration: label → the other's label.
    """
    together = verdicts(judged)
    claims = [
        {
            "text": claim.text,
            "source": claim.source or "a control that is not in the paper",
            "verdict": together[claim.text],
            "table": _comparisons([one for one in judged if one.claim is claim]),
        }
        for claim in plan.claims
    ]
    skipped = "; ".join(f"{arm}, equal to {same} under this configuration" for arm, same in left_out.items())
    page = render(
        "reproduction.html",
        title=plan.title,
        claims=claims,
        charts=charts,
        others={metric: _comparisons(each) for metric, each in others.items()},
        arms=page_table(summary_rows(plan, scored), _DIGITS),
        published=_published(plan, facts.get("data set", "")),
        facts=dict(facts) | ({"omitted": skipped} if skipped else {}),
        rule=RULE,
    )
    return page.encode()


def _comparisons(judged: Sequence[Judged]) -> Table:
    rows = []
    for one in judged:
        finding = one.finding
        agree = sum(seed * finding.mean > 0 for seed in finding.by_seed)
        rows.append(
            [
                one.comparison.text,
                one.verdict + (f" ({one.why})" if one.why else ""),
                f"{finding.mean:+.4f}",
                _interval(finding.whole),
                _interval(finding.scenes),
                f"{one.adjusted_p:.3g}",
                f"{agree} of {len(finding.by_seed)}",
            ]
        )
    return table(_HEADER, rows)


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:+.4f} to {high:+.4f}" if math.isfinite(low) else "unbounded"


def _published(plan: Plan, dataset: str) -> Table | None:
    if plan.timed:
        times = [[row.method, str(row.nfe), f"{row.seconds:.3f}"] for row in published_times()]
        return table(["method", "steps", "seconds, on a GPU that the paper does not name"], times)
    rows = [
        [row.method, show(row.nfe), show(row.psnr, 3), show(row.ssim, 3), show(row.lpips, 3), row.gt_mean]
        for row in published(dataset)
        if row.method.startswith("ReDDiT")
    ]
    return table(["method", "steps", "PSNR", "SSIM", "LPIPS", "GT-mean"], rows) if rows else None
