#!/usr/bin/env python3
"""Time the page in Chromium, from drop to picture, and compare it with `enhance` in single precision."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from browser import browser
from docs.test_demo_page import READY, dark, dropped, served

from reddit.inference.loading import load

SIZES = ((600, 400),)
REPEATS = 5


def main() -> None:
    model = load("light-1", precision="fp32", device="cpu")
    print("| size | seconds, median (fastest) | largest difference | mean |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as profile, served() as address, browser(Path(profile)) as tab:
        tab.open(address, width=1280)
        tab.evaluate(READY)
        dropped(tab, dark(64, 64))  # loads the network
        for width, height in SIZES:
            low, times = dark(width, height), []
            for _ in range(REPEATS):
                found = dropped(tab, low)
                times.append(float(tab.evaluate("document.getElementById('viewer').dataset.seconds")))
            gap = np.abs(found.astype(float) - model.enhance(low))
            print(
                f"| {width}×{height} | {statistics.median(times):.1f} ({min(times):.1f}) "
                f"| {gap.max():.0f} | {gap.mean():.5f} |"
            )


if __name__ == "__main__":
    main()
