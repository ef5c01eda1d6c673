from __future__ import annotations

import re
from html.parser import HTMLParser

import jinja2
import pytest
from markupsafe import Markup

from reddit.report.charts import lines
from reddit.report.page import TEMPLATES, render, stream
from reddit.report.tables import Tile, table

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


def values(text: str = NASTY) -> dict[str, object]:
    """What the reproduction's template needs, with a text that must be escaped in every place."""
    one = table([text], [[text]], chosen=0)
    chart = lines(text, {text: [(0, 1), (1, 2)], "b": [(0, 3)]}, x_label=text)
    by = [{"metric": text, "verdict": verdict, "table": one} for verdict in ("supported", text)]
    claim = {"text": text, "source": text, "by": by}
    return {
        "title": text,
        "claims": [claim],
        "together": one,
        "charts": [chart],
        "others": {text: one},
        "arms": one,
        "beside": one,
        "published": None,
        "facts": {text: text},
        "rule": text,
    }


def test_a_page_escapes_everything_and_closes_what_it_opens() -> None:
    page = render("reproduction.html", **values())
    tags = Tags(page)
    assert tags.seen.count("script") == 1 and "alert" in tags.said
    assert tags.seen[0] == "html" and {"title", "h1", "table", "svg", "figure", "dl"} <= set(tags.seen)
    assert tags.said.count(NASTY) >= 18
    assert "onload" not in dict(Tags(render("reproduction.html", **values('a" onload="x'))).attributes)


def test_only_markup_is_not_escaped() -> None:
    page = render("reproduction.html", **values() | {"rule": Markup("<b>bold</b>")})
    assert "<b>bold</b>" in page


def test_a_page_loads_nothing_from_outside() -> None:
    page = render("reproduction.html", **values("words"))
    assert "http" not in page
    assert not re.search(r"url\((?!#)|@import|<link|<iframe|fetch\(|import\(", page)
    links = [value for name, value in Tags(page).attributes if name in ("src", "href", "srcset")]
    assert links and all(value and value.startswith("#") for value in links)


def test_pages_share_one_style_and_script() -> None:
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    page = render("reproduction.html", **values("words"))
    assert style.strip() in page and script.strip() in page
    assert "{{" not in style + script and "{%" not in style + script and "{#" not in style + script
    whole = [
        path.name for path in TEMPLATES.glob("*.html") if '{% extends "base.html" %}' in path.read_text()
    ]
    assert sorted(whole) == ["evaluation.html", "family.html", "reproduction.html"]


def test_a_value_that_is_missing_is_an_error() -> None:
    less = values()
    del less["facts"]
    with pytest.raises(jinja2.UndefinedError, match="facts"):
        render("reproduction.html", **less)


def test_a_stream_is_the_same_page() -> None:
    pieces = list(stream("reproduction.html", **values("words")))
    assert len(pieces) > 10 and "".join(pieces) == render("reproduction.html", **values("words"))


def test_tiles_show_value_spread_and_notes() -> None:
    module = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    macro = module.from_string('{% from "macros.html" import tiles %}{{ tiles(values) }}')
    tags = Tags(macro.render(values=[Tile("PSNR", "20.1", "± 0.2", ("GT-mean 24.0",)), Tile("NIQE", "4")]))
    assert " ".join(tags.said.split()) == "PSNR20.1 ± 0.2GT-mean 24.0 NIQE4"
