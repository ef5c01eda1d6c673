"""Runs of two processes that lose one: python lost_processes.py FOLDER writes results.json.

One process is killed (SIGKILL) or stopped (SIGSTOP) while they train. The other one must end and say so; the
same command, repeated, must leave the weights of an undisturbed run.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "training")]  # `repository`, `test_distributed`

from test_distributed import ROOT, TORCHRUN, started_by  # noqa: E402
from tiny_runs import left_by, same, write_lol  # noqa: E402

SETTINGS = ["train.iterations=200", "train.checkpoint_every=10", "data.crop=8"]
TOLD = "run the same command again to resume"


def start(folder: Path, name: str, *settings: str) -> subprocess.Popen[str]:
    """Start a teacher on two processes."""
    run = [str(ROOT / "scripts" / "train_teacher.py"), "-c", str(folder / "tiny.yaml"), "--quiet"]
    return subprocess.Popen(
        [*TORCHRUN, *run, "--name", name, "--set", *SETTINGS, *settings],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(folder: Path, name: str) -> dict[str, object]:
    """Run to the end; what it leaves."""
    process = start(folder, name)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return left_by(folder / "runs" / name)


def lose(folder: Path, rank: int, number: signal.Signals, *settings: str) -> float:
    """Lose a process of the run `broken`; the seconds until the other one says so and all have ended."""
    shutil.rmtree(folder / "runs/broken", ignore_errors=True)
    process = start(folder, "broken", *settings)
    while process.poll() is None and not (folder / "runs/broken/checkpoints/state.pt").exists():
        time.sleep(0.02)
    victim = started_by(process.pid, rank)
    assert victim is not None
    os.kill(victim, number)
    lost = time.monotonic()
    assert process.stderr is not None
    said = next((line for line in process.stderr if f"error: process {1 - rank}: " in line), "")
    seconds = time.monotonic() - lost
    assert TOLD in said, said
    process.communicate(timeout=120)
    assert process.returncode != 0
    return seconds


def main(folder: Path) -> None:
    write_lol(folder)
    whole, results = finished(folder, "whole"), []
    for rank in (0, 1):
        for number in (signal.SIGKILL, signal.SIGSTOP):
            seconds = lose(folder, rank, number)  # train.lost_after has its default
            equal = same(finished(folder, "broken"), whole)
            results.append({"rank": rank, "signal": number.name, "seconds": round(seconds, 1), "same": equal})
            print(results[-1], flush=True)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
