"""Commands that are killed at random moments: python kills.py FOLDER KILLS writes results.json.

A teacher and a chain of students, each in a forked process; the same command, repeated, ends with the weights
of one that was never killed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # `repository`
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # `forks`, `tiny_runs`

from forks import forked, started, warm_up
from repository import call
from tiny_runs import left_by, same, write_lol

COMMANDS = {
    "teacher": ["train", "--set", "train.iterations=400"],
    "chain": ["distill", "--chain", "--set", "train.iterations=100"],
}
RUNS = {"teacher": ["tiny"], "chain": ["tiny-2", "tiny-1"]}
LONGEST = 1.2
"""Most seconds until a kill."""
QUICK = ["train.checkpoint_every=7", "train.validate_every=31", "train.log_every=5", "data.crop=8"]


def command(folder: Path, kind: str) -> list[str]:
    name, *rest = COMMANDS[kind]
    settings = [*QUICK, "diffusion.teacher_steps=4", "train.keep_every=50"]
    return [name, "-c", str(folder / "tiny.yaml"), "--quiet", *rest, *settings]


def killed(work: list[str], said: Path, seconds: float) -> bool:
    """Start a command and kill it after some seconds; whether it was still running."""
    child = started(lambda: call(*work), said)
    time.sleep(seconds)
    done, _ = os.waitpid(child, os.WNOHANG)
    if done:
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def run(folder: Path, side: str, kind: str, kills: int, rng: random.Random) -> tuple[int, list[object]]:
    """Repeat a command until it has been killed often enough and then ends; the kills, and what it left."""
    count = 0
    if side != "whole":
        shutil.rmtree(folder / side, ignore_errors=True)
        write_lol(folder / side)
        if kind == "chain":
            shutil.copytree(folder / "whole/runs/tiny", folder / side / "runs/tiny")
    while count < kills and killed(
        command(folder / side, kind), folder / "said.txt", rng.uniform(0, LONGEST)
    ):
        count += 1
    code = forked(lambda: call(*command(folder / side, kind)), folder / "said.txt")
    assert code == 0, (folder / "said.txt").read_text()
    return count, [left_by(folder / side / "runs" / name) for name in RUNS[kind]]


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    warm_up(folder / "warm")
    write_lol(folder / "whole")
    rng, results = random.Random(0), {}
    for kind in COMMANDS:
        found = {"kills": 0, "runs": 0, "different": 0}
        _, whole = run(folder, "whole", kind, 0, rng)
        while found["kills"] < kills:
            count, broken = run(folder, "broken", kind, kills - found["kills"], rng)
            found = {
                "kills": found["kills"] + count,
                "runs": found["runs"] + 1,
                "different": found["different"] + (not same(broken, whole)),
            }
        results[kind] = found
        print(kind, found, flush=True)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
