"""`reddit-llie evaluate`: score a model, or pictures of any program, on a test set."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reddit.cli.flags import check_overrides, config_flags, parser_of, scorer_flags, weights_flag
from reddit.utils.errors import UserError
from reddit.utils.memory import keep_freed_memory
from reddit.utils.names import PRECISIONS
from reddit.utils.progress import print_out

if TYPE_CHECKING:
    import torch

    from reddit.cli.sources import Source
    from reddit.evaluation.page import EvaluationPage
    from reddit.evaluation.result import Evaluation
    from reddit.training.distributed import World


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "evaluate",
        "Score a model, or pictures of any program, on a test set; raw and with GT-mean.",
        "--dataset lolv2_real",
        "--dataset lolv1 --weights light-1 --seeds 0 1 2 --html scores.html",
        "--dataset lolv1 --predictions FOLDER --format md",
    )
    parser.add_argument(
        "--dataset", metavar="NAME", required=True, help="lolv1, lolv2_real, sid, dicm, … (docs/datasets.md)"
    )
    config_flags(parser)
    source = parser.add_mutually_exclusive_group()
    weights_flag(source, "default: the newest run, preferably trained on this data set")
    source.add_argument(
        "--predictions", type=Path, metavar="FOLDER", help="score the pictures in this folder, of any program"
    )
    parser.add_argument(
        "--allow-missing", action="store_true", help="score predictions of a part of the test set, and say so"
    )
    parser.add_argument(
        "--allow-extra", action="store_true", help="ignore predictions without a test picture"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="sampling steps; default: those of the model")
    parser.add_argument("--sampler", metavar="NAME", help="ddim, ddpm, dpmpp, unipc …; default: the model's")
    parser.add_argument("--seeds", type=int, nargs="+", help="seeds of the sampling noise; default: 0")
    parser.add_argument(
        "--average", action="store_true", help="score the mean of the seeds' pictures as one picture"
    )
    parser.add_argument(
        "--ensemble",
        type=int,
        default=1,
        metavar="N",
        help="score the mean over N flips and rotations, 1 to 8",
    )
    parser.add_argument(
        "--validation",
        action="store_true",
        help="score on the model's validation pairs instead of the test set",
    )
    parser.add_argument(
        "--frames", choices=["all", "first30"], default="all", help="frames of a video; default: all"
    )
    scorer_flags(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores, also of each picture")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with sliders and error maps")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: the model's, if the device has it")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the restored pictures as PNG")
    parser.add_argument(
        "--time",
        action="store_true",
        help="measure the time of a picture; the paper's times are listed with it",
    )
    parser.add_argument(
        "--format", choices=["text", "csv", "md", "latex"], default="text", help="format of the table"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    keep_freed_memory()
    _check_flags(arguments)
    _check_outputs(arguments)
    from reddit.training.distributed import join

    world = join("run the same command again")
    with ExitStack() as stack:
        if not world.main:  # whose errors are printed all the same, where they end the command
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        return _score(arguments, world)


def _score(arguments: argparse.Namespace, world: World) -> int:
    """Score, print the table and write the files; returns the exit code."""
    from reddit.cli import sources
    from reddit.cli.models import scorer_from
    from reddit.config import load_config
    from reddit.data import data_folders
    from reddit.evaluation.evaluate import evaluate, mean_over
    from reddit.evaluation.page import EvaluationPage
    from reddit.evaluation.saving import check_save
    from reddit.training.heartbeat import heartbeat
    from reddit.utils.device import choose_device

    config = load_config(arguments.config, [*arguments.set, f"data.dataset={arguments.dataset}"])
    pictures = sources.scored_set(arguments, config)
    if arguments.save:
        own = [arguments.predictions] if arguments.predictions else []
        check_save(arguments.save, pictures, [*data_folders(config.data, config.data_root()), *own])
    gt = any(picture.high is not None for picture in pictures)
    _check_metrics(arguments, gt)
    device = choose_device(config.device)
    source = sources.source(arguments, config, pictures, device)
    seeds = arguments.seeds or [0]
    if arguments.average:
        settings = source.settings | {"average over": f"seeds {' '.join(map(str, seeds))}"}
        source = replace(source, predict=mean_over(source.predict, seeds), settings=settings)
        seeds = seeds[:1]
    page = EvaluationPage(arguments.html.parent, _scored(arguments), source.seen) if arguments.html else None
    failed: list[str] = []
    with heartbeat(world, config.train.lost_after):
        evaluation = evaluate(
            f"{arguments.dataset} validation" if arguments.validation else arguments.dataset,
            source.pictures,
            source.label,
            source.predict,
            scorer_from(arguments, gt=gt, device=str(device)),
            seeds=seeds,
            settings=source.settings | ({"frames": arguments.frames} if arguments.frames != "all" else {}),
            seen=source.seen,
            save=arguments.save,
            watch=page.add if page else None,
            failed=failed,
            world=world,
            quiet=arguments.quiet,
        )
        if failed:
            evaluation = sources.incomplete(evaluation, failed, len(source.pictures))
        if world.main:
            _publish(evaluation, arguments, source, page, device)
        world.wait()  # torchrun ends all as soon as one ends with an exit code
    return 1 if failed else 0


def _publish(
    evaluation: Evaluation,
    arguments: argparse.Namespace,
    source: Source,
    page: EvaluationPage | None,
    device: torch.device,
) -> None:
    """Print the scores and write the files."""
    from reddit.cli import sources
    from reddit.report.tables import render
    from reddit.utils.files import write_bytes

    sources.print_settings(evaluation, arguments.format)
    if arguments.time:
        timed = sources.times(source.label, source.predict, source.settings, source.pictures, device)
        print_out(render(timed, arguments.format))
    _print_scores(evaluation, arguments)
    # Scores are printed before files are written: a full disk cannot lose them.
    if arguments.json:
        write_bytes(arguments.json, (json.dumps(evaluation.to_json(), indent=1) + "\n").encode())
    if page:
        page.finish(evaluation, arguments.html)


def _print_scores(evaluation: Evaluation, arguments: argparse.Namespace) -> None:
    """The scores, on a test set beside published ones."""
    from reddit.evaluation.published import our_row, rows_beside, without_empty_columns
    from reddit.report.tables import render

    published = [] if arguments.validation else rows_beside(evaluation, arguments.dataset)
    table = render(without_empty_columns([our_row(evaluation), *published]), arguments.format)
    print_out(table.rstrip("\n"))


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse to overwrite files that are no results of this command."""
    from reddit.evaluation.page import GENERATOR
    from reddit.utils.files import begins, check_overwrite

    if arguments.json:
        check_overwrite(arguments.json, "--json", lambda path: begins(path, b'{\n "dataset": '))
    if arguments.html:
        check_overwrite(arguments.html, "--html", lambda path: begins(path, GENERATOR, within=1000))


