"""Scoring: any source of pictures, any test set, one protocol, one picture in memory at a time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reddit.checkpoint.format import CheckpointInfo
from reddit.data import Pair, TestPicture, fingerprint, load_picture
from reddit.diffusion import Denoiser
from reddit.image.pixels import to_float
from reddit.image.write import save_result
from reddit.inference.picture_enhancer import picture_seed
from reddit.inference.sampling import restore
from reddit.metrics import Scorer, Scores, json_safe, summarise
from reddit.utils.device import to_device_of
from reddit.utils.errors import UserError
from reddit.utils.progress import progress
from reddit.utils.text import counted

Predict = Callable[[str, np.ndarray, int], Tensor]
"""(name, low as uint8 (H, W, 3), seed) → the restored picture, (3, H, W) in [0, 1]."""
Watch = Callable[[str, "np.ndarray | None", Tensor, "Tensor | None", Scores], None]
"""(name, low as uint8 (H, W, 3) or None if it is not on disk, output, gt, scores)."""


@dataclass(frozen=True)
class PictureResult:
    """The scores of one picture, one entry per seed."""

    name: str
    size: tuple[int, int]
    scores: tuple[Scores, ...]

    def mean(self) -> Scores:
        return summarise(self.scores)


@dataclass(frozen=True)
class Evaluation:
    """One method on one test set.

    Attributes:
        method: the source of the pictures, as tables name it.
        settings: what affects the scores besides the protocol (steps, checkpoint, …).
        seen: names of the test pictures that the model was trained on; None if that is unknown.
    """

    dataset: str
    method: str
    protocol: str
    seeds: tuple[int, ...]
    settings: dict[str, str]
    pictures: tuple[PictureResult, ...]
    seen: frozenset[str] | None = None

    def mean(self) -> Scores:
        """Means over pictures, then over seeds."""
        return summarise([self._of_seed(k) for k in range(len(self.seeds))])

    def apart(self) -> dict[str, Evaluation]:
        """The pictures that the model was trained on, and the others, if there are both."""
        seen = [picture for picture in self.pictures if picture.name in (self.seen or ())]
        unseen = [picture for picture in self.pictures if picture.name not in (self.seen or ())]
        if not seen or not unseen:
            return {}
        parts = {"seen in training": seen, "unseen": unseen}
        return {name: replace(self, pictures=tuple(part), seen=None) for name, part in parts.items()}

    def apart_lines(self) -> list[str]:
        """A line with the means of each part of `apart`."""
        return [
            f"{counted(len(part.pictures), 'picture')} {name}: "
            + ", ".join(f"{key} {value:.4f}" for key, value in flat_scores(part.mean()).items())
            for name, part in self.apart().items()
        ]

    def deviation(self) -> dict[str, float]:
        """Standard deviation over seeds of each set mean, by `raw.psnr` and so on; empty for one seed.

        A mean that is infinite for any seed has no deviation and is left out.
        """
        if len(self.seeds) < 2:
            return {}
        rows = [flat_scores(self._of_seed(k)) for k in range(len(self.seeds))]
        return {
            key: statistics.stdev(values)
            for key in rows[0]
            if all(map(math.isfinite, values := [row[key] for row in rows]))
        }

    def _of_seed(self, k: int) -> Scores:
        return summarise([p.scores[k] for p in self.pictures])

    def facts(self) -> dict[str, str]:
        """What affects the scores besides the protocol, by name."""
        sizes = sorted({f"{p.size[1]}×{p.size[0]}" for p in self.pictures})
        shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
        return {"resolution": shown, "seeds": " ".join(map(str, self.seeds))} | self.settings

    def describe(self) -> str:
        """Everything that affects the scores, as lines to print above a table."""
        lines = [self.protocol, "; ".join(f"{key} {value}" for key, value in self.facts().items())]
        if deviation := self.deviation():
            figures = ", ".join(f"{key} {value:.4f}" for key, value in deviation.items())
            lines.append(f"standard deviation over the {len(self.seeds)} seeds: {figures}")
        return "\n".join(lines + self.apart_lines())

    def to_json(self) -> dict[str, Any]:
        """Plain data; an infinite PSNR is the string "inf"."""
        return {
            "dataset": self.dataset,
            "method": self.method,
            "protocol": self.protocol.partition(":")[0].removeprefix("protocol "),
            "protocol_details": self.protocol,
            "settings": self.settings | {"seeds": list(self.seeds)},
            "images": len(self.pictures),
            **self.mean().to_json(),
            "deviation_over_seeds": {k: json_safe(v) for k, v in self.deviation().items()},
            "apart": {
                name: {"images": len(part.pictures)} | part.mean().to_json()
                for name, part in self.apart().items()
            },
            "per_image": [
                {"name": p.name, "seen_in_training": None if self.seen is None else p.name in self.seen}
                | p.mean().to_json()
                for p in self.pictures
            ],
        }


def flat_scores(scores: Scores) -> dict[str, float]:
    """`raw.psnr`, `gt_mean.ssim`, `niqe`, `niqe_grey`, … in the order of tables."""
    flat = {f"raw.{k}": v for k, v in scores.raw.items()}
    flat |= {f"gt_mean.{k}": v for k, v in scores.gt_mean.items()}
    natural = {"niqe": scores.niqe, "niqe_grey": scores.niqe_grey}
    return flat | {key: value for key, value in natural.items() if value is not None}


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
    quiet: bool = False,
) -> Evaluation:
    """Score `predict` on a test set.

    Args:
        seen: names of the pictures that the model was trained on, if known.
        save: folder for the pictures of the first seed, as PNG.
        watch: called with every picture of the first seed.
        failed: receives a line for each picture that cannot be read or scored, which is then left out; None:
            such a picture is an error.

    Raises:
        UserError: a picture cannot be read, is too small for a metric, or its output has another size than
            its ground truth; with `failed`, no picture can be scored.
    """
    results = []
    for picture in progress(pictures, f"{method} on {dataset}", "picture", quiet=quiet):
        try:
            low, gt, outputs, scores = _scored(picture, predict, scorer, seeds)
        except UserError as error:
            line = str(error) if picture.name in str(error) else f"{dataset} {picture.name}: {error}"
            if failed is None:
                raise UserError(line) from error
            failed.append(line)
            continue
        if save is not None:
            save_result(save / f"{picture.name}.png", outputs[0])
        if watch is not None:
            watch(picture.name, None if picture.low is picture.high else low, outputs[0], gt, scores[0])
        results.append(PictureResult(picture.name, (low.shape[0], low.shape[1]), tuple(scores)))
    if failed and not results:
        raise UserError(f"no picture of {dataset} can be scored; the first: {failed[0]}")
    return Evaluation(
        dataset, method, scorer.protocol.describe(), tuple(seeds), settings or {}, tuple(results), seen
    )


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
    return f"{names[0] if names else 'processor'}, {torch.get_num_threads()} threads"
