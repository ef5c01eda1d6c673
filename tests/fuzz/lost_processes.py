"""Runs of two processes that lose one: python lost_processes.py FOLDER writes results.json.

One process is killed (SIGKILL) or stopped (SIGSTOP) while they train or evaluate. The other one must end and
say so; the same command, repeated, must leave the weights or scores of an undisturbed run.
"""

from __future__ import annotations

import json
import os
import re
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
TOLD = "run the same command again to resume from the last checkpoint"
AGAIN = re.compile(r"; run the same command again(; train.lost_after sets the limit)?$")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def start(folder: Path, name: str, *settings: str) -> subprocess.Popen[str]:
    """Start a teacher on two processes."""
    run = [str(ROOT / "scripts" / "train_teacher.py"), "-c", str(folder / "tiny.yaml"), "--quiet"]
    return subprocess.Popen(
        [*TORCHRUN, *run, "--name", name, "--set", *SETTINGS, *settings],
        env=ENVIRONMENT,
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
    seconds, said = lost(process, rank, number)
    assert TOLD in said, said
    return seconds


def lost(process: subprocess.Popen[str], rank: int, number: signal.Signals) -> tuple[float, str]:
    """Lose a process; the seconds until the other one says so, and its line."""
    victim = started_by(process.pid, rank)
    assert victim is not None
    os.kill(victim, number)
    since = time.monotonic()
    assert process.stderr is not None
    said = next((line for line in process.stderr if f"error: process {1 - rank}: " in line), "")
    seconds = time.monotonic() - since
    process.communicate(timeout=120)
    assert process.returncode != 0
    return seconds, said.rstrip()


def scoring(folder: Path, name: str, *settings: str) -> subprocess.Popen[str]:
    """Start to score 60 pictures on two processes, which write FOLDER/NAME/*.png and NAME.json."""
    for side in ("low", "high"):
        trained = sorted((folder / "data/LOLv1/our485" / side).iterdir())
        tested = folder / "data/LOLv1/eval15" / side
        tested.mkdir(parents=True, exist_ok=True)
        for number in range(60):
            shutil.copy(trained[number % len(trained)], tested / f"{number}.png")
    run = [str(ROOT / "scripts" / "evaluate.py"), "--dataset", "lolv1", "--metrics", "psnr", "--quiet"]
    run += ["--weights", str(folder / "runs/whole"), "--seeds", "0", "1"]
    run += ["--save", str(folder / name), "--json", str(folder / f"{name}.json")]
    root = f"data.root={folder / 'data'}"
    return subprocess.Popen(
        [*TORCHRUN, *run, "--set", "device=cpu", root, *settings],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def lose_scoring(folder: Path, rank: int, number: signal.Signals, *settings: str) -> float:
    """Lose a process that scores; the seconds until the other one says so, or all have ended.

    torchrun, which tells of a process that was killed, may end the other one before that can speak.
    """
    shutil.rmtree(folder / "scored", ignore_errors=True)
    process = scoring(folder, "scored", *settings)
    while process.poll() is None and not list((folder / "scored").glob("*.png")):
        time.sleep(0.01)
    seconds, said = lost(process, rank, number)
    assert AGAIN.search(said) or (number == signal.SIGKILL and not said), said
    return seconds


def scores(folder: Path, name: str) -> bytes:
    """Score to the end; the scores."""
    process = scoring(folder, name)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return (folder / f"{name}.json").read_bytes()


def main(folder: Path) -> None:
    write_lol(folder)
    whole, results = finished(folder, "whole"), []
    right = scores(folder, "right")

    def add(command: str, rank: int, number: signal.Signals, seconds: float, equal: bool) -> None:
        results.append(
            {
                "command": command,
                "rank": rank,
                "signal": number.name,
                "seconds": round(seconds, 1),
                "same": equal,
            }
        )
        print(results[-1], flush=True)

    for rank in (0, 1):
        for number in (signal.SIGKILL, signal.SIGSTOP):
            seconds = lose(folder, rank, number)  # train.lost_after has its default
            equal = same(finished(folder, "broken"), whole)
            add("train", rank, number, seconds, equal)
            seconds = lose_scoring(folder, rank, number)
            add("evaluate", rank, number, seconds, scores(folder, "scored") == right)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
