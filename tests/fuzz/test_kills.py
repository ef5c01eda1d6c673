"""Runs that are killed or stopped at random moments; they take minutes: REDDIT_FUZZ=1 runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lost_processes import finished, lose, lose_scoring, scores
from tiny_runs import same, write_lol

KILLS = 50
pytestmark = pytest.mark.skipif("REDDIT_FUZZ" not in os.environ, reason="takes minutes")


def test_kills_at_random_moments_change_no_weight(tmp_path: Path) -> None:
    """A teacher and a chain of students, fifty times each."""
    program = Path(__file__).with_name("kills.py")
    subprocess.run([sys.executable, str(program), str(tmp_path), str(KILLS)], check=True)
    results = json.loads((tmp_path / "results.json").read_text())
    for kind in ("teacher", "chain"):
        assert results[kind]["kills"] >= KILLS and results[kind]["different"] == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_of_two_that_is_lost(number: signal.Signals, tmp_path: Path) -> None:
    write_lol(tmp_path)
    assert lose(tmp_path, 1, number, "train.lost_after=5") < 30
    assert same(finished(tmp_path, "broken"), finished(tmp_path, "whole"))
    assert lose_scoring(tmp_path, 1, number, "train.lost_after=5") < 30
    assert scores(tmp_path, "scored") == scores(tmp_path, "right")
