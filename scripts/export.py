#!/usr/bin/env python3
"""Write a model's weights in half the space, to share: python scripts/export.py --checkpoint RUN -o FILE"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from reddit.cli import find_checkpoint, run
from reddit.engine.checkpoint import load_denoiser, save_weights


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, metavar="PATH_OR_RUN")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="a .safetensors file"
    )
    arguments = parser.parse_args(argv)
    denoiser, info = load_denoiser(find_checkpoint(arguments.checkpoint, Path("runs")).path)
    save_weights(
        arguments.output,
        denoiser,
        info.config,
        steps=info.steps,
        family=info.family,
        method=info.method,
        iteration=info.iteration,
        training_pictures=info.training_pictures,
        validation=info.validation,
        dtype=torch.float16,
    )
    print(f"{arguments.output}: {info.steps} steps, {arguments.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
