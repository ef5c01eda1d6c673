"""The command and its help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from repository import ROOT

from reddit.cli import flags
from reddit.cli.main import COMMANDS, main
from reddit.config import load_config
from reddit.utils.errors import UserError


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_every_subcommand_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)
    files = {path.stem for path in (ROOT / "reddit/cli").glob("*.py")}
    assert set(COMMANDS) <= files


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_explains_every_flag(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "examples:" in said and f"reddit-llie {name} " in said
    parser = __import__(f"reddit.cli.{name}", fromlist=["parser"]).parser()
    for action in parser._actions:
        assert action.help, f"{name} {action.option_strings or action.dest} has no help"


@pytest.mark.parametrize("arguments", [["--help"], ["enhance", "--help"], ["train", "--help"]])
def test_help_needs_no_torch(arguments: list[str]) -> None:
    done = python("-X", "importtime", "-m", "reddit", *arguments)
    assert done.returncode == 0
    assert " torch\n" not in done.stderr and "reddit.cli.main" in done.stderr


@pytest.mark.skipif(torch.__version__ < (2, 14), reason="older versions of PyTorch import it at once")
def test_enhancing_needs_no_compiler() -> None:
    """PyTorch imports it where it is used, which would take as long as PyTorch itself."""
    listed = "[name for name in ('torch._dynamo', 'sympy', 'torch._inductor') if name in sys.modules]"
    done = python("-c", f"import sys, numpy, reddit; reddit.enhance(numpy.zeros((9, 9, 3))); print({listed})")
    assert done.stdout == "[]\n", done.stderr


def test_an_unknown_command_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown command 'enhanse'; choose from enhance, train"):
        main(["enhanse"])
    done = python("-m", "reddit", "enhanse")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("reddit-llie ")


def test_scripts_call_the_subcommands() -> None:
    done = python(str(ROOT / "scripts/train_teacher.py"), "-c", "configs/demo.yaml", "-n")
    assert done.returncode == 0 and "name: demo" in done.stdout
    assert all(len(p.read_text().splitlines()) <= 4 for p in (ROOT / "scripts").glob("*.py"))


@pytest.mark.parametrize("named", ["lolv1_light", "configs/lolv1_light.yaml", "lolv1_light.yaml"])
def test_configurations_are_found_by_name(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(flags.find_config(named)).name == "lolv1-light"


def test_a_file_is_preferred_to_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lolv1").write_text("name: mine\n")
    assert load_config(flags.find_config("lolv1")).name == "mine"


@pytest.mark.parametrize("named", ["lolv9", "elsewhere/lolv1.yaml", ""])
def test_an_unknown_configuration_lists_the_known_ones(named: str) -> None:
    with pytest.raises(UserError, match=r"no such file.*lolv1_light"):
        flags.find_config(named)


@pytest.mark.parametrize("name", ["1", "yes", "night #2", "a: b", "{x}", "null", '"', "ü"])
def test_a_name_is_always_text(name: str) -> None:
    assert load_config(None, flags.name_override(flags.run_name(name))).name == name


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[31mred", "x" * 201, "ü" * 101])
def test_invalid_run_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="--name"):
        flags.run_name(name)
