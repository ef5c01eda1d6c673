#!/usr/bin/env python3
"""Our network and training steps beside the U-Net that the paper's authors published, in one run.

    git clone https://github.com/lgz-0713/ReDDiT authors
    python benchmarks/authors.py authors

Their network comes from `model/ddpm_modules/unet.py` of that folder, with fresh weights, which cost as much
as trained ones; ours is that of configs/lolv1.yaml. Theirs runs as in their code: eager, in single precision.
Ours runs in bf16. A training step predicts the noise; a distillation step has two passes of the teacher, one
of the student, and the losses without LPIPS, whose weights may be missing. Both take Adam, clipping and an
average of the weights. The two take turns, and medians count. Seconds are those of the processor in all
threads, which other programs hardly change. `bound`: times as fast if the operations of ours that are no
convolutions took no time.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.checkpoint.build import build_denoiser
from reddit.cli.errors import run
from reddit.config import Config, load_config
from reddit.data import Batch
from reddit.inference.sampling import restore
from reddit.methods import Method, Teacher
from reddit.report.tables import Cell, render
from reddit.training.build import build_distillation
from reddit.training.state import TrainingState
from reddit.training.step import to_device, train_step
from reddit.utils.errors import UserError
from reddit.utils.memory import keep_freed_memory

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[1]
Work = Callable[[], object]


def main(argv: list[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    if arguments.keep:
        keep_freed_memory()
    width, height = map(int, arguments.size.split("x"))
    settings = ["distill.reddit.w_per=0.0", f"data.crop={arguments.crop}"]
    config = load_config(str(ROOT / "configs" / "lolv1.yaml"), settings, stage=True)
    network = their_network(arguments.folder)
    batch = _batch(arguments.batch, arguments.crop)
    low = torch.rand(1, 3, height, width)
    works = {
        f"pass, {width}×{height}": (_their_pass(network, low), _our_pass(config, low)),
        "training step": (_their_training(network, batch), _our_training(config, batch)),
        "distillation step": (_their_distillation(network, batch), _our_distillation(config, batch)),
    }
    chosen = {name: pair for name, pair in works.items() if name.split(",")[0].split()[0] in arguments.only}
    rows: list[dict[str, Cell]] = []
    for name, times in _rounds(chosen, arguments.rounds).items():
        theirs, ours = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = [first / second for first, second in times]
        rows.append(
            {"": name, "theirs, s": round(theirs, 2), "ours, s": round(ours, 2)}
            | {"times as fast": round(statistics.median(ratios), 2)}
            | {"lowest": round(min(ratios), 2), "highest": round(max(ratios), 2)}
            | {"bound": round(theirs / ours / convolution_share(chosen[name][1]), 2)}
        )
    print(f"steps of {arguments.batch} crops of {arguments.crop}×{arguments.crop}, ", end="")
    print(f"{torch.get_num_threads()} threads, {arguments.rounds} rounds, PyTorch {torch.__version__}")
    print(render(rows, arguments.format))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="their repository")
    parser.add_argument("--size", default="592x400", metavar="WxH", help="multiples of 16; default 592x400")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="both keep freed memory, as our commands do")
    kinds = ["pass", "training", "distillation"]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--format", choices=["text", "csv", "md"], default="text")
    return parser


def their_network(folder: Path) -> nn.Module:
    """The U-Net of their repository with the settings of their config/lolv1_train.json.

    Raises:
        UserError: the folder is another one.
    """
    path = folder / "model" / "ddpm_modules" / "unet.py"
    if not path.is_file():
        raise UserError(f"{path} is missing: name a copy of https://github.com/lgz-0713/ReDDiT")
    spec = importlib.util.spec_from_file_location("authors_unet", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = {"in_channel": 6, "out_channel": 3, "inner_channel": 64, "norm_groups": 32, "res_blocks": 2}
    return module.UNet(**settings, channel_mults=[1, 1, 2, 2, 4], attn_res=[16])  # type: ignore[no-any-return]


def _batch(count: int, crop: int) -> Batch:
    sides = {"low": crop, "high": crop, "denoised": crop, "context": 64}
    batch = {name: torch.rand(count, 3, side, side) for name, side in sides.items()}
    return to_device(batch, CPU)  # type: ignore[arg-type]


def _their_pass(network: nn.Module, low: Tensor) -> Work:
    network = copy.deepcopy(network).eval()
    seen = torch.cat([2 * low - 1, torch.randn_like(low)], dim=1)

    @torch.no_grad()
    def work() -> None:
        network(seen, torch.full((1, 1), 0.1))

    return work


def _our_pass(config: Config, low: Tensor) -> Work:
    denoiser = build_denoiser(config).eval()
    return lambda: restore(denoiser, low, 1, [0], precision="bf16")


class _Theirs:
    """A training of their network."""

    def __init__(self, network: nn.Module, batch: Batch) -> None:
        self.student, self.average = copy.deepcopy(network), copy.deepcopy(network)
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=1e-4)
        self.low, self.high = (2 * batch[name].contiguous() - 1 for name in ("low", "high"))  # type: ignore[literal-required]

    def noisy(self, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
        """(noise, noisy picture, level)."""
        noise = torch.randn_like(self.high)
        x_t = alpha * self.high + (1 - alpha**2) ** 0.5 * noise
        return noise, x_t, torch.full((len(x_t), 1), alpha)

    def predict(self, network: nn.Module, x_t: Tensor, level: Tensor) -> Tensor:
        eps: Tensor = network(torch.cat([self.low, x_t], dim=1), level)[0]
        return eps

    def update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.student.parameters(), strict=True):
                mean.mul_(0.9999).add_(weight, alpha=1e-4)


def _their_training(network: nn.Module, batch: Batch) -> Work:
    theirs = _Theirs(network, batch)

    def work() -> None:
        noise, x_t, level = theirs.noisy(0.5)
        theirs.update(F.mse_loss(theirs.predict(theirs.student, x_t, level), noise))

    return work


def _their_distillation(network: nn.Module, batch: Batch) -> Work:
    theirs, teacher = _Theirs(network, batch), copy.deepcopy(network).eval()

    def clean(x_t: Tensor, eps: Tensor, alpha: float) -> Tensor:
        return (x_t - (1 - alpha**2) ** 0.5 * eps) / alpha

    def work() -> None:
        _, x_t, level = theirs.noisy(0.5)
        with torch.no_grad():
            eps = theirs.predict(teacher, x_t, level)
            x_u = 0.6 * clean(x_t, eps, 0.5) + 0.8 * eps
            target = clean(x_u, theirs.predict(teacher, x_u, torch.full_like(level, 0.6)), 0.6)
        output = clean(x_t, theirs.predict(theirs.student, x_t, level), 0.5)
        theirs.update(F.mse_loss(output, target) + F.mse_loss(output, theirs.high))

    return work


def _our_training(config: Config, batch: Batch) -> Work:
    return _ours(Teacher(build_denoiser(config), 16), config, batch)


def _our_distillation(config: Config, batch: Batch) -> Work:
    teacher = build_denoiser(config)
    student = copy.deepcopy(teacher)
    method = build_distillation(config, student, teacher, steps=8, teacher_steps=16, device=CPU)
    return _ours(method, config, batch)


def _ours(method: Method, config: Config, batch: Batch) -> Work:
    state = TrainingState(method.denoiser, config.train, "bf16")

    def work() -> None:
        train_step(method, [batch], state, seed=0, batch_indices=range(len(batch["low"])))
        state.average.update(method.denoiser, state.progress.iteration)
        state.progress.iteration += 1

    return work


def _rounds(works: dict[str, tuple[Work, Work]], rounds: int) -> dict[str, list[Any]]:
    """(theirs, ours) in seconds of processor time of every round but the first, by name."""
    times: dict[str, list[Any]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, pair in works.items():
            found = []
            for work in pair:
                began = time.process_time()
                work()
                found.append(time.process_time() - began)
            if turn:
                times[name].append(found)
    return times


def convolution_share(work: Work) -> float:
    """The share of the convolutions and their gradients in the time of a call."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        work()
    times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    return sum(time for name, time in times.items() if "convolution" in name) / sum(times.values())


if __name__ == "__main__":
    run(main)
