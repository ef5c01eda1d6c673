"""The settings of methods: the teacher's loss and every distillation's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from reddit.config.sections import Section


class TeacherConfig(Section):
    """The teacher's own loss."""

    loss: Literal["l1", "l2"] = "l2"
    """Distance between the network's answer and its target (eps, v or x0)."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Share of the samples trained at T itself, from pure noise, where sampling starts."""
    w_per: float = Field(0.0, ge=0)
    """Weight of a perceptual loss (LPIPS) on the predicted clean image of those samples."""


class DistillConfig(Section):
    """Distillation: the method, and every weight of ReDDiT's equations 4 to 12."""

    method: str = "reddit"
    """reddit, or a rival: progressive, consistency, reflow, which use only what their docstrings name."""
    omega: float = Field(0.2, ge=0)
    """Strength of the reflectance-aware refinement, eq. 9; 0 leaves the teacher's trajectory alone."""
    omega_space: Literal["trajectory", "clean"] = "trajectory"
    """Whether omega moves `x_s` (the paper) or the clean-image target (the same strength at every t)."""
    w_dis: float = Field(1.0, ge=0)
    """0: ground truth only, as a control (GT only); the teacher is not evaluated."""
    w_pix: float = Field(1.0, ge=0)
    w_per: float = Field(0.6, ge=0)
    w_illumination: float = Field(0.0, ge=0)
    """Weight of the illumination loss, which the paper does not have."""
    lambda_rule: Literal["max_snr_1", "snr_plus_1", "constant"] = "max_snr_1"
    jitter: Literal["none", "shared", "independent"] = "independent"
    """Noise levels alpha on the grid; or drawn evenly between neighbours, by one draw or each by its own."""
    order: Literal[1, 2] = 2
    """Teacher's steps to the target: t → u → s (eq. 3), or t → s alone (eq. 2)."""
    last_interval: Literal["clean", "wrapped"] = "clean"
    """Where the last interval ends; `wrapped` draws it anywhere between clean and T (fault D2), for
    ablation."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Share of the samples that start at T from pure noise, as the student will."""
    p_rollout: float = Field(0.0, ge=0, le=1)
    """Share of the batches whose `x_t` the student reached itself, from pure noise."""
    illumination: Literal["max", "mean", "smooth_max"] = "max"
    reflectance: Literal["retinex", "authors"] = "retinex"
    """`authors` divides [-1, 1] values by a maximum that crosses zero (fault D1), for ablation."""
    noise: Literal["magnitude", "signed"] = "magnitude"
    """The paper subtracts |y - D(y)| from y; `signed` subtracts y - D(y)."""
    denoiser: Literal["nlm", "gaussian"] = "nlm"
    nlm_strength: float = Field(3.0, gt=0)
    """Filter strength h of non-local means, in 8-bit levels."""
    illumination_floor: float = Field(1 / 255, gt=0, lt=1)
    target_ema: float = Field(0.95, ge=0, lt=1)
    """Consistency distillation: decay of the average of the student's weights that makes the targets."""
    consistency_distance: Literal["l2", "lpips"] = "l2"
    """Consistency distillation: between the clean images of neighbouring states."""
    perceptual_backbone: Literal["vgg", "alex"] = "vgg"
    perceptual_weights: str | None = None
    """A `.safetensors` with the backbone's ImageNet convolutions; unset: REDDIT_VGG16 or
    REDDIT_ALEXNET of the environment, else torchvision's download."""
    train: dict[str, Any] = Field(
        {
            "iterations": 5000,
            "batch_size": 16,
            "lr": 1e-4,
            "decay_from": 0.4,
            "validate_every": 500,
        }
    )
    """What a stage sets differently in `train`."""
