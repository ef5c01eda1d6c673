"""Validation: the score that chooses the weights."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from reddit.config import Config
from reddit.data import Pair, fingerprint, load_picture
from reddit.diffusion import Denoiser
from reddit.image.pixels import to_float
from reddit.inference.sampling import restore
from reddit.inference.seeds import picture_seed
from reddit.metrics import gt_mean, psnr
from reddit.training.distributed import World
from reddit.training.stopping import StopRequest
from reddit.utils.device import to_device_of
from reddit.utils.progress import progress

FIRST_LOOK = 2
"""Number of pictures validated before the first step, so that errors show early."""


class Validation(NamedTuple):
    """Scores by name (weights are chosen by `psnr`), and (low, ours, gt), each (3, H, W) in [0, 1]."""

    scores: dict[str, float]
    panel: tuple[Tensor, Tensor, Tensor]


class Validate(Protocol):
    def __call__(
        self, denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None
    ) -> Validation | None:
        """Score the averaged denoiser on `limit` pictures or all; None if stopped."""
        ...


class Validator:
    """Raw PSNR at N steps on the validation pictures; the weights with the highest score are chosen.

    With `select_on_test` it is GT-mean PSNR on the test set.

    Args:
        config: the run's configuration; at most `train.validation_pictures` pairs are scored.
        steps: sampling steps N.
        pairs: the validation pairs, at least one.
        world: the processes that share the work.
        quiet: no progress bar.
    """

    def __init__(self, config: Config, steps: int, pairs: list[Pair], world: World, quiet: bool) -> None:
        order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(config.data.split_seed))
        self.pairs = [pairs[int(i)] for i in order[: config.train.validation_pictures]]
        self.on_test = config.train.select_on_test
        self.config, self.steps, self.world, self.quiet = config, steps, world, quiet

    def __call__(
        self, denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None
    ) -> Validation | None:
        """See `Validate`; each process scores its share."""
        pairs = self.pairs[:limit]
        scores: list[float] = []
        panel: tuple[Tensor, Tensor, Tensor] | None = None
        for pair in progress(self.world.share(pairs), "validation", "picture", quiet=self.quiet):
            if stop:
                break
            low, ours, gt = self._restored(denoiser, pair)
            panel = panel or (low[0], ours[0], gt[0])
            scores.append(float(psnr(gt_mean(ours, gt) if self.on_test else ours, gt)))
        everywhere = [score for part in self.world.gather(scores) for score in part]
        if len(everywhere) < len(pairs):
            return None
        panel = self.world.from_main(panel)  # the main process has the first picture
        assert panel is not None  # there is at least one pair
        mean = sum(everywhere) / len(everywhere)
        return Validation({"psnr": mean} | ({"test_gt_mean_psnr": mean} if self.on_test else {}), panel)

    def _restored(self, denoiser: Denoiser, pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
        """Low, restored and ground truth, each (1, 3, H, W) in [0, 1], on the CPU."""
        picture = load_picture(pair.low)
        low, gt = to_float(picture)[None], to_float(load_picture(pair.high))[None]
        diffusion = self.config.diffusion
        ours = restore(
            denoiser,
            to_device_of(next(denoiser.parameters()), low),
            self.steps,
            [picture_seed(self.config.seed, fingerprint(picture))],
            sampler=diffusion.sampler,
            clip=diffusion.clip,
            precision=self.config.precision,
        )
        return low, ours.cpu(), gt
