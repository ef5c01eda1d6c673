"""A figure that reads without colour: quality by steps, and the differences that decide."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reddit.reproduce.findings import Judged
from reddit.reproduce.plan import Plan
from reddit.reproduce.scoring import Scored
from reddit.utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vP*X<>"
DASHES: list[tuple[int, tuple[int, ...]]] = [(0, ()), (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2))]  # type: ignore[list-item]
SHADES = ("#000000", "#c2410c", "#1d4ed8", "#737373", "#15803d", "#7e22ce")
SIGNS = {"supported": "✓", "contradicted": "✗", "undecided": "?"}


def check_plots() -> None:
    """Learn early that there is nothing to draw with.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UserError("plots need matplotlib: pip install -e '.[reproduce]'") from error


def draw(plan: Plan, scored: Sequence[Scored], judged: Sequence[Judged]) -> dict[str, bytes]:
    """The plot as `png` and `svg`.

    Left: the mean of every cell, bars of a standard deviation over seeds. Right: every comparison's
    difference; the thin bar is its 95 % interval over scenes and seeds, the thick one over scenes alone.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": plan.title, "font.size": 9}):
        figure = Figure(figsize=(12, 1.8 + max(3.0, 0.27 * len(judged))), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _cells(left, plan, scored)
        _differences(right, judged)
        figure.suptitle(plan.title)
        return {kind: _rendered(figure, kind) for kind in ("png", "svg")}


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
        values = [sum(means[arm.key, n]) / len(means[arm.key, n]) for n in steps]
        deviations = [_deviation(means[arm.key, n]) for n in steps]
        beside = (number - (len(plan.arms) - 1) / 2) * 0.4 / len(plan.arms)
        axes.errorbar(
            [counts.index(n) + beside for n in steps],
            values,
            yerr=deviations,
            label=arm.label,
            color=SHADES[number % len(SHADES)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle=DASHES[number % len(DASHES)],
            markersize=5,
            linewidth=1,
            capsize=2,
        )
    axes.set_xticks(range(len(counts)), [str(n) for n in counts])
    axes.set_xlim(-0.5, len(counts) - 0.5)
    axes.set_xlabel("sampling steps")
    axes.set_ylabel("seconds a picture" if plan.timed else "raw PSNR, dB")
    if plan.timed:
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter("{x:.3g}")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False)
    axes.set_title("bars: a standard deviation over seeds", fontsize=8)


def _differences(axes: Axes, judged: Sequence[Judged]) -> None:
    for row, one in enumerate(judged):
        for (low, high), width in ((one.finding.whole, 1), (one.finding.scenes, 3.5)):
            if math.isfinite(low):
                axes.plot([low, high], [row, row], color="black", linewidth=width, solid_capstyle="butt")
        axes.plot(one.finding.mean, row, marker="o", color="white", markeredgecolor="black", markersize=5)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    labels = [f"{one.comparison.text}  {SIGNS[one.verdict]}" for one in judged]
    axes.set_yticks(range(len(judged)), labels, fontsize=7)
    axes.set_ylim(len(judged) - 0.5, -0.5)
    axes.yaxis.tick_right()
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel("difference: above 0 as claimed (✓ supported, ✗ contradicted, ? undecided)")
    axes.set_title("95 % intervals: thin over scenes and seeds, thick over scenes", fontsize=8)


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
