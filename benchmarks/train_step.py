#!/usr/bin/env python3
"""Milliseconds a training step, by phase, eager fp32 against the fast settings, in one run.

    python benchmarks/train_step.py -c configs/lolv1_light.yaml

Made-up pictures of 600×400 in memory, the configured crops and network with fresh weights; teacher and
distillation (without rollouts, whose length varies). Cases take turns, round after round, so that a drift
of the machine meets all alike. Medians. Below the table: non-local means, once a picture and not a step.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from reddit.checkpoint.build import build_denoiser
from reddit.cli.errors import run
from reddit.cli.flags import config_flags
from reddit.config import Config, load_config
from reddit.data import Pair, TrainingCrops, training_loader
from reddit.data.denoised import denoise_nlm
from reddit.evaluation.evaluate import device_name
from reddit.evaluation.timing import seconds_a_call
from reddit.methods import Method, ReDDiT, Teacher
from reddit.metrics import LPIPS
from reddit.report.tables import Cell, render
from reddit.training.compiling import compile_networks
from reddit.training.state import TrainingState
from reddit.training.step import to_device, train_step
from reddit.utils.device import choose_device
from reddit.utils.errors import UserError
from reddit.utils.profiling import Stopwatch, phase
from reddit.utils.progress import progress

PHASES = ("data", "teacher", "RATR", "forward", "perceptual", "backward", "optimizer")


@dataclass(frozen=True)
class Settings:
    """What a case runs with."""

    precision: str
    channels_last: bool
    compiled: bool = False

    def __str__(self) -> str:
        parts = [self.precision, "channels_last" if self.channels_last else "contiguous"]
        return ", ".join(parts + ["compiled"] * self.compiled)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    config_flags(parser, default="configs/lolv1_light.yaml")
    parser.add_argument("--repeats", type=int, default=10, help="rounds; two more warm up")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile: minutes more")
    parser.add_argument("--format", choices=["text", "csv", "md"], default="text")
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config, arguments.set, stage=True)
    device = choose_device(config.device)

    fast = "bf16" if config.precision == "fp32" else config.precision
    settings = [Settings("fp32", False), Settings("fp32", True), Settings(fast, True)]
    if arguments.compile:
        settings.append(Settings(fast, True, compiled=True))
    makers: dict[str, Callable[[], Method]] = {
        "teacher": lambda: Teacher(build_denoiser(config), config.diffusion.teacher_steps),
        "distillation": lambda: _distillation(config, device),
    }
    cases = {
        (name, case): _Case(maker(), config, case, device)
        for name, maker in makers.items()
        for case in settings
    }
    times = _rounds(cases, arguments.repeats)
    rows: list[dict[str, Cell]] = []
    for (name, case), seconds in times.items():
        whole = sum(seconds.values())
        baseline = sum(times[name, settings[0]].values())
        rows.append(
            {"step": name, "settings": str(case)}
            | {f"{key} ms": 1000 * seconds[key] for key in PHASES}
            | {"whole ms": 1000 * whole, "ratio": round(baseline / whole, 2)}
            | {"data %": round(100 * seconds["data"] / whole, 1)}
        )
    size = config.data.crop
    print(f"{config.name}: {config.train.batch_size} crops of {size}×{size}, {device_name(device)}")
    print(render(rows, arguments.format))
    picture = np.random.default_rng(0).integers(0, 60, (400, 600, 3), np.uint8)
    once = seconds_a_call(lambda: denoise_nlm(picture), torch.device("cpu"), repeats=3)
    print(f"non-local means, once a 600×400 picture, kept on disk: {1000 * once:.0f} ms")


class _Case:
    """One way of training, a step at a time."""

    def __init__(self, method: Method, config: Config, case: Settings, device: torch.device) -> None:
        order = torch.channels_last if case.channels_last else torch.contiguous_format
        method.denoiser.to(device).to(memory_format=order)  # type: ignore[call-overload]
        self.method, self.config, self.case, self.device = method, config, case, device
        self.state = TrainingState(method.denoiser, config.train, case.precision)
        if case.compiled:
            compile_networks(method, True)
        noise = np.random.default_rng(0).integers(0, 256, (8, 2, 400, 600, 3), np.uint8)
        crops = TrainingCrops([Pair(str(i), *pair) for i, pair in enumerate(noise)], config.data, 0)
        self.batches = iter(training_loader(crops, config.train.batch_size, 0))

    def step(self) -> dict[str, float]:
        batch_indices = range(self.config.train.batch_size)
        with Stopwatch(self.device) as watch:
            with phase("data"):
                batch = next(self.batches)
                if isinstance(batch, UserError):
                    raise batch
                batch = to_device(batch, self.device)
            train_step(self.method, [batch], self.state, seed=0, batch_indices=batch_indices)
        self.state.progress.iteration += 1
        return watch.seconds


def _distillation(config: Config, device: torch.device) -> Method:
    settings = config.distill.reddit.model_copy(
        update={"omega": config.distill.reddit.omega or 0.2, "p_rollout": 0.0}
    )
    distance = None
    if settings.w_per > 0:
        distance = LPIPS(settings.perceptual_backbone, settings.perceptual_weights).to(device)
    frozen_teacher = build_denoiser(config).to(device)
    return ReDDiT(copy.deepcopy(frozen_teacher), frozen_teacher, 4, settings, config.diffusion.clip, distance)


def _rounds(
    cases: dict[tuple[str, Settings], _Case], repeats: int
) -> dict[tuple[str, Settings], dict[str, float]]:
    """Median seconds by case and phase."""
    rounds = defaultdict(list)
    for turn in progress(range(repeats + 2), "rounds", "round"):
        for key, case in cases.items():
            seconds = case.step()
            if turn >= 2:
                rounds[key].append(seconds)
    return {
        key: {name: statistics.median(turn.get(name, 0.0) for turn in turns) for name in PHASES}
        for key, turns in rounds.items()
    }


if __name__ == "__main__":
    run(main)
