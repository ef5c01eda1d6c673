"""Every command in the documents is one that the programs understand: flags, settings, configurations."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml
from documents import DOCUMENTS, commands, named, ours
from repository import ROOT

from reddit.ablations import ABLATIONS
from reddit.cli.main import main
from reddit.config import resolve_config
from reddit.utils.errors import UserError


class ParsedError(Exception):
    """What argparse made of a command; raised in place of running it."""


COMMANDS = [
    pytest.param(*call, id=f"{named(path)}: {line[:60]}")
    for path in DOCUMENTS
    for line in dict.fromkeys(commands(path.read_text()))
    if (call := ours(line)) is not None
]


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_commands_parse(name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
        raise ParsedError(parse(self, *args, **kwargs))  # type: ignore[call-overload]

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    with pytest.raises(ParsedError) as found:
        main([name, *arguments])
    (flags,) = found.value.args
    settings_exist(getattr(flags, "set", []))
    ablation = getattr(flags, "ablation", None)
    assert ablation in (None, "list", "NAME") or ablation in ABLATIONS


def settings_exist(settings: list[str]) -> None:
    """No override is of an unknown setting."""
    try:
        resolve_config({}, [one for one in settings if "=" in one], source="document")
    except UserError as error:
        assert "unknown key" not in str(error)
        assert "is now called" not in str(error)


@pytest.mark.parametrize("path", [ROOT / "README.md", *ROOT.glob("docs/*.md")], ids=named)
def test_settings_in_running_text_exist(path: Path) -> None:
    for text in re.findall(r"`--set ([^`\n]+)`", path.read_text()):
        if text != "KEY=VALUE …":
            settings_exist(text.split())


def test_targets_of_make_exist() -> None:
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in DOCUMENTS:
        for name in re.findall(r"(?:^|`)make ([\w-]+)", path.read_text(), re.MULTILINE):
            assert name in targets, (named(path), name)


def test_the_citation_is_yaml() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["preferred-citation"]["identifiers"][0]["value"] == "arXiv:2410.12346"


# The checks themselves


def test_commands_are_found() -> None:
    text = (
        "Say `reddit-llie export -o x` or `reddit-llie train`.\n"
        '```bash\nS="--steps N"\npython scripts/distill.py $S  # four\nls\n```\n'
    )
    calls = [ours(line) for line in commands(text)]
    assert [call for call in calls if call] == [("distill", ["--steps", "4"]), ("export", ["-o", "x"])]


def test_a_wrong_flag_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        test_commands_parse("distill", ["--stepz", "4"], monkeypatch)
    with pytest.raises(AssertionError):
        test_commands_parse("distill", ["--set", "train.lrr=4"], monkeypatch)
