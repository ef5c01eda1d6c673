"""Validation: the score that chooses the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import Config
from reddit.data import (
    Pair,
    fingerprint,
    load_picture,
)
from reddit.diffusion import Denoiser
from reddit.image.pixels import to_float
from reddit.inference.sampling import picture_seed, restore
from reddit.metrics import gt_mean, psnr
from reddit.training.distributed import World
from reddit.training.loop import Validate, Validation
from reddit.training.stopping import StopRequest
from reddit.utils.progress import progress


def validator(config: Config, steps: int, pairs: list[Pair], world: World, quiet: bool) -> Validate:
    """Raw PSNR at N steps on the validation pictures; the weights with the highest are chosen.

    With `select_on_test` it is GT-mean PSNR, and the pictures are the test set's.
    """
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(config.data.split_seed))
    chosen = [pairs[int(i)] for i in order[: config.train.validation_pictures]]
    on_test = config.train.select_on_test

    def validate(
        denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None
    ) -> Validation | None:
        device = next(denoiser.parameters()).device
        scores: list[float] = []
        panel: tuple[Tensor, Tensor, Tensor] | None = None
        for pair in progress(world.share(chosen[:limit]), "validation", "picture", quiet=quiet):
            if stop:
                break
            picture = load_picture(pair.low)
            low, gt = to_float(picture)[None], to_float(load_picture(pair.high))[None]
            ours = restore(
                denoiser,
                low.to(device),
                steps,
                [picture_seed(config.seed, fingerprint(picture))],
                sampler=config.diffusion.sampler,
                clip=config.diffusion.clip,
                precision=config.precision,
            ).cpu()
            panel = panel or (low[0], ours[0], gt[0])
            scores.append(float(psnr(gt_mean(ours, gt) if on_test else ours, gt)))
        everywhere = [score for part in world.gather(scores) for score in part]
        if len(everywhere) < len(chosen[:limit]):
            return None
        panel = world.from_main(panel)  # the first picture is the main process's
        assert panel is not None  # a validation split is never empty
        mean = sum(everywhere) / len(everywhere)
        return Validation({"psnr": mean} | ({"test_gt_mean_psnr": mean} if on_test else {}), panel)

    return validate
