"""The faults of the authors' code that are settings (D1 and D3 have tests elsewhere), and eq. 2 for eq. 3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from known import PAPER, ZERO_SNR, Known, exact_teacher, levels, pictures
from repository import call
from scipy.stats import kstest
from torch import nn

from reddit.checkpoint.format import read_info
from reddit.config import ReDDiTConfig
from reddit.diffusion import Denoiser
from reddit.methods import ReDDiT, StepRNG
from reddit.training.ema import WeightAverage
from reddit.utils.errors import UserError

STUDENTS = pytest.mark.parametrize("steps", [8, 4, 2, 1])


def reddit(student: Known, teacher: Known, steps: int, **options: object) -> ReDDiT:
    settings = ReDDiTConfig(**({"w_per": 0.0, "w_pix": 0.0, "omega": 0.0} | options))  # type: ignore[arg-type]
    return ReDDiT(student, teacher, steps, settings, clip=False)


# First order


@STUDENTS
@pytest.mark.parametrize("omega", [0.0, 0.4])
def test_first_order_asks_the_teacher_once(steps: int, omega: float) -> None:
    # One step t → s: the target is the teacher's own clean image at t, moved by omega g towards r.
    teacher, student = exact_teacher(ZERO_SNR), exact_teacher(ZERO_SNR)
    method = reddit(student, teacher, steps, order=1, omega=omega, omega_space="clean")
    batch = pictures()
    loss = method.losses(batch, StepRNG(0, 0, range(8)))["loss"].item()
    assert len(teacher.seen) == 1
    if omega == 0:
        assert loss < 1e-18
        return
    r = 2 * ((batch["low"] - (batch["low"] - batch["denoised"]).abs()) / batch["low"].amax(1, True)).clamp(
        0, 1
    )
    x_0 = teacher(*teacher.seen[0], batch["low"]).x_0
    alpha, sigma = levels(ZERO_SNR, teacher.seen[0][1])
    weight = (alpha / sigma).square().clamp_min(1)
    assert loss == pytest.approx((weight * (omega * (r - 1 - x_0)).square()).mean().item(), rel=1e-9)


def test_second_order_asks_it_twice() -> None:
    teacher = exact_teacher(ZERO_SNR)
    assert (
        reddit(exact_teacher(ZERO_SNR), teacher, 4).losses(pictures(), StepRNG(0, 0, range(8)))["loss"] > 1e-6
    )
    assert len(teacher.seen) == 2


# D2


@STUDENTS
@pytest.mark.parametrize("jitter", ["shared", "independent"])
def test_the_last_interval_ends_anywhere(steps: int, jitter: str) -> None:
    k = torch.arange(1, steps + 1).repeat(500)
    networks = exact_teacher(PAPER), exact_teacher(PAPER)
    sound, faulty = (
        reddit(*networks, steps, jitter=jitter, last_interval=kind).draw_times(
            k, StepRNG(0, 0, range(len(k)))
        )
        for kind in ("clean", "wrapped")
    )
    assert torch.equal(sound.t, faulty.t) and torch.equal(sound.u, faulty.u)
    assert torch.equal(sound.s[k > 1], faulty.s[k > 1])
    assert (sound.s[k == 1] == 0).all()
    wrapped, least = faulty.s[k == 1], PAPER.alpha(torch.tensor(512.0)).item()
    levels = PAPER.alpha(wrapped).numpy()
    assert kstest(levels, "uniform", (least, 1 - least)).pvalue > 0.01
    assert (wrapped > faulty.t[k == 1]).any()


@STUDENTS
@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("space", ["trajectory", "clean"])
def test_targets_stay_finite_where_the_levels_meet(steps: int, zero_snr: bool, space: str) -> None:
    schedule = ZERO_SNR if zero_snr else PAPER
    student = Known(schedule, lambda x_t, t, y: 0 * x_t)
    method = reddit(
        student, exact_teacher(schedule), steps, last_interval="wrapped", omega=0.2, omega_space=space,
        lambda_rule="constant",
    )  # fmt: skip
    losses = method.losses(pictures(300), StepRNG(0, 0, range(300)))
    assert losses["loss"].isfinite()
    assert losses["loss"] < 100


# D5


def test_an_average_without_warm_up_remembers_its_start() -> None:
    def left(warmup: bool) -> float:
        denoiser = Denoiser(nn.Linear(1, 1), PAPER, "v")
        nn.init.ones_(denoiser.network.weight)  # type: ignore[arg-type]
        average = WeightAverage(denoiser, 0.9999, warmup)
        nn.init.zeros_(denoiser.network.weight)  # type: ignore[arg-type]
        for iteration in range(5000):
            average.update(denoiser, iteration)
        return float(average.average.network.weight)  # type: ignore[arg-type]

    assert left(warmup=False) == pytest.approx(0.61, abs=0.005)  # as published
    assert left(warmup=True) < 1e-6


# D6, and ablations from the command line


def test_selection_on_the_test_set_is_logged(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("distill", "--steps", "2", "-c", "tiny.yaml", "--ablation", "d6", "--quiet")
    assert "WARNING: train.select_on_test" in capsys.readouterr().out
    info = read_info(inside / "runs/tiny-d6-2/checkpoints/best.safetensors")
    arguments = ["--checkpoint", "tiny-d6-2", "--metrics", "psnr", "--quiet", "--json", "d6.json"]
    call("evaluate", "--dataset", "lolv1", *arguments)
    assert "2 of 2 test pictures were in the training set" in capsys.readouterr().err
    scored = json.loads((inside / "d6.json").read_text())["gt_mean"]["psnr"]
    assert info.validation["psnr"] == info.validation["test_gt_mean_psnr"] == pytest.approx(scored, abs=5e-3)


def test_an_ablation_by_name(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("distill", "--steps", "2", "-c", "tiny.yaml", "--ablation", "first-order", "--quiet")
    info = read_info(inside / "runs/tiny-first-order-2/checkpoints/best.safetensors")
    assert info.config.distill.reddit.order == 1
    assert not (inside / "runs/tiny-2").exists()
    call(
        "distill",
        "-c",
        "tiny.yaml",
        "--ablation",
        "d2",
        "--set",
        "distill.reddit.jitter=shared",
        "--steps",
        "2",
        "-n",
    )
    assert "jitter: shared" in capsys.readouterr().out  # what the command line says itself wins
    call("distill", "--ablation", "list")
    assert "no-ratr: Without the reflectance" in capsys.readouterr().out
    call("train", "--ablation", "list")
    assert "d4: Fault D4" in capsys.readouterr().out
    with pytest.raises(UserError, match="add --name NAME"):
        call("train", "-c", "tiny.yaml", "--ablation", "x0")
    with pytest.raises(UserError, match="is an ablation of the teacher"):
        call("distill", "--steps", "2", "--ablation", "x0")
