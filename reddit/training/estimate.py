"""How long a training would take on a GPU, estimated without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from reddit.config import Config
from reddit.training.counted_step import count_step
from reddit.training.counting import Counts
from reddit.utils.errors import UserError
from reddit.utils.text import counted, reason, short

LAUNCH = 6e-6
"""Seconds between two launches, where the processor is what the GPU waits for."""
OF_BANDWIDTH, OF_ARITHMETIC = 0.75, 0.35
"""What convolutional networks reach of the maker's figures."""


@dataclass(frozen=True)
class GPU:
    """The maker's figures of a GPU.

    Attributes:
        bandwidth: of its memory, in bytes per second.
        half: FLOP/s of matrix products in bf16 and fp16 with sums in single precision, without sparsity.
        tf32: the same in tf32.
        single: FLOP/s in single precision.
        memory: in GB.
    """

    bandwidth: float
    half: float
    tf32: float
    single: float
    memory: int

    def arithmetic(self, precision: str) -> float:
        """FLOP/s in a precision."""
        return {"fp32": self.single, "tf32": self.tf32}.get(precision, self.half)


GPUS = {
    "a100": GPU(2.039e12, 312e12, 156e12, 19.5e12, 80),  # NVIDIA A100 80GB data sheet, SXM
    "h100": GPU(3.35e12, 990e12, 495e12, 67e12, 80),  # NVIDIA H100 data sheet, SXM
    "h200": GPU(4.8e12, 990e12, 495e12, 67e12, 141),  # NVIDIA H200 data sheet, SXM
    "l40s": GPU(0.864e12, 362e12, 183e12, 91.6e12, 48),  # NVIDIA L40S data sheet
    "rtx3090": GPU(0.936e12, 71e12, 35.6e12, 35.6e12, 24),  # NVIDIA Ampere GA102 white paper
    "rtx4090": GPU(1.008e12, 165.2e12, 82.6e12, 82.6e12, 24),  # NVIDIA Ada white paper
}


@dataclass(frozen=True)
class Estimate:
    """What a run would take on one GPU.

    Attributes:
        step: seconds of a training step.
        memory: bytes of tensors, at their peak.
        hours: of all iterations, without validation.
    """

    step: float
    memory: int
    hours: float


def find_gpu(name: str) -> GPU:
    """A GPU by its name, however it is written: `RTX 4090`, `rtx-4090`.

    Raises:
        UserError: it is not known.
    """
    known = GPUS.get("".join(filter(str.isalnum, name.lower())))
    if known is None:
        raise UserError(f"--gpu {short(name)}: not known; choose from {', '.join(GPUS)}")
    return known


def step_seconds(counts: Counts, gpu: GPU, precision: str) -> float:
    """The seconds of a counted step: launches, or what the GPU does if that takes longer.

    A launch takes the longer of its arithmetic and its memory traffic (the roofline model), and launches run
    one after the other.
    """
    arithmetic = OF_ARITHMETIC * gpu.arithmetic(precision)
    bandwidth = OF_BANDWIDTH * gpu.bandwidth
    busy = sum(max(flops / arithmetic, traffic / bandwidth) for flops, traffic in counts.work)
    return max(busy, LAUNCH * counts.launches)


def estimate(counts: Counts, gpu: GPU, config: Config, runs: int = 1) -> Estimate:
    """The estimate for `runs` runs of all iterations, from the counts of one step."""
    step = step_seconds(counts, gpu, config.precision)
    return Estimate(step, counts.peak, runs * config.train.iterations * step / 3600)


def estimate_line(
    config: Config, name: str, stages: Sequence[int] = (), teacher_steps: int | None = None
) -> str:
    """The estimate of a training in words.

    Args:
        config: the configuration of the run.
        name: of the GPU.
        stages: the steps of the students; none: the training is the teacher's. Stages count as equal.
        teacher_steps: of the teacher of the first student.

    Raises:
        UserError: the GPU is not known; this version of PyTorch cannot count without a GPU.
    """
    gpu = find_gpu(name)
    try:
        counts = count_step(config, stages[0] if stages else None, teacher_steps)
    except (RuntimeError, AttributeError, TypeError, NotImplementedError) as error:
        version = torch.__version__
        raise UserError(
            f"--gpu: PyTorch {version} cannot count the operations of a step ({reason(error)}); use a newer "
            "one, or omit --gpu"
        ) from error
    found = estimate(counts, gpu, config, max(1, len(stages)))
    gigabytes = found.memory / 1e9
    room = "" if gigabytes < gpu.memory else f", more than its {gpu.memory}"
    whole = counted(config.train.iterations, "iteration")
    if len(stages) > 1:
        whole = f"{len(stages)} stages of {whole}"
    return (
        f"an estimate, not a measurement, for one {name}: {1e3 * found.step:.1f} ms a step, "
        f"{gigabytes:.1f} GB{room}, {_hours(found.hours)} for {whole}, without validation and loading"
    )


def _hours(hours: float) -> str:
    if hours < 0.1:
        return f"{60 * hours:.1f} minutes"
    return f"{hours:.1f} hours"
