#!/usr/bin/env python3
"""Make dark photographs good: python scripts/enhance.py -i photo.jpg -o bright/"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from tqdm import tqdm

from reddit.checkpoint.registry import DEFAULT, name_of
from reddit.cli.common import choose_model, run, weights_flag
from reddit.image.formats import FORMATS
from reddit.inference.enhancer import EnhanceWarning, enhancer_of
from reddit.inference.files import enhance_files, plan_outputs
from reddit.utils.errors import UserError
from reddit.utils.text import counted


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    plan = plan_outputs(
        arguments.input,
        arguments.output,
        suffix=arguments.suffix,
        form=arguments.format,
        recursive=arguments.recursive,
        overwrite=arguments.overwrite,
    )
    info, steps = choose_model(arguments.weights, arguments.steps, Path("runs"), shipped_first=True)
    model = enhancer_of(info, steps, arguments.device, arguments.precision)
    with warnings.catch_warnings():
        warnings.simplefilter("always", EnhanceWarning)
        warnings.showwarning = _say
        done = enhance_files(
            plan,
            model,
            seed=arguments.seed,
            strength=arguments.strength,
            guard=not arguments.force,
            tile=arguments.tile,
            tile_overlap=arguments.tile_overlap,
            quiet=arguments.quiet,
        )
    if plan.single and done.failed:
        raise UserError(done.failed[0])
    written, name = counted(len(done.written), "picture"), name_of(info)
    counts = [f"{written} in {arguments.output} ({name}, {counted(steps, 'step')})"]
    if plan.present:
        counts.append(f"{len(plan.present)} there already (--overwrite makes them anew)")
    if plan.others:
        kinds = ", ".join(sorted({file.suffix.lower() or file.name for file in plan.others}))
        counts.append(f"{counted(len(plan.others), 'other file')} left out ({kinds})")
    if done.failed:
        counts.append(f"{len(done.failed)} failed")
    print("; ".join(counts))
    for line in done.failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if done.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", "--input", required=True, nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER_OR_FILE")
    weights_flag(parser, f"default: {DEFAULT}, which comes with the package")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="sampling steps; default: those of the weights, which are made for 1, or for 2 and 4",
    )
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="S", help="from 0, the picture, to 1 (default)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampling noise")
    parser.add_argument("--force", action="store_true", help="enhance pictures too that are not dark")
    parser.add_argument("-r", "--recursive", action="store_true", help="subfolders too, and keep them")
    parser.add_argument("--overwrite", action="store_true", help="make results anew that are there already")
    parser.add_argument(
        "--format", choices=[extension[1:] for extension in FORMATS], help="default: that of each picture"
    )
    parser.add_argument("--suffix", default="", help="appended to the names: photo_SUFFIX.jpg")
    parser.add_argument(
        "--tile", type=int, metavar="N", help="side of the tiles of big pictures; 0: never any; default: 512"
    )
    parser.add_argument(
        "--tile-overlap", type=int, metavar="N", help="pixels that neighbouring tiles share; default: 64"
    )
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="default: the model's")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _say(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """One line for a warning, above the progress bar."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
