#!/usr/bin/env python3
"""What a training step spends its time on, as ratios to a distillation step without refinement.

    python benchmarks/training_step.py -c configs/lolv1_light.yaml

Random pictures of the configured crop; the denoiser is timed on one 600×400 picture, once a picture
and not once a step.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable

import numpy as np
import torch

from reddit.build import build_denoiser, choose_device
from reddit.cli import config_flags, run
from reddit.config import Config, load_config
from reddit.data import Batch
from reddit.engine.train import step, to_device
from reddit.evaluation.evaluate import device_name
from reddit.evaluation.timing import seconds_a_call
from reddit.methods import Method, ReDDiT, Teacher
from reddit.metrics import LPIPS
from reddit.retinex import denoise_gaussian, denoise_nlm
from reddit.tables import Cell, render


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    config_flags(parser, default="configs/lolv1_light.yaml")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config, arguments.set, stage=True)
    device = choose_device(config.device)
    shape = (config.train.batch_size, 3, config.data.crop, config.data.crop)
    images = [torch.rand(shape) for _ in range(3)]
    batch: Batch = to_device({"low": images[0], "high": images[1], "denoised": images[2]}, device)
    guide = build_denoiser(config).to(device)

    def distillation(omega: float, w_per: float) -> Method:
        settings = config.distill.model_copy(update={"omega": omega, "w_per": w_per, "rollout_share": 0.0})
        distance = None
        if w_per:
            distance = LPIPS(settings.perceptual_backbone, settings.perceptual_weights).to(device)
        return ReDDiT(
            copy.deepcopy(guide), copy.deepcopy(guide), 4, settings, config.diffusion.clip, distance
        )

    methods: dict[str, Method] = {
        "distillation, omega 0, no perceptual loss": distillation(0.0, 0.0),
        "distillation with RATR, no perceptual loss": distillation(config.distill.omega or 0.2, 0.0),
        "teacher": Teacher(copy.deepcopy(guide), config.diffusion.teacher_steps),
    }
    if config.distill.w_per > 0:
        name = f"distillation with RATR and LPIPS ({config.distill.perceptual_backbone})"
        methods[name] = distillation(config.distill.omega or 0.2, config.distill.w_per)
    seconds = _medians(
        {name: _stepper(m, batch, config, device) for name, m in methods.items()}, arguments.repeats
    )
    baseline = next(iter(seconds.values()))
    rows: list[dict[str, Cell]] = [
        {"step": name, "ms": 1000 * value, "ratio": round(value / baseline, 2)}
        for name, value in seconds.items()
    ]
    print(f"{config.name}: batch {shape}, {config.precision}, {device_name(device)}")
    print(render(rows))
    picture = np.random.default_rng(0).integers(0, 60, (400, 600, 3), np.uint8)
    for label, denoise in (("non-local means", denoise_nlm), ("Gaussian", denoise_gaussian)):
        once = seconds_a_call(lambda f=denoise: f(picture), torch.device("cpu"), repeats=3)  # type: ignore[misc]
        print(f"{label}, once a 600×400 picture: {1000 * once:.1f} ms = {once / baseline:.2f} baseline steps")


def _stepper(method: Method, batch: Batch, config: Config, device: torch.device) -> Callable[[], float]:
    """One timed training step."""
    optimizer = torch.optim.Adam(method.denoiser.parameters(), lr=config.train.lr)
    scaler = torch.amp.GradScaler(device.type, enabled=False)
    work = lambda: step(method, batch, optimizer, scaler, config.train, 0, 0, config.precision)  # noqa: E731
    return lambda: seconds_a_call(work, device, repeats=1, warm_up=0)


def _medians(steppers: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Each in turn, round after round, so that a drift of the machine meets all alike; 2 rounds warm up."""
    rounds = [{name: work() for name, work in steppers.items()} for _ in range(repeats + 2)]
    return {name: statistics.median(r[name] for r in rounds[2:]) for name in steppers}


if __name__ == "__main__":
    run(main)
