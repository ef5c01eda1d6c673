"""Charts as SVG inside a page, whose style gives their colours, so that they follow its light or dark mode.

matplotlib is imported when the first chart is drawn.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Points = Sequence[tuple[float, float]]

SIZE = (4.8, 2.9)
"""Inches of a chart, about as wide as a phone, so that its text is as large there as the text around it."""
MARKERS = "osD^vP*X<>"
DASHES: list[Any] = [(0, ()), (0, (5, 2)), (0, (2, 1.5)), (0, (5, 2, 1, 2))]
SERIES = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#0e7490", "#737373")
"""Colours on white paper; on a page the variables --series-0 to --series-5 of style.css."""

# Placeholder colours, which are replaced by those of the page.
_INK, _GROUND = "#010203", "#fdfcfb"
_VARIABLES = {_INK: "currentColor", _GROUND: "var(--card)"} | {
    f"#fe00{number:02x}": f"var(--series-{number})" for number in range(len(SERIES))
}


class Chart(NamedTuple):
    """A title, shown above, and the `<svg>` element, in which all text is escaped."""

    title: str
    svg: Markup


@contextmanager
def style(name: str, *, page: bool) -> Iterator[None]:
    """Settings of matplotlib inside which a figure is made and saved.

    Args:
        name: of the chart; equal charts of equal names are equal files.
        page: for `on_page`; else black on white, for a separate file.
    """
    import matplotlib
    from matplotlib.rcsetup import cycler

    ink, ground = (_INK, _GROUND) if page else ("black", "white")
    colours = list(_VARIABLES)[2:] if page else list(SERIES)
    settings: dict[Any, Any] = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), ink
    )
    settings |= {"axes.facecolor": ground, "axes.prop_cycle": cycler(color=colours)}
    settings |= {"axes.grid": True, "grid.alpha": 0.15, "axes.axisbelow": True}
    settings |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    settings |= {"font.family": "sans-serif", "font.size": 10.5 if page else 9}
    settings |= {"svg.hashsalt": name, "svg.fonttype": "none" if page else "path", "text.parse_math": False}
    with matplotlib.rc_context(settings):
        yield


def on_page(title: str, figure: Figure) -> Chart:
    """A figure that was made inside `style(page=True)` as a chart of a page."""
    stream = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(stream.getvalue())
    _remove(root, "metadata", "style")  # a style would apply to the whole page
    _plain(root)
    svg = ElementTree.tostring(root, encoding="unicode")
    box = " ".join(f"{side:g}" for side in (0, 0, *figure.get_size_inches() * 72))
    start = Markup('<svg role="img" aria-label="{}" viewBox="{}">').format(title, box)
    return Chart(title, start + Markup(svg[svg.index(">") + 1 :]))


def lines(
    title: str,
    series: Mapping[str, Points],
    *,
    x_label: str,
    log_y: bool = False,
    halvings: bool = False,
) -> Chart | None:
    """One line per series; None if there is nothing to show.

    Points that are not finite, or not positive on a logarithmic axis, are left out.

    Args:
        log_y: a logarithmic axis.
        halvings: x is a number of steps: logarithmic, every number is marked, and the largest is on the left.
    """
    from matplotlib.figure import Figure

    def shown(y: float) -> bool:
        return math.isfinite(y) and (y > 0 or not log_y)

    kept = {name: [p for p in points if shown(p[1])] for name, points in series.items()}
    kept = {name: points for name, points in kept.items() if points}
    if not kept:
        return None
    with style(title, page=True):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for number, (name, points) in enumerate(kept.items()):
            marked = MARKERS[number % len(MARKERS)] if halvings or len(points) == 1 else ""
            axes.plot(
                *zip(*points, strict=True),
                label=name,
                color=f"C{number % len(SERIES)}",
                linestyle=DASHES[number % len(DASHES)],
                marker=marked,
                markersize=5,
            )
        axes.set_xlabel(x_label)
        if log_y:
            _logarithmic(axes, [y for points in kept.values() for _, y in points])
        if halvings:
            mark_steps(axes, sorted({x for points in kept.values() for x, _ in points}))
        if len(kept) > 1:
            figure.legend(loc="outside lower left", ncols=4)
        return on_page(title, figure)


def mark_steps(axes: Axes, steps: Sequence[float]) -> None:
    """Make x a logarithmic axis of numbers of steps, each marked, from many to few."""
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    axes.set_xticks(steps, [f"{n:g}" for n in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(max(steps) * 1.2, min(steps) / 1.2)


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axes.set_yscale("log")
    narrow = max(values) < 8 * min(values)
    axes.yaxis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:.3g}")


def _remove(element: ElementTree.Element, *tags: str) -> None:
    for child in list(element):
        if child.tag.rpartition("}")[2] in tags:
            element.remove(child)
        else:
            _remove(child, *tags)


def _plain(root: ElementTree.Element) -> None:
    """Make it an element of HTML: no namespaces, no unused ids, the page's colours and font."""
    every = list(root.iter())
    used = set(re.findall(r"#([\w.-]+)", " ".join(value for one in every for value in one.attrib.values())))
    for element in every:
        element.tag = element.tag.rpartition("}")[2]
        for name, value in element.items():
            del element.attrib[name]
            if name != "id" or value in used:
                value = re.sub(r"font-family:[^;]*;? ?", "", value)
                value = re.sub("#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), value)
                element.set(name.rpartition("}")[2], value)
