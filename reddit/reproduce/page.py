"""The page of a target: the paper's claims, our numbers, the verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reddit.evaluation.published import published, published_times
from reddit.report import page as html
from reddit.report.tables import Cell, show
from reddit.reproduce.findings import Judged, summary_rows, verdicts
from reddit.reproduce.plan import Plan
from reddit.reproduce.scoring import Scored

RULE = (
    "The rule, fixed before the runs (docs/reproduce.md): a comparison is supported where the difference is "
    "above 0, its p, over scenes and over training seeds and adjusted by Holm for all comparisons of this "
    "page, is at most 0.05, and every seed's mean has the same sign; contradicted in the mirror image; else "
    "undecided. A claim is supported where all its comparisons are, contradicted where one is."
)


def write_page(
    plan: Plan,
    scored: Sequence[Scored],
    judged: Sequence[Judged],
    others: Mapping[str, Sequence[Judged]],
    plot: bytes,
    facts: Mapping[str, str],
    left_out: Mapping[str, str],
) -> bytes:
    """The page as HTML.

    Args:
        others: the same comparisons by metrics that decide nothing.
        plot: SVG.
        facts: what else decides the numbers (data set, protocol, seeds, budget, hardware).
        left_out: arms that the configuration makes equal to another, by label.
    """
    together = verdicts(judged)
    parts = []
    for claim in plan.claims:
        parts.append(f"<h2>{html.text(claim.text)}</h2>")
        source = claim.source or "a control that the paper does not make"
        parts.append(f'<p class="note">{html.text(source)}</p>')
        parts.append(f"<p><strong>{html.text(together[claim.text])}</strong></p>")
        parts.append(_comparisons([one for one in judged if one.claim is claim]))
    svg = plot.decode()
    parts.append(f"<h2>Plot</h2>{svg[svg.index('<svg') :]}")
    for metric, each in others.items():
        parts.append(f"<h2>The same by {html.text(metric)}, which decides nothing</h2>" + _comparisons(each))
    parts.append("<h2>Every arm</h2>" + _summary(plan, scored))
    parts.append("<h2>The paper's numbers</h2>" + _published(plan, facts.get("data set", "")))
    parts.append("<h2>What decides these numbers</h2>")
    notes = [f"{key}: {value}" for key, value in facts.items()]
    notes += [
        f"left out: {arm}, which this configuration makes equal to {same}" for arm, same in left_out.items()
    ]
    notes.append(RULE)
    parts += [f'<p class="note">{html.text(note)}</p>' for note in notes]
    return html.page(plan.title, "\n".join(parts)).encode()


def _comparisons(judged: Sequence[Judged]) -> str:
    rows = []
    for one in judged:
        finding = one.finding
        agree = sum(seed * finding.mean > 0 for seed in finding.by_seed)
        rows.append(
            [
                one.comparison.text,
                f"{finding.mean:+.4f}",
                _interval(finding.whole),
                _interval(finding.scenes),
                f"{one.adjusted_p:.3g}",
                f"{agree} of {len(finding.by_seed)}",
                one.verdict + (f" ({one.why})" if one.why else ""),
            ]
        )
    header = [
        "difference",
        "mean",
        "95 % over scenes and seeds",
        "over scenes",
        "p, adjusted",
        "seeds",
        "verdict",
    ]
    return html.table(header, rows)


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:+.4f} to {high:+.4f}" if math.isfinite(low) else "unbounded"


def _summary(plan: Plan, scored: Sequence[Scored]) -> str:
    rows = summary_rows(plan, scored)
    digits = {"psnr": 3, "ssim": 4, "lpips": 4, "seconds": 4}
    header = list(rows[0])

    def shown(key: str, value: Cell) -> str:
        return show(value, next((digits[word] for word in key.split("_") if word in digits), None))

    return html.table(
        [key.replace("_", " ") for key in header], [[shown(k, row[k]) for k in header] for row in rows]
    )


def _published(plan: Plan, dataset: str) -> str:
    if plan.timed:
        times = [[row.method, str(row.nfe), f"{row.seconds:.3f}"] for row in published_times()]
        return html.table(["method", "steps", "seconds, on a GPU that the paper does not name"], times)
    rows = [
        [row.method, show(row.nfe), show(row.psnr, 3), show(row.ssim, 3), show(row.lpips, 3), row.gt_mean]
        for row in published(dataset)
        if row.method.startswith("ReDDiT")
    ]
    if not rows:
        return '<p class="note">The paper has none for this data set.</p>'
    return html.table(["method", "steps", "PSNR", "SSIM", "LPIPS", "GT-mean"], rows)
