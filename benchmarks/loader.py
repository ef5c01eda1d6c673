#!/usr/bin/env python3
"""Training crops a second that one core prepares: from memory, picture files, or decoded ones on disk.

    python benchmarks/loader.py                      # 960×512, the size of SID
    python benchmarks/loader.py --size 600x400

Made-up pairs with D(y), and crops of 96×96. The ways take turns, and the best of all rounds counts, since
other programs only ever slow one down. The files stay in the system's cache, as those of a set do that fits
into it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from reddit.config import DataConfig
from reddit.data import Pair, PictureCache, TrainingCrops
from reddit.data.darken import Camera, darken
from reddit.data.denoised import make_denoiser
from reddit.image.write import encode
from reddit.report.tables import Cell, render
from reddit.utils.errors import UserError

PAIRS, SECONDS = 12, 1.5
CAMERA = Camera(exposure=0.05, full_well=8000, read_noise=2.0, white_balance=(1, 1, 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="960x512", metavar="WxH")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=["text", "csv", "md"], default="text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        ways = prepared(Path(folder), width, height)
        best = dict.fromkeys(ways, 0.0)
        for _ in range(arguments.rounds):
            for name, crops in ways.items():
                best[name] = max(best[name], crops_a_second(crops))
    rows: list[dict[str, Cell]] = [
        {"pictures": name, "crops a second": round(rate), "times as fast": f"{rate / best['PNG files']:.1f}"}
        for name, rate in best.items()
    ]
    print(render(rows, arguments.format), end="")


def prepared(folder: Path, width: int, height: int) -> dict[str, TrainingCrops]:
    """The same pairs, from memory, from files, and decoded on disk; each has been read once."""
    pairs, rng = [], np.random.default_rng(0)
    for number in range(PAIRS):
        coarse = rng.integers(40, 255, (height // 8, width // 8, 3))
        high = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
        paths = []
        for side, picture in (("low", darken(high, CAMERA, rng)), ("high", high)):
            paths.append(folder / f"{side}-{number}.png")
            paths[-1].write_bytes(encode(picture))
        pairs.append(Pair(str(number), *paths))
    denoise = make_denoiser("nlm", 10.0, folder / "denoised")
    caches = {
        "memory": PictureCache(1e9),
        "PNG files": PictureCache(0),
        "data.decoded": PictureCache(0, folder / "decoded"),
    }
    ways = {name: TrainingCrops(pairs, DataConfig(), 0, denoise, cache) for name, cache in caches.items()}
    for crops in ways.values():
        crops.prepare(quiet=True)
    return ways


def crops_a_second(crops: TrainingCrops) -> float:
    """Crops a second over about `SECONDS`."""
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        for index in range(PAIRS):
            crop = crops[(done, index)]
            if isinstance(crop, UserError):
                raise crop
            done += 1
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
