#!/usr/bin/env python3
"""Make dark pictures good: python scripts/enhance.py -i FILE_OR_FOLDER -o FOLDER"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reddit.build import choose_device
from reddit.cli import choose_model, run
from reddit.engine.checkpoint import load_denoiser
from reddit.enhance import enhance_files, plan_outputs
from reddit.evaluation.evaluate import predict_with


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", "--input", required=True, type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER")
    parser.add_argument(
        "--checkpoint", metavar="PATH_OR_RUN", help="default: the weights that come with the project"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps; default: what the model was trained for"
    )
    parser.add_argument("--suffix", default="", help="appended to the names: photo_SUFFIX.png")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling noise")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="default: the model's")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    arguments = parser.parse_args(argv)

    plan = plan_outputs(arguments.input, arguments.output, arguments.suffix)
    model, steps = choose_model(arguments.checkpoint, arguments.steps, Path("runs"), shipped_first=True)
    denoiser = load_denoiser(model.path)[0].to(choose_device(arguments.device))
    diffusion = model.config.diffusion
    predict = predict_with(
        denoiser,
        steps,
        sampler=diffusion.sampler,
        clip=diffusion.clip,
        precision=arguments.precision or model.config.precision,
    )
    result = enhance_files(plan, predict, arguments.seed, arguments.quiet)
    print(f"{len(result.written)} pictures in {arguments.output}")
    for line in result.failed:
        print(f"error: {line}", file=sys.stderr)
    return 2 if result.failed else 0


if __name__ == "__main__":
    run(main)
