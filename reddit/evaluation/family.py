"""Scoring a family of runs: the teacher, also at fewer steps, its students, and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reddit.checkpoint.format import CheckpointInfo, load_denoiser
from reddit.checkpoint.registry import all_models, find_model, name_of, student_name
from reddit.config import Config
from reddit.data import Pair, load_pairs, load_picture, overlap
from reddit.evaluation.baselines import fit_gain_gamma
from reddit.evaluation.evaluate import Predict, evaluate, model_settings, predict_with
from reddit.evaluation.result import Evaluation
from reddit.evaluation.timing import seconds_a_call
from reddit.image.pixels import to_float
from reddit.metrics import Scorer
from reddit.models import count_parameters
from reddit.report.tables import Cell
from reddit.utils.device import choose_device, precision_on
from reddit.utils.errors import UserError
from reddit.utils.progress import Log, print_out
from reddit.utils.text import counted


@dataclass(frozen=True)
class Row:
    """One line of a family's table.

    Attributes:
        kind: `teacher`, the student's method, `fewer steps` (the teacher with a student's steps), `other` (a
            model of another family), or `baseline`.
        seconds: time of one picture, None for baselines.
        seen: number of test pictures that were in its training or validation set.
        trained_on: number of different pictures in its training and validation sets.
    """

    label: str
    kind: str
    steps: int | None
    evaluation: Evaluation
    seconds: float | None
    parameters: int | None
    predict: Predict
    seen: int = 0
    trained_on: int = 0

    @property
    def psnr(self) -> float:
        """Mean raw PSNR, dB."""
        return self.evaluation.mean().raw["psnr"]

    @property
    def warning(self) -> str:
        """A warning if test pictures were in its training or validation set; else empty."""
        if not self.seen:
            return ""
        of = f"{self.seen} of the test pictures"
        return f"{self.label} was trained or validated on {of}: its score is not comparable"

    def cells(self) -> dict[str, Cell]:
        """The row of results.csv."""
        mean = self.evaluation.mean()
        deviation = self.evaluation.deviation()
        cells: dict[str, Cell] = {"model": self.label, "steps": self.steps}
        for group, scores in (("raw", mean.raw), ("gt_mean", mean.gt_mean)):
            for metric, value in scores.items():
                cells[f"{metric}_{group}"] = value
        if "raw.psnr" in deviation:
            cells["psnr_raw_std"] = deviation["raw.psnr"]
        cells["ms_per_image"] = None if self.seconds is None else 1000 * self.seconds
        cells["parameters"] = self.parameters
        return cells


def family_models(config: Config, family: str) -> list[CheckpointInfo]:
    """The models of a family, one per number of steps (see `find_model`), most steps first.

    Raises:
        UserError: the family has no teacher.
    """
    runs = config.runs_folder()
    methods = ("teacher", "reddit")  # without other distillation methods
    counts = {m.steps for m in all_models(runs) if m.family == family and m.method in methods}
    if config.diffusion.teacher_steps not in counts:
        raise UserError(
            f"no teacher of the family {family} in {runs}: train it with reddit-llie train -c FILE"
        )
    models = [find_model(runs, steps, family, methods) for steps in sorted(counts, reverse=True)]
    return [model for model in models if model is not None]


def score_family(
    config: Config,
    family: str,
    scorer: Scorer,
    *,
    others: Sequence[CheckpointInfo] = (),
    seeds: Sequence[int] = (0,),
    quiet: bool = False,
    log: Log = print_out,
) -> list[Row]:
    """Score a family on the test pictures: two baselines, the models, the teacher at fewer steps, others."""
    test = load_pairs(config.data, config.data_root(), "test")
    device = choose_device(config.device)
    models = family_models(config, family)

    def scored(
        label: str, predict: Predict, settings: dict[str, str], row_seeds: Sequence[int]
    ) -> Evaluation:
        dataset = config.data.dataset
        return evaluate(
            dataset, test, label, predict, scorer, seeds=row_seeds, settings=settings, quiet=quiet
        )

    fitted = fit_gain_gamma(load_pairs(config.data, config.data_root(), "train"), quiet)
    log(f"best single gain and gamma on the training pairs: {fitted.gain:.3f}, {fitted.gamma:.3f}")
    baselines: dict[str, Callable[[Tensor], Tensor]] = {
        "input": lambda low: low,
        f"gain {fitted.gain:.2f}, gamma {fitted.gamma:.2f}": fitted,
    }
    precision = precision_on(device, config.precision)
    rows = []
    for label, function in baselines.items():
        predict = _pointwise(function)
        rows.append(Row(label, "baseline", None, scored(label, predict, {}, seeds[:1]), None, None, predict))

    teacher = models[0]
    seen = {model.path: len(overlap(model.training_pictures, test)) for model in (*models, *others)}
    plan = [(model, model.steps, model.method) for model in models]
    plan += [(teacher, model.steps, "fewer steps") for model in models[1:]]
    plan += [(model, model.steps, "other") for model in others]
    for model, steps, kind in plan:
        who = name_of(model) if kind == "other" else _who(model)
        label = f"{who}{' at' if kind == 'fewer steps' else ','} {counted(steps, 'step')}"
        denoiser = load_denoiser(model.path)[0].to(device)
        diffusion = model.config.diffusion
        predict = predict_with(
            denoiser, steps, sampler=diffusion.sampler, clip=diffusion.clip, precision=precision
        )
        evaluation = scored(label, predict, model_settings(model, steps, precision), seeds)
        seconds = _time(predict, test, device)
        parameters = count_parameters(denoiser)
        trained_on = len(model.training_pictures)
        rows.append(
            Row(label, kind, steps, evaluation, seconds, parameters, predict, seen[model.path], trained_on)
        )
        log(f"{label}: {rows[-1].psnr:.2f} dB raw, {1000 * seconds:.0f} ms a picture")
        if rows[-1].warning:
            log(f"warning: {rows[-1].warning}")
    return rows


def comparison(rows: Sequence[Row]) -> list[str]:
    """A line for each model of another family: its raw PSNR beside that of the family's last model."""
    own = [row for row in rows if row.kind in ("teacher", "reddit")][-1]
    return [
        f"{row.label}, trained on {row.trained_on:,} pictures: {row.psnr - own.psnr:+.2f} dB raw against "
        f"{own.label}, trained on {own.trained_on:,}"
        for row in rows
        if row.kind == "other"
    ]


def _who(model: CheckpointInfo) -> str:
    """`teacher` or `student`; or the name of the run, if it differs from its family's."""
    run = model.path.parent.parent.name
    if run not in (model.family, student_name(model.family, model.steps)):
        return run
    return "student" if model.method == "reddit" else "teacher"


def _pointwise(function: Callable[[Tensor], Tensor]) -> Predict:
    def predict(name: str, low: np.ndarray, seed: int) -> Tensor:
        return function(to_float(low))

    return predict


def _time(predict: Predict, pairs: list[Pair], device: torch.device) -> float:
    low = load_picture(pairs[0].low)
    return seconds_a_call(lambda: predict(pairs[0].name, low, 0), device, repeats=3)
