#!/usr/bin/env python3
"""Time the page in Chromium, from drop to picture, and compare it with `enhance` in single precision.

--webgpu checks the pixels of WebGPU on a machine without a GPU: Chromium emulates one, which takes minutes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import browser
from docs.test_demo_page import READY, dark, dropped, served

from reddit.inference.loading import load

EMULATED = ((120, 80), (660, 40))
"""Sizes for WebGPU."""
WEBGPU = (
    *(flag for flag in browser.FLAGS if flag != "--disable-gpu"),
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(600, 400), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--webgpu", action="store_true")
    arguments = parser.parse_args()
    webgpu = arguments.webgpu
    flags, query = (WEBGPU, "?backend=webgpu") if webgpu else (browser.FLAGS, "?backend=wasm")
    browser.SECONDS = 300
    model = load("light-1", precision="fp32", device="cpu")
    print("| size | seconds, median (fastest) | largest difference | mean |\n|---|---:|---:|---:|")
    with (
        tempfile.TemporaryDirectory() as profile,
        served() as address,
        browser.browser(Path(profile), flags) as tab,
    ):
        tab.open(address + query, width=1280)
        tab.evaluate(READY)
        dropped(tab, dark(64, 64))  # loads the network
        for width, height in EMULATED if webgpu else (arguments.size,):
            low, times = dark(width, height), []
            for _ in range(1 if webgpu else arguments.repeats):
                found = dropped(tab, low)
                times.append(float(tab.evaluate("document.getElementById('viewer').dataset.seconds")))
            where = "GPU" if webgpu else "processor"
            assert f"on the {where}" in tab.evaluate("document.getElementById('message').textContent")
            gap = np.abs(found.astype(float) - model.enhance(low))
            print(
                f"| {width}×{height} | {statistics.median(times):.1f} ({min(times):.1f}) "
                f"| {gap.max():.0f} | {gap.mean():.5f} |"
            )


if __name__ == "__main__":
    main()
