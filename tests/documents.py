"""The documents, and what stands in them: links, fenced blocks, tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from repository import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
USER_DOCUMENTS = [
    path for path in DOCUMENTS if path.name != "CHANGELOG.md" and path.parent != ROOT / "docs" / "reports"
]

SCRIPTS = {"train_teacher": "train", "prepare_data": "data"}
"""Script → subcommand, where their names differ."""


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


def commands(text: str) -> Iterator[str]:
    """The lines of the bash blocks, with their shell variables, and the commands in running text."""
    variables: dict[str, str] = {}
    for block in blocks(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\$(\w+)", lambda match: variables.get(match[1], match[0]), line).strip()
            if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
                variables[assigned[1]] = assigned[2]
            yield line
    inline = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]*(?:reddit-llie \w+|scripts/\w+\.py) [^`\n]+)`", inline)


def ours(line: str) -> tuple[str, list[str]] | None:
    """The subcommand and its arguments in a command of this project; None for others. N is 4, FILE lolv1."""
    words = [{"N": "4", "FILE": "lolv1"}.get(word, word) for word in shlex.split(line, comments=True)]
    for place, word in enumerate(words):
        if word == "reddit-llie":
            return words[place + 1], words[place + 2 :]
        if found := re.fullmatch(r"scripts/(\w+)\.py", word):
            return SCRIPTS.get(found[1], found[1]), words[place + 1 :]
    return None
