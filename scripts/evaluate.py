#!/usr/bin/env python3
"""Score a model, or any program's pictures: python scripts/evaluate.py --dataset lolv2_real"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from reddit.checkpoint.format import load_denoiser
from reddit.checkpoint.registry import find_checkpoint, name_of
from reddit.cli.common import (
    check_overrides,
    choose_model,
    config_flags,
    run,
    scorer_flags,
    scorer_from,
    weights_flag,
)
from reddit.config import Config, load_config, resolve_config
from reddit.data import TestPicture, load_pairs, load_picture, load_test_set, overlap
from reddit.data.pairing import Frames
from reddit.evaluation.evaluate import (
    Evaluation,
    Predict,
    device_name,
    evaluate,
    mean_over,
    model_settings,
    predict_with,
)
from reddit.evaluation.held_out import validation_pairs
from reddit.evaluation.page import EvaluationPage
from reddit.evaluation.predictions import predict_from, sizes_of
from reddit.evaluation.published import our_row, published_times, rows_beside, without_empty_columns
from reddit.evaluation.timing import seconds_a_call
from reddit.models import count_parameters
from reddit.report.tables import Cell, Format, render
from reddit.utils.device import choose_device
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.text import counted


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", metavar="NAME", required=True)
    config_flags(parser)
    source = parser.add_mutually_exclusive_group()
    weights_flag(source, "default: the newest run, those on this data set first, and says which")
    source.add_argument(
        "--predictions", type=Path, metavar="FOLDER", help="score pictures that any program wrote"
    )
    parser.add_argument("--allow-extra", action="store_true", help="pass over predictions of no test picture")
    parser.add_argument("--steps", type=int, metavar="N", help="sampling steps; default: those of the model")
    parser.add_argument("--sampler", metavar="NAME", help="ddim, ddpm, dpmpp, unipc …; default: the model's")
    parser.add_argument("--seeds", type=int, nargs="+", help="seeds of the sampling noise; default: 0")
    parser.add_argument(
        "--average", action="store_true", help="score the mean of the seeds' pictures as one picture"
    )
    parser.add_argument(
        "--validation",
        action="store_true",
        help="score the pairs that the model's weights were chosen by: to try things without the test set",
    )
    parser.add_argument(
        "--frames", choices=["all", "first30"], default="all", help="of each folder of a video set"
    )
    scorer_flags(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores, per image too")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page to look at: sliders, error maps"
    )
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="default: the model's")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the restored pictures as PNG")
    parser.add_argument(
        "--time", action="store_true", help="measure the time of a picture, beside the paper's"
    )
    parser.add_argument("--format", choices=["text", "csv", "md", "latex"], default="text")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    arguments = parser.parse_args(argv)

    check_overrides(
        arguments,
        "data.",
        "runs=",
        "device=",
        instead="--steps, --sampler and --precision change how it samples",
    )
    _check_predictions(arguments)
    config = load_config(arguments.config, [*arguments.set, f"data.dataset={arguments.dataset}"])
    pictures = (
        _validation_set(arguments, config) if arguments.validation else _test_set(config, arguments.frames)
    )
    gt = any(picture.high is not None for picture in pictures)
    device = choose_device(config.device)
    method, predict, settings = _source(arguments, config, pictures, device)
    seeds = arguments.seeds or [0]
    if arguments.average:
        if len(seeds) < 2:
            raise UserError("--average: takes two --seeds or more")
        predict, settings["average over"] = mean_over(predict, seeds), f"seeds {' '.join(map(str, seeds))}"
        seeds = seeds[:1]
    page = EvaluationPage(arguments.html.parent) if arguments.html else None
    evaluation = evaluate(
        f"{arguments.dataset} validation" if arguments.validation else arguments.dataset,
        pictures,
        method,
        predict,
        scorer_from(arguments, gt=gt, device=str(device)),
        seeds=seeds,
        settings=settings | ({"frames": arguments.frames} if arguments.frames != "all" else {}),
        save=arguments.save,
        watch=page.add if page else None,
        quiet=arguments.quiet,
    )
    _print_settings(evaluation, arguments.format)
    if arguments.time:
        print(render(_times(method, predict, settings, pictures, device), arguments.format))
    published = [] if arguments.validation else rows_beside(evaluation, arguments.dataset)
    print(render(without_empty_columns([our_row(evaluation), *published]), arguments.format), end="")
    # What took long to compute stands on the screen before a full disk can lose it.
    if arguments.json:
        write_bytes(arguments.json, (json.dumps(evaluation.to_json(), indent=1) + "\n").encode())
    if page:
        page.finish(evaluation, arguments.html)


def _check_predictions(arguments: argparse.Namespace) -> None:
    """Refuse what finished pictures cannot heed."""
    flags = ("steps", "sampler", "precision", "seeds", "average", "time", "validation")
    given = [f"--{flag}" for flag in flags if getattr(arguments, flag)]
    if arguments.predictions and given:
        raise UserError(
            f"{', '.join(given)}: for models; --predictions scores pictures that are made already"
        )


def _test_set(config: Config, frames: Frames) -> list[TestPicture]:
    if config.data.dataset == "pairs":
        pairs = load_pairs(config.data, config.data_root(), "test")
        return [TestPicture(pair.name, pair.low, pair.high) for pair in pairs]
    return load_test_set(config.data.dataset, config.data_root(), frames=frames)


def _validation_set(arguments: argparse.Namespace, config: Config) -> list[TestPicture]:
    if not arguments.weights:
        raise UserError("--validation: name the model with --weights; each has its own validation pairs")
    model = find_checkpoint(arguments.weights, config.runs_folder())
    pairs = validation_pairs(model, config.data_root(), arguments.quiet)
    return [TestPicture(pair.name, pair.low, pair.high) for pair in pairs]


def _source(
    arguments: argparse.Namespace, config: Config, pictures: list[TestPicture], device: torch.device
) -> tuple[str, Predict, dict[str, str]]:
    """What makes the pictures: its label, itself, and what decides its numbers."""
    if arguments.predictions:
        names = [picture.name for picture in pictures]
        return (
            arguments.predictions.name,
            predict_from(
                arguments.predictions, names, sizes=sizes_of(pictures), allow_extra=arguments.allow_extra
            ),
            {"pictures": str(arguments.predictions)},
        )
    model, steps = choose_model(
        arguments.weights, arguments.steps, config.runs_folder(), dataset=arguments.dataset
    )
    if arguments.sampler:
        chosen = [f"diffusion.sampler={arguments.sampler}"]
        given = model.config.model_dump()
        sampled = resolve_config(given, chosen, source=str(model.path), laid_by="--sampler")
        model = replace(model, config=sampled)
    seen = [] if arguments.validation else overlap(model.training_pictures, pictures)
    if seen:
        print(
            f"warning: {len(seen)} of {len(pictures)} test pictures were in the training set of {model.path} "
            f"({', '.join(seen[:5])}{', …' if len(seen) > 5 else ''}): its scores here mean little",
            file=sys.stderr,
        )
    precision = arguments.precision or model.config.precision
    denoiser = load_denoiser(model.path)[0].to(device)
    diffusion = model.config.diffusion
    predict = predict_with(
        denoiser, steps, sampler=diffusion.sampler, clip=diffusion.clip, precision=precision
    )
    settings = model_settings(model, steps, precision)
    settings["parameters"] = f"{count_parameters(denoiser) / 1e6:.2f} M"
    if not arguments.validation:
        settings["test pictures seen in training"] = str(len(seen))
    return f"{name_of(model)}, {counted(steps, 'step')}", predict, settings


def _print_settings(evaluation: Evaluation, form: Format) -> None:
    """What decides the numbers: over the table, as comments in LaTeX, on stderr beside a clean CSV."""
    mark = "% " if form == "latex" else ""
    stream = sys.stderr if form == "csv" else sys.stdout
    print(*(mark + line for line in evaluation.describe().splitlines()), sep="\n", file=stream)
    if form == "md":
        print()


def _times(
    method: str,
    predict: Predict,
    settings: dict[str, str],
    pictures: Sequence[TestPicture],
    device: torch.device,
) -> list[dict[str, Cell]]:
    """Seconds, frames a second and parameters, on the first test picture; then the paper's Table 4."""
    name, low = pictures[0].name, load_picture(pictures[0].low)
    seconds = seconds_a_call(lambda: predict(name, low, 0), device)
    where = f"{device_name(device)}, {low.shape[1]}×{low.shape[0]}"
    rows: list[dict[str, Cell]] = [_time_row(method, seconds, settings.get("parameters"), where)]
    for row in published_times():
        rows.append(
            _time_row(row.method, row.seconds, f"{row.params_m} M", "a GPU that the paper does not name")
        )
    return rows


def _time_row(method: str, seconds: float, parameters: str | None, hardware: str) -> dict[str, Cell]:
    return {
        "method": method,
        "seconds": f"{seconds:.3f}",
        "frames/s": f"{1 / seconds:.2f}",
        "parameters": parameters,
        "hardware": hardware,
    }


if __name__ == "__main__":
    run(main)
