"""Counting a training step without a GPU, and the estimate that follows."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from reddit.cli import distill, train
from reddit.config import Config, resolve_config
from reddit.metrics.feature_distance import FusedDistance
from reddit.training.counted_step import backward, count_step
from reddit.training.counting import Counts, counting
from reddit.training.estimate import GPUS, LAUNCH, estimate, estimate_line, find_gpu, step_seconds
from reddit.utils.errors import UserError

CUDA = torch.device("cuda", 0)
TINY = {
    "precision": "bf16",
    "model": {"width": 8, "multipliers": [1], "blocks": 1, "groups": 4, "attention_levels": []},
    "diffusion": {"teacher_steps": 4},
    "train": {"batch_size": 4, "iterations": 3600},
    "data": {"crop": 32},
    "perceptual": {"backbone": "alex"},
}
OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14)
needs_counting = pytest.mark.skipif(OLD, reason="older versions of PyTorch look for a GPU")


def config(*settings: str, stage: bool = False) -> Config:
    return resolve_config(TINY, list(settings), source="a test", stage=stage)


@needs_counting
def test_the_counts_of_a_known_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 5))
    with counting() as gpu:
        network.to(CUDA)
        x = torch.empty(2, 3, 8, 8, device=CUDA)
        gpu.restart()
        network(x)
        forward = list(gpu.counts.work)
        gpu.restart()
        backward(network(x).sum())
    picture, hidden, out = 4 * 2 * 3 * 64, 4 * 2 * 4 * 64, 4 * 2 * 5  # bytes
    kernel, matrix = 4 * 4 * 27, 4 * 5 * 256
    assert forward == [
        (2 * 2 * 64 * 4 * 27, picture + kernel + 4 * 4 + hidden),
        (0, 2 * hidden),
        (2 * 2 * 256 * 5, hidden + matrix + 4 * 5 + out),
    ]
    products = [flops for flops, _ in gpu.counts.work if flops]
    # Forward as above; backward: the matrix for input and weight, the kernel for its weight alone.
    assert products == [2 * 2 * 64 * 4 * 27, 5120, 5120, 5120, 2 * 2 * 64 * 4 * 27]


@needs_counting
def test_live_tensors_count_until_they_are_freed() -> None:
    with counting() as gpu:
        kept = torch.empty(1000, device=CUDA)  # 4000 bytes, in pieces of 512
        first = gpu.counts.peak
        for _ in range(3):
            torch.empty(10_000, device=CUDA)
        assert (first, gpu.counts.peak) == (4096, 4096 + 40448)
        assert gpu.counts.launches == 0
        gpu.restart()
        assert gpu.counts.peak == 4096
        del kept
        gpu.restart()
        assert gpu.counts.peak == 0


@needs_counting
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_convolutions_are_in_channels_last_where_input_or_weight_is(dtype: torch.dtype) -> None:
    order = torch.channels_last
    with counting():
        x, weight = (torch.empty(8, 8, side, side, device=CUDA, dtype=dtype) for side in (6, 3))
        found = [
            F.conv2d(x_in_order, weight_in_order).is_contiguous(memory_format=order)
            for x_in_order in (x, x.to(memory_format=order))
            for weight_in_order in (weight, weight.to(memory_format=order))
        ]
    assert found == [False, True, True, True]


class Odd(nn.Module):
    """Shared weights, broadcasting, a split, a cast, and a gradient that is written out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shift = nn.Conv2d(3, 4, 3), nn.Linear(2, 8)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.shift(x.mean((2, 3))[:, :2]).chunk(2, dim=1)
        y = self.norm(self.first(x) * scale[:, :, None, None] + shift[:, :, None, None])
        z = F.silu(self.first(x.flip(3))).double().float()
        return FusedDistance.apply(y, z, torch.ones(1, 4, 1, 1)).sum() + (scale * y[:, :, 0, 0]).mean()


