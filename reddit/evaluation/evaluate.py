"""Scoring: any source of pictures, any test set, one protocol, one picture in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reddit.checkpoint.format import CheckpointInfo
from reddit.data import Pair, TestPicture, fingerprint, load_picture
from reddit.diffusion import Denoiser
from reddit.evaluation.result import Evaluation, PictureResult
from reddit.image.pixels import to_float
from reddit.image.write import save_result
from reddit.inference.sampling import restore
from reddit.inference.seeds import picture_seed
from reddit.metrics import Scorer, Scores
from reddit.training.distributed import World
from reddit.utils.device import to_device_of
from reddit.utils.errors import UserError
from reddit.utils.progress import progress
from reddit.utils.text import counted

Predict = Callable[[str, np.ndarray, int], Tensor]
"""(name, low as uint8 (H, W, 3), seed) → the restored picture, (3, H, W) in [0, 1]."""
Watch = Callable[[str, "np.ndarray | None", Tensor, "Tensor | None", Scores], None]
"""(name, low as uint8 (H, W, 3) or None if it is not on disk, output, gt, scores)."""


def evaluate(
    dataset: str,
    pictures: Sequence[TestPicture | Pair],
    method: str,
    predict: Predict,
    scorer: Scorer,
    *,
    seeds: Sequence[int] = (0,),
    settings: dict[str, str] | None = None,
    seen: frozenset[str] | None = None,
    save: Path | None = None,
    watch: Watch | None = None,
    failed: list[str] | None = None,
    world: World | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Score `predict` on a test set.

    Args:
        seen: names of the pictures that the model was trained on, if known.
        save: folder for the pictures of the first seed, as PNG.
        watch: called with every picture of the first seed.
        failed: receives a line for each picture that cannot be read or scored, which is then left out; None:
            such a picture is an error.
        world: the processes that share the pictures; each receives all scores, and the main one watches.

    Raises:
        UserError: a picture cannot be read, is too small for a metric, or its output has another size than
            its ground truth; with `failed`, no picture can be scored.
    """
    world = world or World()
    results: list[PictureResult] = []
    turns = range(0, len(pictures), world.size)
    for first in progress(turns, f"{method} on {dataset}", "picture", quiet=quiet or not world.main):
        mine = first + world.rank
        one = None
        if mine < len(pictures):
            one = _attempt(dataset, pictures[mine], predict, scorer, seeds, save)
            if watch is None and isinstance(one, _Outcome):
                one = replace(one, shown=None)
        for outcome in world.gather(one):
            if isinstance(outcome, UserError):
                if failed is None:
                    raise outcome
                failed.append(str(outcome))
            elif outcome is not None:
                results.append(outcome.result)
                if watch is not None and outcome.shown is not None and world.main:
                    watch(outcome.result.name, *outcome.shown)
    if failed and not results:
        raise UserError(f"no picture of {dataset} can be scored; the first: {failed[0]}")
    return Evaluation(
        dataset, method, scorer.protocol.describe(), tuple(seeds), settings or {}, tuple(results), seen
    )


@dataclass(frozen=True)
class _Outcome:
    """A scored picture; `shown` is what `Watch` receives behind the name."""

    result: PictureResult
    shown: tuple[np.ndarray | None, Tensor, Tensor | None, Scores] | None


def _attempt(
    dataset: str,
    picture: TestPicture | Pair,
    predict: Predict,
    scorer: Scorer,
    seeds: Sequence[int],
    save: Path | None,
) -> _Outcome | UserError:
    """Score a picture, and save its output; the error if it cannot be read or scored."""
    try:
        low, gt, outputs, scores = _scored(picture, predict, scorer, seeds)
    except UserError as error:
        return error if picture.name in str(error) else UserError(f"{dataset} {picture.name}: {error}")
    if save is not None:
        save_result(save / f"{picture.name}.png", outputs[0])
    part = picture.part if isinstance(picture, TestPicture) else ""
    result = PictureResult(picture.name, (low.shape[0], low.shape[1]), tuple(scores), part)
    return _Outcome(result, (None if picture.low is picture.high else low, outputs[0], gt, scores[0]))


def _scored(
    picture: TestPicture | Pair, predict: Predict, scorer: Scorer, seeds: Sequence[int]
) -> tuple[np.ndarray, Tensor | None, list[Tensor], list[Scores]]:
    """Low, ground truth, the output of the first seed, and the scores of all."""
    low = load_picture(picture.low)
    gt = to_float(load_picture(picture.high)) if picture.high is not None else None
    outputs: list[Tensor] = []
    scores = []
    for seed in seeds:
        output = predict(picture.name, low, seed)
        scores.append(scorer.score(output, gt))
        outputs = outputs or [output]
    return low, gt, outputs, scores


def predict_with(
    denoiser: Denoiser,
    steps: int,
    *,
    sampler: str = "ddim",
    clip: bool = True,
    precision: str = "fp32",
    ensemble: int = 1,
) -> Predict:
    """A model as a source of pictures; its noise depends only on the seed and the picture's pixels."""

    def predict(name: str, low: np.ndarray, seed: int) -> Tensor:
        seeds = [picture_seed(seed, fingerprint(low))]
        image = to_device_of(next(denoiser.parameters()), to_float(low)[None])
        restored = restore(
            denoiser,
            image,
            steps,
            seeds,
            sampler=sampler,
            clip=clip,
            precision=precision,
            ensemble=ensemble,
        )
        return restored[0].cpu()

    return predict


def mean_over(predict: Predict, seeds: Sequence[int]) -> Predict:
    """The mean of the pictures of `seeds`; the seed in the call is ignored.

    It estimates the posterior mean, which has half the squared error that one sample of the posterior has.
    """

    def mean(name: str, low: np.ndarray, seed: int) -> Tensor:
        return torch.stack([predict(name, low, one) for one in seeds]).mean(0)

    return mean


def model_settings(info: CheckpointInfo, steps: int, precision: str) -> dict[str, str]:
    """What affects a model's scores besides the protocol."""
    diffusion = info.config.diffusion
    return {
        "checkpoint": f"{info.path} ({info.digest})",
        "trained on": ", ".join(info.config.data.sets),
        "steps": str(steps),
        "sampler": diffusion.sampler,
        "precision": precision,
    }


def device_name(device: torch.device) -> str:
    """The name of the hardware, for tables of timings."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    names = [
        line.partition(":")[2].strip()
        for line in (Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else [])
        if line.startswith("model name")
    ]
    return f"{names[0] if names else 'processor'}, {counted(torch.get_num_threads(), 'thread')}"
