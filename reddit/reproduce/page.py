"""The page of a target: the paper's claims, our numbers, the verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reddit.evaluation.published import published, published_times
from reddit.report.charts import Chart
from reddit.report.page import render
from reddit.report.tables import Table, page_table, show, table
from reddit.reproduce.findings import Judged, deciding, summary_rows, together_rows, verdicts
from reddit.reproduce.folds import WORTH
from reddit.reproduce.plan import Plan, metric_name
from reddit.reproduce.scoring import Scored

RULE = (
    "The rule, fixed before the runs (docs/reproduce.md): a comparison is supported if its difference is "
    "above 0, its p-value over scenes and training seeds, adjusted by Holm for all comparisons of this page, "
    "is at most 0.05, and the mean of every seed has the same sign. It is contradicted if the same holds for "
    "a difference below 0, and else undecided. A claim is supported if all its comparisons are, and "
    "contradicted if one is."
)
RULE_OF_FOLDS = (
    "The rule, fixed before the runs (docs/reproduce.md): a comparison has no difference if one of "
    f"{WORTH['psnr']:g} dB or {WORTH['lpips']:g} LPIPS can be excluded at the level of 0.05 (two one-sided "
    "tests); else it is supported if its difference is above 0, and contradicted if it is below, with a "
    "p-value of at most 0.05; else undecided. The p-value is the larger of those over folds and over scenes. "
    "GT-mean PSNR and GT-mean LPIPS each give a verdict. A claim is as good as its weakest comparison; what "
    "speaks against it is adjusted by Holm for its comparisons."
)
_DIGITS = {"psnr": 3, "ssim": 4, "lpips": 4, "seconds": 4}
_HEADER = (
    "difference",
    "verdict",
    "mean",
    "95 % over scenes and seeds",
    "over scenes",
    "p, adjusted",
    "agreeing",
)


def write_page(
    plan: Plan,
    scored: Sequence[Scored],
    judged: Sequence[Judged],
    others: Mapping[str, Sequence[Judged]],
    charts: Sequence[Chart],
    facts: Mapping[str, str],
    left_out: Mapping[str, str],
    beside: Sequence[Scored] = (),
) -> bytes:
    """The page as HTML.

    Args:
        others: the same comparisons by other metrics, for information only.
        facts: what else affects the numbers (data set, protocol, seeds, iterations, hardware).
        left_out: arms that equal another under this configuration: label → the other's label.
        beside: with folds, the scores on the test set, which decide nothing.
    """
    by_metric = deciding(plan, judged, others)
    claims = [
        {
            "text": claim.text,
            "source": claim.source or "a control that is not in the paper",
            "by": [
                {
                    "metric": metric_name(metric) if len(by_metric) > 1 else "",
                    "verdict": verdicts(each)[claim.text],
                    "table": _comparisons([one for one in each if one.claim.text == claim.text]),
                }
                for metric, each in by_metric.items()
                if claim.text in verdicts(each)
            ],
        }
        for claim in plan.claims
    ]
    skipped = "; ".join(f"{arm}, equal to {same} under this configuration" for arm, same in left_out.items())
    page = render(
        "reproduction.html",
        title=plan.title,
        claims=claims,
        together=page_table(together_rows(by_metric), {}) if judged else None,
        charts=charts,
        others={metric: _comparisons(each) for metric, each in others.items() if metric not in by_metric},
        arms=page_table(summary_rows(plan, scored), _DIGITS),
        beside=page_table(summary_rows(plan, beside), _DIGITS) if beside else None,
        published=_published(plan, facts.get("data set", "")),
        facts=dict(facts) | ({"omitted": skipped} if skipped else {}),
        rule=RULE_OF_FOLDS if len({one.fold for one in scored}) > 1 else RULE,
    )
    return page.encode()


def _comparisons(judged: Sequence[Judged]) -> Table:
    rows = []
    for one in judged:
        finding = one.finding
        rows.append(
            [
                one.comparison.text,
                one.verdict + (f" ({one.why})" if one.why else ""),
                f"{finding.mean:+.4f}",
                _interval(finding.whole),
                _interval(finding.scenes),
                f"{one.adjusted_p:.3g}",
                f"{finding.agreeing} of {len(finding.parts)} {finding.unit}s",
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
