"""Errors end a command in one line and an exit code."""

from __future__ import annotations

import errno
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

from reddit.cli.errors import run


@pytest.mark.parametrize(("redirect", "code"), [(">/dev/full", 2), (">&-", 0)])
def test_an_output_that_cannot_be_written(inside: Path, redirect: str, code: int) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = [sys.executable, str(ROOT / "scripts/train_teacher.py"), "-c", "tiny.yaml", "--dry-run"]
    command = f"{shlex.join(words)} {redirect}"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code and len(done.stderr.splitlines()) == bool(code), done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train_teacher.py", "-c", "tiny.yaml", "--set", "train.itertions=5"], "--set: train.itertions"),
        (["train_teacher.py", "-c", "tiny.yaml", "--set", "data.root=nowhere"], "LOLv1/our485/low"),
        (["evaluate.py", "--dataset", "lolv2_real", "--weights", "tiny"], "LOLv2/Real_captured/Test"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_2(inside: Path, arguments: list[str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / arguments[0]), *arguments[1:]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: ") and expected in lines[0], done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EACCES, "Permission denied", "locked/x"), "error: locked/x: Permission denied"),
        (MemoryError(), "error: out of memory: lower"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "error: out of memory"),
    ],
)
def test_errors_of_the_machine(error: Exception, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fail)
    (line,) = capfd.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith(said)
