#!/usr/bin/env python3
"""Launches, traffic and memory of training steps and passes on a GPU, counted without one.

    python benchmarks/gpu_launches.py

The paper's network and settings (configs/lolv1.yaml, batches of 16 crops of 96×96) run on a simulated GPU:
every operation is counted with the bytes that it reads and writes, and none is executed. A launch is an
operation; some consist of several kernels. Needs Linux, a C compiler and a PyTorch for CUDA.

The milliseconds are a model, not a measurement: an H100 with 75 % of its 3.35 TB/s, 35 % of its arithmetic
(990 TFLOP/s in half precision, 67 in single) and 6 µs per launch. The three overlap, so that a step takes at
least the largest of them.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from simulated_gpu.runtime import missing, run_python

from reddit.cli.errors import run
from reddit.report.tables import Cell, render
from reddit.training.estimate import GPUS, LAUNCH, OF_ARITHMETIC, OF_BANDWIDTH
from reddit.utils.errors import UserError

CASES = {
    "teacher/paper/bf16": "teacher step, bf16",
    "teacher/paper/fp32": "teacher step, fp32",
    "reddit/paper/bf16": "distillation step, bf16",
    "reddit/paper/fp32": "distillation step, fp32",
    "pass/paper/bf16/400x600": "one pass, 600×400, bf16",
    "pass/paper/bf16/1080x1920": "one pass, 1920×1080, bf16",
}
H100 = GPUS["h100"]


def row(name: str, record: dict[str, Any]) -> dict[str, Cell]:
    """A row of the table."""
    if record["error"]:
        raise UserError(f"{name} failed:\n{record['error']}")
    launches = sum(record["launches"].values())
    return {
        "case": CASES.get(name, name),
        "launches": launches,
        "of them casts": record["casts"],
        "kernels": record["kernels"],
        "copies between memory orders": record["swaps"],
        "traffic, GB": round(record["traffic"] / 1e9, 1),
        "arithmetic, ms": round(
            1e3 * record["flops"] / (OF_ARITHMETIC * H100.arithmetic(name.split("/")[2])), 1
        ),
        "traffic, ms": round(1e3 * record["traffic"] / (OF_BANDWIDTH * H100.bandwidth), 1),
        "launches, ms": round(1e3 * launches * LAUNCH, 1),
        "host waits": sum(record["syncs"].values()),
        "peak, GB": round(record["peak"] / 1e9, 2),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "cases", nargs="*", help="as reddit/photos/bf16 or pass/photos/bf16/1080x1920; default: the paper's"
    )
    parser.add_argument("--format", choices=["text", "csv", "md"], default="text")
    arguments = parser.parse_args(argv)
    if reason := missing():
        raise UserError(reason)
    records = json.loads(run_python("-m", "simulated_gpu.run", *(arguments.cases or CASES)))
    print(render([row(name, record) for name, record in records.items()], arguments.format))


if __name__ == "__main__":
    run(main)
