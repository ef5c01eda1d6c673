#!/usr/bin/env python3
"""Write a model for others: python scripts/export.py --weights NAME_OR_PATH -o FILE

FILE.safetensors holds the weights in half precision, to share. FILE.onnx and FILE.pt2 hold the whole
sampler of a student for ONNX Runtime and for PyTorch without this package: from `low`, (1, 3, H, W) in
[0, 1], and `noise`, standard normal, to `restored`, pictures of any size.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import torch

from reddit.checkpoint.format import CheckpointInfo, load_denoiser, save_weights
from reddit.checkpoint.registry import find_checkpoint, sampling_steps
from reddit.cli.common import run, weights_flag
from reddit.diffusion import Denoiser
from reddit.inference.export import (
    OPSET,
    TOLERATED,
    Format,
    check_sampler,
    export_sampler,
    load_sampler,
    require,
)
from reddit.utils.errors import UserError
from reddit.utils.text import counted


def main(argv: list[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    form = _format(arguments.format, arguments.output)
    if form == "onnx" and arguments.check:
        require("onnxruntime")  # rather now than after the export
    model = find_checkpoint(arguments.weights, Path("runs"), arguments.steps)
    denoiser, info = load_denoiser(model.path)
    steps = sampling_steps(info, arguments.steps)
    if form == "safetensors":
        _save_halves(arguments.output, denoiser, info, steps)
    else:
        if not arguments.quiet:
            print(f"tracing {counted(steps, 'step')}; this takes a while", file=sys.stderr)
        export_sampler(arguments.output, form, denoiser, info, steps)
    kind = f"onnx, opset {OPSET}" if form == "onnx" else form
    size = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {kind}, {counted(steps, 'step')} of {info.family}, {size:.1f} MB")
    if arguments.check:
        clip = info.config.diffusion.clip
        exported = load_sampler(arguments.output, form, steps, clip)
        for difference in check_sampler(exported, denoiser, steps, clip=clip, tolerated=TOLERATED[form]):
            print(difference)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    weights_flag(parser.add_mutually_exclusive_group(required=True), "needed")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    parser.add_argument("--format", choices=get_args(Format), help="default: what FILE ends in")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps of an onnx or pt2 file; default: the model's"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare what was written with PyTorch in single precision, on pictures of several sizes",
    )
    parser.add_argument("--quiet", action="store_true", help="no word of progress")
    return parser


def _format(named: Format | None, output: Path) -> Format:
    found = [form for form in get_args(Format) if output.suffix == f".{form}"]
    if named and found != [named]:
        raise UserError(f"-o {output}: a file of --format {named} must end in .{named}")
    if not found:
        raise UserError(f"-o {output}: end it in .safetensors, .onnx or .pt2 to say what it is")
    return found[0]


def _save_halves(path: Path, denoiser: Denoiser, info: CheckpointInfo, steps: int) -> None:
    if steps != info.steps:
        raise UserError(
            f"--steps {steps}: {info.path} was trained for {counted(info.steps, 'step')}, which a "
            ".safetensors file keeps; leave --steps out, or write .onnx or .pt2"
        )
    save_weights(
        path,
        denoiser,
        info.config,
        steps=info.steps,
        family=info.family,
        method=info.method,
        iteration=info.iteration,
        training_pictures=info.training_pictures,
        validation_pictures=info.validation_pictures,
        validation=info.validation,
        dtype=torch.float16,
    )


if __name__ == "__main__":
    run(main)
