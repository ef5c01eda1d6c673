from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from reddit.config import DataConfig, TrainConfig
from reddit.data import Pair, TrainingCrops, training_loader
from reddit.data.darken import Camera, darken
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.image.pixels import to_float
from reddit.inference.sampling import restore
from reddit.methods import Teacher
from reddit.metrics import psnr
from reddit.models import ConditionalUNet
from reddit.training.loop import Trainer

SIDE = 32


def picture() -> np.ndarray:
    """Coloured bars and a disc under a gradient, uint8 (SIDE, SIDE, 3)."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    image = np.stack([rows, 1 - columns, 0.5 + 0.5 * np.sin(9 * columns)], axis=2)
    image[(rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.08] = (0.9, 0.2, 0.1)
    return np.rint(255 * (0.15 + 0.7 * image)).astype(np.uint8)


def test_three_hundred_steps_overfit_one_pair(tmp_path: Path) -> None:
    high = picture()
    low = darken(high, Camera(0.1, 8000.0, 3.0, (1.0, 1.0, 1.0)), np.random.default_rng(0))
    torch.manual_seed(0)
    network = ConditionalUNet(
        32, [1, 2], blocks=1, attention_levels=[], groups=8, unshuffle=4, log_condition=True
    )
    denoiser = Denoiser(network, NoiseSchedule(zero_terminal_snr=True), "x0")
    crops = TrainingCrops([Pair("one", low, high)], DataConfig(crop=SIDE, horizontal_flip=False), seed=0)
    settings = TrainConfig(
        iterations=300, batch_size=4, lr=3e-3, warmup=10, decay_from=0.3, ema=0.95, checkpoint_every=300
    )
    kept: list[Denoiser] = []
    Trainer(
        Teacher(denoiser, 4, p_terminal=0.1),
        lambda done, batch_indices, grad_accum_steps: training_loader(
            crops,
            settings.batch_size,
            0,
            done,
            batch_indices=batch_indices,
            grad_accum_steps=grad_accum_steps,
        ),
        settings,
        tmp_path,
        seed=0,
        precision="fp32",
        write_weights=lambda path, average, **_: kept.append(average),
        quiet=True,
    ).train()
    gt = to_float(high)[None]
    scores = {n: float(psnr(restore(kept[-1], to_float(low)[None], n, [1]), gt)) for n in (4, 1)}
    assert min(scores.values()) > 30, scores
