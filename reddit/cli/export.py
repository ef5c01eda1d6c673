"""`reddit-llie export`: weights in half precision, or a network for another runtime."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reddit.cli.flags import parser_of, weights_flag
from reddit.utils.errors import UserError
from reddit.utils.files import check_overwrite, is_file
from reddit.utils.progress import print_out
from reddit.utils.text import counted

if TYPE_CHECKING:
    from reddit.checkpoint.format import CheckpointInfo
    from reddit.inference.exported import Format

FORMATS: tuple[Format, ...] = ("safetensors", "onnx", "pt2")


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "export",
        "Export a model. FILE.safetensors holds the weights in half precision, to share.\n"
        "FILE.onnx and FILE.pt2 hold the whole sampler of a student for ONNX Runtime and for PyTorch\n"
        "without this package: from `low`, (1, 3, H, W) in [0, 1], and `noise`, standard normal, to\n"
        "`restored`, pictures of any size. One-step networks with diffusion.mask_x_T take no `noise`.",
        "--weights light-1 -o light.onnx --check",
        "--weights lolv1-4 -o student.safetensors",
    )
    weights_flag(parser.add_mutually_exclusive_group(required=True), "required")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FILE",
        help="output file; its extension decides the format",
    )
    parser.add_argument("--format", choices=FORMATS, help="default: the extension of FILE")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps of an onnx or pt2 file; default: the model's"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare the file with PyTorch in single precision on pictures of several sizes",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress messages")
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    import torch

    from reddit.checkpoint.format import load_denoiser, save_weights
    from reddit.checkpoint.registry import find_checkpoint, sampling_steps
    from reddit.config.public import public
    from reddit.inference.export import OPSET, export_sampler, require
    from reddit.inference.exported import TOLERATED, check_sampler, load_sampler

    form = _format(arguments.format, arguments.output)
    if form == "onnx" and arguments.check:
        require("onnxruntime")  # fail before the export, not after it
    model = find_checkpoint(arguments.weights, Path("runs"), arguments.steps)
    _check_output(arguments.output, form, model)
    denoiser, info = load_denoiser(model.path)
    steps = sampling_steps(info, arguments.steps)
    if form == "safetensors":
        _check_steps(steps, info)
        save_weights(
            arguments.output,
            denoiser,
            public(info.config),
            steps=info.steps,
            family=info.family,
            method=info.method,
            iteration=info.iteration,
            training_pictures=info.training_pictures,
            validation_pictures=info.validation_pictures,
            validation=info.validation,
            dtype=torch.float16,
        )
    else:
        if not arguments.quiet:
            print(f"tracing {counted(steps, 'step')}; this takes a while", file=sys.stderr)
        export_sampler(arguments.output, form, denoiser, info, steps)
    kind = f"onnx, opset {OPSET}" if form == "onnx" else form
    size = arguments.output.stat().st_size / 1e6
    print_out(f"{arguments.output}: {kind}, {counted(steps, 'step')} of {info.family}, {size:.1f} MB")
    if arguments.check:
        clip = info.config.diffusion.clip
        exported = load_sampler(arguments.output, form, steps, clip)
        for difference in check_sampler(exported, denoiser, steps, clip=clip, tolerated=TOLERATED[form]):
            print(difference)


def _format(named: Format | None, output: Path) -> Format:
    found = [form for form in FORMATS if output.suffix == f".{form}"]
    if named and found != [named]:
        raise UserError(f"-o {output}: a file of --format {named} must end in .{named}")
    if not found:
        raise UserError(f"-o {output}: end it in .safetensors, .onnx or .pt2 to say what it is")
    return found[0]


def _check_output(output: Path, form: Format, model: CheckpointInfo) -> None:
    """Refuse to overwrite the model itself, and files that are not an earlier export of such a model."""
    if is_file(output) and output.samefile(model.path):
        raise UserError(f"-o {output} is the model itself: choose another file")
    from reddit.checkpoint.format import read_info
    from reddit.checkpoint.shapes import is_half_precision
    from reddit.inference.exported import is_exported

    def earlier(path: Path) -> bool:
        if form != "safetensors":
            return is_exported(path, form)
        info = read_info(path)
        same = (info.family, info.method, info.steps) == (model.family, model.method, model.steps)
        return same and is_half_precision(path)

    check_overwrite(output, "-o", earlier)


def _check_steps(steps: int, info: CheckpointInfo) -> None:
    if steps != info.steps:
        raise UserError(
            f"--steps {steps}: {info.path} was trained for {counted(info.steps, 'step')}, which a "
            ".safetensors file keeps; leave --steps out, or write .onnx or .pt2"
        )
