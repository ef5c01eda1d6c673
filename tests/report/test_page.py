from __future__ import annotations

import base64
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from reddit.report import page as html

NASTY = "<script>alert(\"1\")</script> & 'x'"


class Tags(HTMLParser):
    """Counts elements, notes attributes and text, and that elements are closed in order."""

    EMPTY = frozenset({"meta", "img", "input", "br", "link"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 256, (3, 4, 3), np.uint8), (40, 30))


def whole_page() -> str:
    body = html.figure(picture(), NASTY) + html.table([NASTY], [[NASTY]], chosen=0)
    body += html.chart(NASTY, {NASTY: [(0, 1), (1, 2)], "b": [(0, 3)]}, x_label=NASTY)
    return html.page(NASTY, body, "<style>b{}</style>")


def test_a_page_escapes_everything_and_closes_what_it_opens() -> None:
    tags = Tags(whole_page())
    assert "script" not in tags.seen
    assert tags.seen[0] == "html" and {"title", "h1", "table", "svg", "figure"} <= set(tags.seen)
    assert tags.said.count(NASTY) >= 8  # title, heading, caption, head, cell, chart's title, axis, legend


def test_a_page_asks_for_nothing_from_elsewhere() -> None:
    page = whole_page()
    assert "http" not in page
    assert not re.search(r"url\(|@import|<link|<iframe", page)
    sources = [value for name, value in Tags(page).attributes if name in ("src", "href", "srcset")]
    assert sources and all(value and value.startswith("data:image/") for value in sources)


def test_quotes_in_a_caption_do_not_leave_the_attribute() -> None:
    attributes = dict(Tags(html.image(picture(), 'a" onload="x')).attributes)
    assert attributes["alt"] == 'a" onload="x' and "onload" not in attributes


@pytest.mark.parametrize(("extension", "kind", "off"), [(".png", "png", 0), (".jpg", "jpeg", 4)])
def test_an_image_decodes_to_the_picture(extension: str, kind: str, off: int) -> None:
    source = str(dict(Tags(html.image(picture(), "x", extension)).attributes)["src"])
    head, data = source.split(",")
    assert head == f"data:image/{kind};base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded[..., ::-1].astype(int) - picture()).mean() <= off


def test_a_table_marks_the_chosen_row_alone() -> None:
    rows = ElementTree.fromstring(html.table(["a", "b"], [["1", "2"], ["3", "4"]], chosen=1)).findall(
        "tbody/tr"
    )
    assert [row.get("class") for row in rows] == [None, "chosen"]
    assert [[cell.text for cell in row] for row in rows] == [["1", "2"], ["3", "4"]]


def svg(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def test_a_chart_is_well_formed_and_escaped() -> None:
    root = svg(html.chart(NASTY, {NASTY: [(0, 1), (1, 2)], "b": [(0, 1)]}, x_label=NASTY))
    assert root.get("aria-label") == NASTY
    assert [t.text for t in root.iter("text")].count(NASTY) == 3
    assert {element.tag for element in root.iter()} <= {"svg", "text", "line", "polyline", "circle"}


def test_a_chart_leaves_out_what_it_cannot_show() -> None:
    points = [(0.0, 1.0), (1.0, math.inf), (2.0, math.nan), (3.0, 2.0), (4.0, 0.0)]
    (line,) = svg(html.chart("t", {"a": points}, x_label="x")).iter("polyline")
    assert len(str(line.get("points")).split()) == 3
    (line,) = svg(html.chart("t", {"a": points}, x_label="x", log_y=True)).iter("polyline")
    assert len(str(line.get("points")).split()) == 2
    assert html.chart("t", {"a": [(0, math.inf)]}, x_label="x") == ""
    assert html.chart("t", {}, x_label="x") == ""


@pytest.mark.parametrize("points", [[(5.0, 5.0)], [(0.0, 2.0), (9.0, 2.0)], [(0.0, -3.0), (1.0, 1e6)]])
def test_points_stay_inside_the_chart(points: list[tuple[float, float]]) -> None:
    (line,) = svg(html.chart("t", {"a": points}, x_label="x", size=(380, 230))).iter("polyline")
    for point in str(line.get("points")).split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= 380 and 0 <= y <= 230


def test_higher_values_are_drawn_higher() -> None:
    (line,) = svg(html.chart("t", {"a": [(0, 1), (1, 2)]}, x_label="x")).iter("polyline")
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in str(line.get("points")).split())
    assert x0 < x1 and y0 > y1
