"""Runs that are killed or stopped at random moments; they take minutes: `make fuzz`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_distributed import ROOT, TORCHRUN, started_by
from tiny_runs import left_by, same, write_lol

KILLS = 50
pytestmark = pytest.mark.skipif("REDDIT_FUZZ" not in os.environ, reason="takes minutes: make fuzz")


def test_kills_at_random_moments_change_no_weight(tmp_path: Path) -> None:
    """A teacher and a chain of students, fifty times each."""
    program = Path(__file__).with_name("kills.py")
    subprocess.run([sys.executable, str(program), str(tmp_path), str(KILLS)], check=True)
    results = json.loads((tmp_path / "results.json").read_text())
    print(results)
    for kind in ("teacher", "chain"):
        assert results[kind]["kills"] >= KILLS and results[kind]["different"] == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_of_two_that_is_lost(number: signal.Signals, tmp_path: Path) -> None:
    """The other one ends; the same command, repeated, leaves the weights of an undisturbed run."""
    write_lol(tmp_path)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def start(name: str) -> subprocess.Popen[str]:
        run = [str(ROOT / "scripts" / "train_teacher.py"), "-c", str(tmp_path / "tiny.yaml"), "--quiet"]
        settings = ["train.iterations=200", "train.checkpoint_every=10", "data.crop=8", "train.lost_after=5"]
        return subprocess.Popen(
            [*TORCHRUN, *run, "--name", name, "--set", *settings],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = start("broken")
    while process.poll() is None and not (tmp_path / "runs/broken/checkpoints/state.pt").exists():
        time.sleep(0.02)
    victim = started_by(process.pid, 1)
    assert victim is not None
    os.kill(victim, number)
    lost = time.monotonic()
    assert process.stderr is not None
    said = next(line for line in process.stderr if "error: process 0: " in line)
    assert time.monotonic() - lost < 30 and "run the same command again to resume" in said
    assert process.wait(timeout=120) != 0
    for name in ("broken", "whole"):
        assert start(name).wait(timeout=300) == 0
    assert same(left_by(tmp_path / "runs/broken"), left_by(tmp_path / "runs/whole"))
