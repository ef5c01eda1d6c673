#!/usr/bin/env python3
"""Training steps beside other programs, with threads that spin while they wait and with threads that sleep.

    python benchmarks/busy_machine.py

A process for each core does sums, and one more trains a small network with as many threads. The two ways take
turns. The commands `train` and `distill` let threads sleep.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

WAYS = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}
SECONDS = 8.0
BUSY = "while True: sum(range(10000))"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--others", type=int, default=os.cpu_count() or 1, help="busy processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.round:
        print(_median_step())
        return
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(arguments.others)]
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))}
    try:
        for _ in range(arguments.rounds):
            for name, setting in WAYS.items():
                command = [sys.executable, __file__, "--round"]
                done = subprocess.run(
                    command, env=plain | setting, capture_output=True, text=True, check=True
                )
                found[name].append(float(done.stdout))
    finally:
        for other in others:
            other.kill()
    for name, steps in found.items():
        print(f"{name}: {statistics.median(steps):.0f} ms a step ({', '.join(f'{s:.0f}' for s in steps)})")


def _median_step() -> float:
    """Milliseconds of a step of a small network, over `SECONDS`."""
    import torch
    from torch import nn

    torch.set_num_threads(os.cpu_count() or 1)
    layers = [layer for _ in range(8) for layer in (nn.Conv2d(32, 32, 3, padding=1), nn.SiLU())]
    network, x = nn.Sequential(*layers), torch.randn(4, 32, 64, 64)
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        began = time.perf_counter()
        network(x).square().mean().backward()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[2:] or times)


if __name__ == "__main__":
    main()
