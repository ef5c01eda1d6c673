"""`reddit-llie enhance`: enhance dark photographs on disk."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from reddit.cli.errors import terminable
from reddit.cli.flags import parser_of, shard_of, weights_flag
from reddit.inference.settings import Settings
from reddit.utils.errors import UserError
from reddit.utils.files import is_file, is_folder
from reddit.utils.memory import keep_freed_memory
from reddit.utils.names import DEVICES, ENGINES, PRECISIONS
from reddit.utils.progress import print_err, print_out
from reddit.utils.text import counted, printable

if TYPE_CHECKING:
    from reddit.inference.files import Enhanced, Plan

FORMATS = ("jpg", "png", "tif", "webp", "bmp")


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "enhance",
        "Enhance dark photographs and films. Existing results are kept.",
        "-i night.jpg -o bright.jpg",
        "-i photos -o bright -r",
        "-i night.jpg -o bright.png --strength 0.7",
        "-i clip.mp4 -o bright.mp4",
        "-i camera -o bright --watch",
        "-i photos -o bright --shard 1/2",
    )
    parser.add_argument(
        "-i",
        "--input",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE_OR_FOLDER",
        help="pictures, folders of pictures, or films",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FOLDER_OR_FILE",
        help="folder of the results, or a file name for a single picture or film",
    )
    _sampling_flags(parser)
    parser.add_argument(
        "--force",
        dest="guard",
        action="store_const",
        const=False,
        help="enhance pictures that are not dark as well",
    )
    parser.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="include subfolders; results go to subfolders of the same names",
    )
    parser.add_argument(
        "--watch", action="store_true", help="keep running, and enhance what arrives; Ctrl-C ends it"
    )
    parser.add_argument(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="enhance part I of N of the files: for N commands at a time, on several GPUs or machines",
    )
    parser.add_argument("--overwrite", action="store_true", help="overwrite existing results")
    parser.add_argument("--format", choices=FORMATS, help="format of the results; default: as each input")
    parser.add_argument("--suffix", default="", help="appended to the names: photo_SUFFIX.jpg")
    _machine_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _sampling_flags(parser: argparse.ArgumentParser) -> None:
    """The model, and how it is sampled."""
    weights_flag(parser, "default: the shipped light")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps; default: those of the weights"
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        metavar="S",
        help="from 0 (the input) to 1 (the full result, default)",
    )
    parser.add_argument(
        "--ensemble",
        type=int,
        default=1,
        metavar="N",
        help="mean over N flips and rotations, 1 to 8: a little cleaner, N times slower",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling noise")


def _machine_flags(parser: argparse.ArgumentParser) -> None:
    """Tiles, precision, device and engine."""
    parser.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="side of the tiles: smaller needs less memory; 0: no tiles; default: fitted to large pictures",
    )
    parser.add_argument(
        "--tile-overlap",
        type=int,
        metavar="N",
        help="pixels that neighbouring tiles share; default: the network's",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="precision of the network; default: the model's, if the device has arithmetic for it",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="auto takes a GPU if there is one",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="auto takes ONNX Runtime, where it is installed, for one picture of up to 1.5 megapixels on the "
        "processor with the default model, and PyTorch for all else, where that is faster",
    )


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    keep_freed_memory()
    from reddit.cli.engine import model_of
    from reddit.inference.files import enhance_files, plan_outputs
    from reddit.inference.warn import EnhanceWarning

    def planned() -> Plan:
        return plan_outputs(
            arguments.input,
            arguments.output,
            suffix=arguments.suffix,
            form=arguments.format,
            recursive=arguments.recursive,
            overwrite=arguments.overwrite,
            may_be_empty=arguments.watch,
            shard=shard,
        )

    shard = shard_of(arguments.shard)
    if arguments.watch:
        _check_watched(arguments)
    plan = planned()
    model, name = model_of(arguments, plan)
    settings = _settings_of(arguments)

    def enhanced(plan: Plan) -> Enhanced:
        return enhance_files(plan, model, **settings)

    with warnings.catch_warnings(), terminable():
        warnings.simplefilter("always", EnhanceWarning)
        warnings.showwarning = _show_warning
        if arguments.watch:
            model.check_settings(**settings)
            return _watch(planned, enhanced, arguments)
        done = enhanced(plan)
    if plan.single and done.failed:
        raise UserError(done.failed[0])
    print_out(_summary(arguments.output, plan, done, name))
    for line in done.failed:
        print_err(f"error: {line}")
    return 1 if done.failed else 0


def _settings_of(arguments: argparse.Namespace) -> Settings:
    """The flags that are settings of `Enhancer.enhance`: they have the names of these."""
    given = {key: value for key, value in vars(arguments).items() if key in Settings.__annotations__}
    return cast("Settings", given | {"quiet": arguments.quiet or arguments.watch})


def _check_watched(arguments: argparse.Namespace) -> None:
    sources, output = arguments.input, arguments.output
    if arguments.shard != "1/1":
        raise UserError("--watch: the parts of --shard would change as pictures arrive; omit one of them")
    for source in sources:
        if not is_folder(source):
            raise UserError(f"--watch: {source} is no folder")
        if is_folder(output) and output.samefile(source):
            raise UserError(f"--watch: -o {output} is watched itself: choose another folder for the results")
    if is_file(output):
        raise UserError(f"--watch: -o {output} is a file: choose a folder")


def _watch(
    planned: Callable[[], Plan], enhanced: Callable[[Plan], Enhanced], arguments: argparse.Namespace
) -> int:
    """Enhance what lies in the folders and what arrives, until Ctrl-C."""
    from reddit.inference.watch import Watch

    def log(line: str) -> None:
        if line.startswith("error: "):
            print_err(line)
        elif not arguments.quiet:
            print_out(line)
        sys.stdout.flush()

    watch = Watch(planned, enhanced, log)
    if not arguments.quiet:
        print_err(f"watching {', '.join(map(str, arguments.input))}; Ctrl-C ends it")
    watch.run()
    print_out(f"{counted(watch.count, 'picture')} in {arguments.output}")
    return 0


def _summary(output: Path, plan: Plan, done: Enhanced, model: str) -> str:
    from reddit.image.films import is_film

    films = sum(map(is_film, done.written))
    kinds = [counted(films, "film")] if films else []
    if films < len(done.written) or not films:
        kinds.insert(0, counted(len(done.written) - films, "picture"))
    counts = [f"{' and '.join(kinds)} in {output} ({model})"]
    if plan.present:
        counts.append(f"{counted(len(plan.present), 'existing result')} kept (--overwrite replaces them)")
    if plan.others:
        names = ", ".join(sorted({file.suffix.lower() or file.name for file in plan.others}))
        named = "; films are enhanced if they are named" if any(map(is_film, plan.others)) else ""
        counts.append(f"{counted(len(plan.others), 'other file')} skipped ({names}{named})")
    if done.failed:
        counts.append(f"{len(done.failed)} failed")
    return "; ".join(counts)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """One line for a warning, above the progress bar."""
    from tqdm import tqdm

    tqdm.write(printable(f"warning: {message}"), file=sys.stderr)
