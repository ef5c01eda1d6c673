"""The documents, and what stands in them: links, fenced blocks, tables."""

from __future__ import annotations

import re
from pathlib import Path

from repository import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
USER_DOCUMENTS = [
    path for path in DOCUMENTS if path.name != "CHANGELOG.md" and path.parent != ROOT / "docs" / "reports"
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """The text without fenced code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def section(text: str, heading: str) -> str:
    """A section, up to the next heading of its level or above."""
    level, rest = heading.split(" ")[0], text.split(f"\n{heading}\n")
    assert len(rest) == 2, heading
    return re.split(rf"^#{{1,{len(level)}}} ", rest[1], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the first table, without its header."""
    found = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert found is not None
    lines = found[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