@needs_counting
def test_gradients_are_those_of_pytorch() -> None:
    torch.manual_seed(0)
    network = Odd()
    other, x = copy.deepcopy(network), torch.randn(2, 3, 7, 7)
    network(x).backward()
    backward(other(x))
    for wanted, found in zip(network.parameters(), other.parameters(), strict=True):
        assert wanted.grad is not None and found.grad is not None
        torch.testing.assert_close(found.grad, wanted.grad)


@needs_counting
def test_a_step_grows_with_its_work() -> None:
    changes = (["train.batch_size=2"], [], ["train.grad_accum_steps=2"], ["precision=fp32"])
    one, two, parts, single = (count_step(config(*settings)) for settings in changes)
    assert two.flops == 2 * one.flops == parts.flops
    assert two.launches == one.launches + 2  # the noise of each sample
    assert parts.launches > 1.5 * two.launches and parts.peak < two.peak
    assert single.flops == two.flops and single.traffic > 1.3 * two.traffic and single.peak > two.peak


@needs_counting
@pytest.mark.parametrize("method", ["consistency", "regression", "ctm", "shortcut"])
def test_every_distillation_can_be_counted(method: str) -> None:
    settings = config(f"distill.method={method}", "distill.train.batch_size=4", stage=True)
    teacher, student = count_step(config()), count_step(settings, 2, 4)
    assert student.flops >= teacher.flops
    assert not torch.cuda.is_initialized() and not torch.is_autocast_enabled("cuda")


def test_the_slower_of_arithmetic_and_traffic_counts() -> None:
    gpu = GPUS["a100"]
    arithmetic, bandwidth = 0.35 * 312e12, 0.75 * 2.039e12
    heavy = Counts([(int(arithmetic), int(bandwidth / 2)), (0, int(3 * bandwidth))])
    assert step_seconds(heavy, gpu, "bf16") == pytest.approx(1 + 3)
    assert step_seconds(heavy, gpu, "fp32") == pytest.approx(312 / 19.5 + 3)
    assert step_seconds(Counts([(1, 1)] * 1000), gpu, "bf16") == pytest.approx(1000 * LAUNCH)


def test_hours_are_iterations_times_the_step() -> None:
    counts = Counts([(0, int(0.75 * 3.35e12 / 10))], peak=7)  # a tenth of a second
    found = estimate(counts, GPUS["h100"], config(), runs=4)
    assert found.step == pytest.approx(0.1) and found.memory == 7
    assert found.hours == pytest.approx(4 * 3600 * 0.1 / 3600)


def test_an_unknown_gpu_is_one_line() -> None:
    assert find_gpu("RTX-4090") is find_gpu("rtx4090") is GPUS["rtx4090"]
    with pytest.raises(UserError) as error:
        estimate_line(config(), "voodoo2")
    assert str(error.value) == "--gpu voodoo2: not known; choose from " + ", ".join(GPUS)


def test_a_gpu_goes_with_a_dry_run() -> None:
    with pytest.raises(UserError, match=r"^--gpu h100: estimates only, together with -n"):
        train.main(["-c", "demo", "--gpu", "h100"])


@needs_counting
def test_the_estimate_follows_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    train.main(["-c", "demo", "-n", "--gpu", "h100", "--set", "train.iterations=1000000"])
    out = capsys.readouterr().out
    assert yaml.safe_load(out)["train"]["iterations"] == 1_000_000
    line = out.splitlines()[-1]
    assert line.startswith("# an estimate, not a measurement, for one h100: ")
    assert line.endswith("hours for 1000000 iterations, without validation and loading")
    distill.main(["-c", "demo", "--chain", "-n", "--gpu", "rtx3090"])
    assert "for 4 stages of " in capsys.readouterr().out.splitlines()[-1]


@needs_counting
def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GPUS, "h100", replace(GPUS["h100"], memory=0))
    assert " GB, more than its 0, " in estimate_line(config(), "h100")
