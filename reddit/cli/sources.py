"""The pictures that `evaluate` scores, and the settings that it prints."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from reddit.checkpoint.format import load_denoiser
from reddit.checkpoint.registry import find_checkpoint, name_of
from reddit.cli.models import choose_model
from reddit.config import Config, resolve_config
from reddit.data import LAYOUTS, TestPicture, load_pairs, load_picture, load_test_set, overlap
from reddit.data.layouts import locate
from reddit.data.pairing import Frames, find_truths, truths_in
from reddit.evaluation.evaluate import Predict, device_name, model_settings, predict_with
from reddit.evaluation.held_out import validation_pictures
from reddit.evaluation.predictions import check_sizes, match_predictions, predict_from, sizes_of
from reddit.evaluation.published import published_times
from reddit.evaluation.result import Evaluation
from reddit.evaluation.timing import seconds_a_call
from reddit.models import count_parameters
from reddit.report.tables import Cell, Format
from reddit.utils.device import sampling_precision
from reddit.utils.errors import UserError
from reddit.utils.progress import print_err, print_out
from reddit.utils.text import counted


@dataclass(frozen=True)
class Source:
    """What is scored.

    Attributes:
        label: its name in tables.
        predict: gives the pictures.
        settings: what affects the scores besides the protocol.
        pictures: the test pictures that it covers.
        seen: names of those that the model was trained on; None if that is unknown.
    """

    label: str
    predict: Predict
    settings: dict[str, str]
    pictures: list[TestPicture]
    seen: frozenset[str] | None = None


def scored_set(arguments: argparse.Namespace, config: Config) -> list[TestPicture]:
    """The pictures that `evaluate` scores: a test set, or the validation pairs of a model."""
    if arguments.validation:
        return validation_set(arguments, config)
    return test_set(config, arguments.frames, lows=not arguments.predictions)


def test_set(config: Config, frames: Frames, lows: bool = True) -> list[TestPicture]:
    """The test pictures; `lows`: whether the low pictures are needed, or the ground truths are enough."""
    data, root = config.data, config.data_root()
    if data.dataset == "pairs":
        if not lows and data.test_high and not data.test_low:
            return truths_in(Path(data.test_high))
        pairs = load_pairs(data, root, "test")
        return [TestPicture(pair.name, pair.low, pair.high) for pair in pairs]
    layout = LAYOUTS.get(data.dataset)
    if not lows and layout and layout.kind == "pairs" and locate(layout, root, "test") is None:
        with contextlib.suppress(UserError):  # the message about the whole set says more
            return find_truths(data.dataset, root)
    return load_test_set(data.dataset, root, frames=frames)


def validation_set(arguments: argparse.Namespace, config: Config) -> list[TestPicture]:
    if not arguments.weights:
        raise UserError("--validation: name the model with --weights; each has its own validation pairs")
    model = find_checkpoint(arguments.weights, config.runs_folder())
    return validation_pictures(model, config.data_root(), arguments.quiet)


def source(
    arguments: argparse.Namespace, config: Config, pictures: list[TestPicture], device: torch.device
) -> Source:
    """What the command scores: a folder of predictions, or a model."""
    if arguments.predictions:
        return _predictions(arguments, pictures)
    model, steps = choose_model(
        arguments.weights, arguments.steps, config.runs_folder(), dataset=arguments.dataset
    )
    if arguments.sampler:
        chosen = [f"diffusion.sampler={arguments.sampler}"]
        given = model.config.model_dump()
        sampled = resolve_config(given, chosen, source=str(model.path), flag="--sampler")
        model = replace(model, config=sampled)
    seen = [] if arguments.validation else overlap(model.training_pictures, pictures)
    if seen:
        print_err(
            f"warning: {len(seen)} of {len(pictures)} test pictures were in the training set of {model.path} "
            f"({', '.join(seen[:5])}{', …' if len(seen) > 5 else ''}): these scores are not meaningful"
        )
    precision = arguments.precision or sampling_precision(device, model.config.precision)
    denoiser = load_denoiser(model.path)[0].to(device)
    diffusion = model.config.diffusion
    predict = predict_with(
        denoiser,
        steps,
        sampler=diffusion.sampler,
        clip=diffusion.clip,
        precision=precision,
        ensemble=arguments.ensemble,
    )
    settings = model_settings(model, steps, precision)
    settings["parameters"] = f"{count_parameters(denoiser) / 1e6:.2f} M"
    if arguments.ensemble > 1:
        settings["ensemble"] = f"{arguments.ensemble} flips and rotations"
    if not arguments.validation:
        settings["test pictures seen in training"] = str(len(seen))
    known = None if arguments.validation else frozenset(seen)
    return Source(f"{name_of(model)}, {counted(steps, 'step')}", predict, settings, pictures, known)


def _predictions(arguments: argparse.Namespace, pictures: list[TestPicture]) -> Source:
    folder: Path = arguments.predictions
    matched = match_predictions(
        folder,
        [picture.name for picture in pictures],
        allow_extra=arguments.allow_extra,
        allow_missing=arguments.allow_missing,
    )
    covered = [picture for picture in pictures if picture.name in matched]
    check_sizes(matched, sizes_of(covered))
    settings = {"pictures": str(folder)}
    if missing := [picture.name for picture in pictures if picture.name not in matched]:
        settings["incomplete"] = f"{len(covered)} of {len(pictures)} test pictures"
        print_err(
            f"warning: {folder} has no picture for {len(missing)} of {len(pictures)} test pictures "
            f"({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}): the means are not comparable"
        )
    return Source(folder.name, predict_from(matched), settings, covered)


def incomplete(evaluation: Evaluation, failed: list[str], count: int) -> Evaluation:
    """An evaluation that names how many pictures it covers; prints those that failed."""
    for line in failed:
        print_err(f"error: {line}")
    print_err(f"warning: {len(failed)} of {count} test pictures are left out: the means are not comparable")
    covered = {"incomplete": f"{len(evaluation.pictures)} of {count} test pictures"}
    return replace(evaluation, settings=evaluation.settings | covered)


def print_settings(evaluation: Evaluation, form: Format) -> None:
    """Print the settings that affect the scores: above the table; with CSV to stderr."""
    mark = "% " if form == "latex" else ""
    tell = print_err if form == "csv" else print_out
    tell("\n".join(mark + line for line in evaluation.describe().splitlines()))
    if form == "md":
        print_out("")


def times(
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
