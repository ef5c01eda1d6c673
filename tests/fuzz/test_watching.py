"""The watch over commands sees each kind of fault, and goes on with the next case."""

from __future__ import annotations

import mmap
import os
import pickle
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
import watching
from hostile import Payload
from kinds import Configurations
from watching import Case, watched

from reddit.utils.errors import UserError


def fake(arguments: list[str]) -> int:
    """A command that does what it is called."""
    what = arguments[0]
    if what == "traceback":
        raise KeyError("inner")
    if what == "hang":
        time.sleep(60)
    if what == "slow":
        time.sleep(1.7)
    if what == "memory":
        kept = []
        while watching.peak() <= watching.MOST_MEMORY:  # a fork may begin with less than its parent has
            kept.append(mmap.mmap(-1, 50 * 2**20))  # goes back to the system at once, however malloc is set
            kept[-1].write(b"x" * len(kept[-1]))
    if what == "shell":
        os.system("true")
    if what == "pickle":
        pickle.loads(pickle.dumps(Payload()))
    if what in ("NaN", "refused NaN"):
        torch.nn.Identity()(torch.tensor([float("nan")]))
    if what in ("refused", "refused NaN"):
        raise UserError("a file is damaged: copy it again")
    if what == "colour":
        print("\x1b[31mred")
    if what == "decoder":
        os.write(2, b"Fax4Decode: Bad code word.\n")
    if what == "temporary":
        tempfile.TemporaryFile().close()
    if what == "silent":
        sys.exit(2)
    if what == "outside":
        Path("/proc/self/comm").write_text("x")
    return {"code": 7}.get(what, 0)


FAULTS = {
    "fine": "",
    "refused": "",
    "refused NaN": "",
    "traceback": "traceback",
    "hang": "hang",
    "slow": "hang",
    "memory": "memory",
    "shell": "code run",
    "pickle": "code run",
    "NaN": "NaN",
    "colour": "message",
    "decoder": "message",
    "temporary": "",
    "silent": "message",
    "outside": "other",
    "code": "exit code",
}


def test_each_fault_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "main", fake)
    monkeypatch.setattr(watching, "SLOW", 1.5)
    monkeypatch.setattr(watching, "HUNG", 4.0)
    monkeypatch.setattr(watching, "MOST_MEMORY", watching._resident(os.getpid()) + 100 * 2**10)
    names = list(FAULTS)

    def prepare(rng: random.Random, folder: Path) -> list[list[str]]:
        return [[names[int(folder.name)]]]

    found = list(
        watched(range(len(names)), 0, prepare, lambda *_: [], tmp_path / "work", tmp_path / "failed")
    )
    assert [case.number for case in found] == list(range(len(names)))
    for name, case in zip(names, found, strict=True):
        kinds = {kind for kind, _ in case.faults} - ({"hang"} if name == "memory" else set())
        assert kinds == ({FAULTS[name]} if FAULTS[name] else set()), (name, case)
    assert {int(path.name) for path in (tmp_path / "failed").iterdir()} == {
        case.number for case in found if case.faults
    }


def test_configurations_are_told_apart_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("name: tiny\nmodel: {width: 8}\n")
    inputs = Configurations(tmp_path, 3, 8)

    def outcomes(numbers: list[int]) -> list[Case]:
        found = watched(numbers, 3, inputs.prepare, inputs.check, tmp_path / "work", tmp_path / "failed")
        return sorted(found, key=lambda case: case.number)

    whole = outcomes([0, 1, 2, 3])
    assert not any(case.faults for case in whole)
    assert [case.codes for case in outcomes([2, 3]) + outcomes([0, 1])] == [
        whole[number].codes for number in (2, 3, 0, 1)
    ]
