"""Pieces of self-contained HTML pages: no script, style or picture from anywhere else."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

from reddit.image.write import encode

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #d97706; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } tr.chosen { background: var(--soft); font-weight: 600; }
figure { margin: 0; } figcaption { font-size: .85rem; opacity: .8; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .5rem; }
.row { margin: .8rem 0; } img { width: 100%; display: block; border-radius: 3px; }
pre { overflow-x: auto; background: var(--soft); padding: .8rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 1rem; }
svg text { font-size: 11px; fill: currentColor; } .note { opacity: .8; font-size: .9rem; }
"""


def page(title: str, body: str, extra: str = "") -> str:
    """A whole page; `extra` goes into the head (more style, scripts)."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style>{extra}</head>\n"
        f"<body><h1>{text(title)}</h1>\n{body}\n</body></html>\n"
    )


def text(value: str) -> str:
    """Escape for HTML."""
    return html.escape(value)


def image(picture: np.ndarray, alt: str, extension: str = ".jpg") -> str:
    """An RGB uint8 (H, W, 3) inside the page."""
    kind = "jpeg" if extension == ".jpg" else "png"
    data = base64.b64encode(encode(picture, extension)).decode()
    return f'<img alt="{text(alt)}" src="data:image/{kind};base64,{data}">'


def figure(picture: np.ndarray, caption: str) -> str:
    return f"<figure>{image(picture, caption)}<figcaption>{text(caption)}</figcaption></figure>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], chosen: int | None = None) -> str:
    """A table of texts; the row number `chosen` stands out."""
    head = "".join(f"<th>{text(h)}</th>" for h in header)
    lines = []
    for number, row in enumerate(rows):
        mark = ' class="chosen"' if number == chosen else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def chart(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    log_y: bool = False,
    size: tuple[int, int] = (380, 230),
) -> str:
    """A line chart as SVG; points that are not finite (or not positive on a log axis) are left out."""
    kept = {
        name: [
            (x, math.log10(y) if log_y else y) for x, y in points if math.isfinite(y) and (y > 0 or not log_y)
        ]
        for name, points in series.items()
    }
    everything = [p for points in kept.values() for p in points]
    if not everything:
        return ""
    width, height = size
    left, right, top, bottom = 52, 12, 26, 34
    (x0, x1), (y0, y1) = (_span([p[k] for p in everything]) for k in (0, 1))

    def place(point: tuple[float, float]) -> str:
        x = left + (point[0] - x0) / (x1 - x0) * (width - left - right)
        y = height - bottom - (point[1] - y0) / (y1 - y0) * (height - top - bottom)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<text x="{left}" y="15" font-weight="600">{text(title)}</text>']
    for k in range(5):
        value = y0 + (y1 - y0) * k / 4
        y = place((x0, value)).split(",")[1]
        label = f"{10**value:.3g}" if log_y else f"{value:.4g}"
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y}" y2="{y}" stroke="currentColor" opacity=".15"/>'
        )
        parts.append(f'<text x="{left - 5}" y="{float(y) + 4:.1f}" text-anchor="end">{label}</text>')
    for value, anchor in ((x0, "start"), (x1, "end")):
        x = place((value, y0)).split(",")[0]
        parts.append(f'<text x="{x}" y="{height - bottom + 15}" text-anchor="{anchor}">{value:g}</text>')
    parts.append(
        f'<text x="{(left + width) / 2}" y="{height - 4}" text-anchor="middle">{text(x_label)}</text>'
    )
    for number, (name, points) in enumerate(kept.items()):
        colour = f"hsl({(30 + 137 * number) % 360} 75% 48%)"
        line = " ".join(map(place, points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if len(points) == 1:
            cx, cy = place(points[0]).split(",")
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>')
        if len(kept) > 1:
            row = top + 10 + 14 * number
            place_of = f'x="{width - right}" y="{row}" text-anchor="end" style="fill:{colour}"'
            parts.append(f"<text {place_of}>{text(name)}</text>")
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(title)}">{"".join(parts)}</svg>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
