"""Plots that are readable without colour: quality by steps, and the differences."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reddit.report.charts import DASHES, MARKERS, SERIES, Chart, mark_steps, on_page, style
from reddit.reproduce.findings import Judged
from reddit.reproduce.plan import Plan, metric_name
from reddit.reproduce.scoring import Scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNS = {"supported": "✓", "contradicted": "✗", "no difference": "=", "undecided": "?"}
CELLS = "Every arm by sampling steps; bars: standard deviation over {unit}"
DIFFERENCES = (
    "Differences, above 0 as claimed; 95 % intervals: thin over scenes and {unit}, thick over scenes"
)


def draw(plan: Plan, scored: Sequence[Scored], judged: Sequence[Judged]) -> dict[str, bytes]:
    """Both charts side by side as files for a paper, `png` and `svg`.

    Left: the mean of every cell, with bars of one standard deviation over seeds. Right: every comparison's
    difference; the thin bar is its 95 % interval over scenes and seeds, the thick one over scenes alone.
    """
    from matplotlib.figure import Figure

    with style(plan.title, page=False):
        figure = Figure(figsize=(12, 1.8 + max(3.0, 0.36 * len(judged))), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _cells(left, plan, scored)
        left.legend(fontsize=7)
        _differences(right, judged)
        left.set_title(_titled(CELLS, judged), fontsize=8)
        right.set_title(_titled(DIFFERENCES, judged).replace("; ", ";\n"), fontsize=8)
        figure.suptitle(plan.title)
        return {kind: _rendered(figure, kind) for kind in ("png", "svg")}


def charts(plan: Plan, scored: Sequence[Scored], judged: Sequence[Judged]) -> list[Chart]:
    """The same two as charts of a page, each as wide as a phone."""
    from matplotlib.figure import Figure

    with style(f"{plan.title}: cells", page=True):
        figure = Figure(figsize=(4.8, 3.2 + 0.12 * len(plan.arms)), layout="constrained")
        _cells(figure.subplots(), plan, scored)
        figure.legend(loc="outside lower left", ncols=2, fontsize=9.5)
        cells = on_page(_titled(CELLS, judged), figure)
    with style(f"{plan.title}: differences", page=True):
        figure = Figure(figsize=(4.8, 0.9 + 0.44 * len(judged)), layout="constrained")
        _differences(figure.subplots(), judged)
        return [cells, on_page(_titled(DIFFERENCES, judged), figure)]


def _titled(title: str, judged: Sequence[Judged]) -> str:
    return title.format(unit=f"{judged[0].finding.unit}s" if judged else "seeds")


def _rendered(figure: Figure, kind: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()


def _cells(axes: Axes, plan: Plan, scored: Sequence[Scored]) -> None:
    counts = sorted({cell.steps for cell in plan.cells}, reverse=True)
    means: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in scored:
        means[one.cell].append(one.mean(plan.metric))
    for number, arm in enumerate(plan.arms):
        steps = [n for n in counts if (arm.key, n) in means]
        beside = 2 ** (0.3 * (number / len(plan.arms) - 0.5))  # so that bars do not cover each other
        axes.errorbar(
            [n / beside for n in steps],
            [sum(means[arm.key, n]) / len(means[arm.key, n]) for n in steps],
            yerr=[_deviation(means[arm.key, n]) for n in steps],
            label=arm.label,
            color=f"C{number % len(SERIES)}",
            marker=MARKERS[number % len(MARKERS)],
            linestyle=DASHES[number % len(DASHES)],
            markersize=5,
            linewidth=1,
            capsize=2,
        )
    mark_steps(axes, counts)
    axes.set_xlabel("sampling steps")
    axes.set_ylabel("seconds per picture" if plan.timed else f"{metric_name(plan.metric)}, dB")
    if plan.timed:
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter("{x:.3g}")


def _differences(axes: Axes, judged: Sequence[Judged]) -> None:
    from matplotlib import rcParams

    ink, ground = rcParams["text.color"], rcParams["axes.facecolor"]
    for row, one in enumerate(judged):
        for (low, high), width in ((one.finding.whole, 1.0), (one.finding.scenes, 3.5)):
            if math.isfinite(low):
                axes.plot([low, high], [row, row], color=ink, linewidth=width, solid_capstyle="butt")
        axes.plot(one.finding.mean, row, marker="o", color=ground, markeredgecolor=ink, markersize=5)
        label = f"{one.comparison.text}  {SIGNS[one.verdict]}"
        box = {"facecolor": ground, "edgecolor": "none", "pad": 1}  # readable over the line at 0
        place = axes.get_yaxis_transform()
        axes.text(
            0, row - 0.28, label, transform=place, va="bottom", fontsize=0.9 * rcParams["font.size"], bbox=box
        )
    axes.axvline(0, color=ink, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_yticks([])
    axes.spines.left.set_visible(False)
    axes.set_ylim(len(judged) - 0.5, -1)
    axes.set_xlabel(", ".join(f"{sign} {verdict}" for verdict, sign in SIGNS.items()))


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