def _check_metrics(arguments: argparse.Namespace, gt: bool) -> None:
    """Refuse to score pictures without a ground truth by metrics that need one."""
    needing = [metric for metric in arguments.metrics or [] if not metric.startswith("niqe")]
    if needing and not gt:
        nothing = ", so nothing can be scored" if needing == arguments.metrics else ""
        raise UserError(
            f"--metrics {' '.join(needing)}: {arguments.dataset} has no ground truth{nothing}; use niqe or "
            "niqe-grey"
        )


def _scored(arguments: argparse.Namespace) -> str:
    """The seed whose pictures a page shows; empty for --predictions."""
    if arguments.predictions:
        return ""
    seeds = arguments.seeds or [0]
    return f"mean of seeds {' '.join(map(str, seeds))}" if arguments.average else f"seed {seeds[0]}"


def _check_flags(arguments: argparse.Namespace) -> None:
    """Refuse flags that have no effect, alone or together."""
    from reddit.image.arrays import SYMMETRIES

    check_overrides(
        arguments,
        "data.",
        "runs=",
        "device=",
        "train.lost_after=",
        instead="--steps, --sampler and --precision change how it samples",
    )
    if not 1 <= arguments.ensemble <= SYMMETRIES:
        raise UserError(f"--ensemble {arguments.ensemble}: must be between 1 and {SYMMETRIES}")
    if arguments.average and len(arguments.seeds or [0]) < 2:
        raise UserError("--average needs at least two --seeds")
    flags = ("steps", "sampler", "precision", "seeds", "average", "time", "validation")
    given = [f"--{flag}" for flag in flags if getattr(arguments, flag)]
    given += ["--ensemble"] if arguments.ensemble > 1 else []
    if arguments.predictions and given:
        raise UserError(f"{', '.join(given)}: only for models; --predictions scores existing pictures")
