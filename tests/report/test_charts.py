from __future__ import annotations

import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from reddit.report.charts import SERIES, SIZE, Chart, lines
from reddit.report.page import TEMPLATES

NASTY = "<script>alert(\"1\")</script> & 'x' $x_1$ %"


def svg(chart: Chart | None) -> ElementTree.Element:
    assert chart is not None
    return ElementTree.fromstring(chart.svg)


def curves(chart: Chart | None) -> list[list[tuple[float, float]]]:
    """The points of every line of data, whose colours are those of series."""
    found = []
    for path in svg(chart).iter("path"):
        style = path.get("style", "")
        if "clip-path" in path.attrib and "var(--series" in style:
            numbers = re.findall(r"[-\d.]+", str(path.get("d")))
            found.append(list(zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True)))
    return found


def said(chart: Chart | None) -> list[str]:
    return [text.text or "" for text in svg(chart).iter("text")]


def test_a_chart_is_well_formed_and_escaped() -> None:
    chart = lines(NASTY, {NASTY: [(0, 1), (1, 2)], "b": [(0, 1)]}, x_label=NASTY)
    assert chart is not None and chart.title == NASTY
    assert svg(chart).get("aria-label") == NASTY and svg(chart).tag == "svg"
    assert said(chart).count(NASTY) == 2  # axis and legend; dollars are no mathematics
    assert not {"script", "style", "metadata"} & {element.tag for element in svg(chart).iter()}


def test_a_chart_takes_its_colours_and_font_from_the_page() -> None:
    points = {name: [(0.0, k), (1.0, k + 1)] for k, name in enumerate("abcdef")}
    source = lines("t", points, x_label="x").svg  # type: ignore[union-attr]
    used = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", source))
    assert used == {"none", "currentColor"} | {f"var(--series-{k})" for k in range(len(SERIES))}
    assert not re.search("#[0-9a-f]{6}|font-family|http", source)
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    for k in range(len(SERIES)):
        assert style.count(f"--series-{k}:") == 2  # light and dark


def test_a_chart_leaves_out_what_it_cannot_show() -> None:
    points = [(0.0, 1.0), (1.0, math.inf), (2.0, math.nan), (3.0, 2.0), (4.0, 0.0)]
    (line,) = curves(lines("t", {"a": points}, x_label="x"))
    assert len(line) == 3
    (line,) = curves(lines("t", {"a": points}, x_label="x", log_y=True))
    assert len(line) == 2
    assert lines("t", {"a": [(0, math.inf)]}, x_label="x") is None
    assert lines("t", {}, x_label="x") is None


@pytest.mark.parametrize("points", [[(0.0, 2.0), (9.0, 2.0)], [(0.0, -3.0), (1.0, 1e6)]])
def test_points_stay_inside_the_chart(points: list[tuple[float, float]]) -> None:
    chart = lines("t", {"a": points}, x_label="x")
    left, top, width, height = map(float, str(svg(chart).get("viewBox")).split())
    assert (left, top) == (0, 0) and (width, height) == pytest.approx([72 * side for side in SIZE])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in curves(chart)[0])


def test_higher_values_are_drawn_higher() -> None:
    ((x0, y0), (x1, y1)) = curves(lines("t", {"a": [(0, 1), (1, 2)]}, x_label="x"))[0]
    assert x0 < x1 and y0 > y1


def test_a_single_point_is_seen() -> None:
    chart = lines("t", {"a": [(5.0, 5.0)]}, x_label="x")
    assert any("var(--series-0)" in use.get("style", "") for use in svg(chart).iter("use"))


def test_steps_go_from_many_to_few_and_all_are_marked() -> None:
    chart = lines("t", {"a": [(16.0, 1.0), (4.0, 2.0), (1.0, 3.0)]}, x_label="steps", halvings=True)
    assert {"16", "4", "1"} <= set(said(chart)) and not {"2", "8"} & set(said(chart))
    xs = [x for x, _ in curves(chart)[0]]
    assert xs[0] < xs[1] < xs[2] and xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], rel=1e-3)


@pytest.mark.parametrize("values", [(0.02, 0.03), (1e-4, 2.0)])
def test_a_logarithmic_axis_has_plain_numbers(values: tuple[float, float]) -> None:
    chart = lines("t", {"a": list(enumerate(values))}, x_label="", log_y=True)
    ys = {text for text in said(chart) if text}
    numbers = {float(text.replace("−", "-")) for text in ys}
    assert len({number for number in numbers if values[0] * 0.5 < number < values[1] * 2}) >= 2


def test_equal_charts_are_equal_and_share_no_unused_ids() -> None:
    once, again = (lines("t", {"a": [(0, 1), (1, 2)]}, x_label="x") for _ in range(2))
    assert once == again
    other = lines("u", {"a": [(0, 1), (1, 2)]}, x_label="x")
    ids = [{element.get("id") for element in svg(chart).iter()} - {None} for chart in (once, other)]
    assert ids[0] and not ids[0] & ids[1]


def test_matplotlib_is_not_imported_until_something_is_drawn() -> None:
    code = (
        "import sys, reddit, reddit.report.charts, reddit.evaluation.page, reddit.reproduce.page\n"
        "assert not [m for m in sys.modules if m.startswith('matplotlib')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
