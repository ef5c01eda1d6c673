#!/usr/bin/env python3
"""Milliseconds a picture of `Enhancer.enhance`, and seconds of a whole `reddit-llie enhance`.

    python benchmarks/enhance.py                       # the default model at four sizes
    python benchmarks/enhance.py --against FOLDER      # beside another version of this repository
    python benchmarks/enhance.py --cold torch onnx --sizes 600x400

Smooth made-up dark pictures. Every round is a process of its own, and versions take turns; the best of all
rounds counts, since other programs only ever slow one down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIZES = ("600x400", "1200x800", "1920x1080", "4000x3000")


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.round:
        print(json.dumps(_round(arguments.weights, arguments.sizes, arguments.threads)))
        return
    if arguments.cold:
        _cold(arguments.cold, arguments.sizes, arguments.rounds)
        return
    versions = [ROOT, *([arguments.against.resolve()] if arguments.against else [])]
    best: dict[tuple[Path, str], list[float]] = {}
    for _ in range(arguments.rounds):
        for version in versions:
            for picture, found in _in_a_process(version, arguments).items():
                known = best.get((version, picture), found)
                best[version, picture] = [min(pair) for pair in zip(known, found, strict=True)]
    for (version, picture), (wall, busy) in best.items():
        ratio = best[versions[-1], picture][0] / wall
        print(f"{version.name} {picture}: {wall:.0f} ms, {busy:.0f} ms of processor time, ratio {ratio:.2f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="light-1", help="default light-1")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), metavar="WxH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another version of this repository")
    parser.add_argument("--cold", nargs="+", metavar="ENGINE", help="whole commands with torch, onnx")
    parser.add_argument("--round", action="store_true", help=argparse.SUPPRESS)
    return parser


def _in_a_process(version: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    command = [sys.executable, __file__, "--round", "--weights", arguments.weights, "--sizes"]
    command += [*arguments.sizes, "--threads", str(arguments.threads)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(version)}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _round(weights: str, sizes: list[str], threads: int) -> dict[str, list[float]]:
    """Wall and processor milliseconds of the best of several pictures, by size."""
    import torch

    import reddit

    try:
        from reddit.utils.memory import keep_freed_memory
    except ImportError:  # an older version
        pass
    else:
        keep_freed_memory()
    torch.set_num_threads(threads)
    model = reddit.load(weights)
    found = {}
    for size in sizes:
        low = dark_picture(size)
        times = []
        for _ in range(max(1, 4_000_000 // low[..., 0].size)):
            wall, busy = time.perf_counter(), time.process_time()
            model.enhance(low)
            times.append((time.perf_counter() - wall, time.process_time() - busy))
        found[size] = [1000 * min(column) for column in zip(*times, strict=True)]
    return found


def dark_picture(size: str) -> np.ndarray:
    """uint8 (H, W, 3) of a size such as 600x400."""
    width, height = map(int, size.split("x"))
    coarse = np.random.default_rng(0).integers(0, 60, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height)))


def _cold(engines: list[str], sizes: list[str], rounds: int) -> None:
    """Print seconds and memory of the command for one JPEG of each size."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            night, bright = Path(folder, "night.jpg"), Path(folder, "bright.jpg")
            cv2.imwrite(str(night), dark_picture(size))
            found: dict[str, list[tuple[float, float, int]]] = {engine: [] for engine in engines}
            for _ in range(rounds):
                for engine, measured in found.items():
                    bright.unlink(missing_ok=True)
                    measured.append(_command("-i", str(night), "-o", str(bright), "--engine", engine))
        for engine, measured in found.items():
            wall, busy, memory = map(min, zip(*measured, strict=True))
            print(f"{size} {engine}: {wall:.2f} s, {busy:.2f} s of processor time, {memory} MiB")


def _command(*flags: str) -> tuple[float, float, int]:
    """Wall and processor seconds and MiB of `reddit-llie enhance`."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "reddit", "enhance", *flags], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"enhancing with {' '.join(flags)} failed")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


if __name__ == "__main__":
    main()
