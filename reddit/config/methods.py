"""The settings of each training method, in a section of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from reddit.config.sections import Section, Text, TrainConfig

LambdaRule = Literal["max_snr_1", "snr_plus_1", "constant"]


class TeacherConfig(Section):
    """The teacher's own loss."""

    loss: Literal["l1", "l2"] = "l2"
    """Distance between the network's answer and its target (eps, v or x0)."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Share of the samples trained at T itself, from pure noise, where sampling starts."""
    w_per: float = Field(0.0, ge=0)
    """Weight of a perceptual loss (LPIPS) on the predicted clean image of those samples."""


class ReDDiTConfig(Section):
    """ReDDiT's step-halving distillation: every weight of equations 4 to 12."""

    omega: float = Field(0.2, ge=0)
    """Strength of the reflectance-aware refinement, eq. 9; 0 leaves the teacher's trajectory alone."""
    omega_space: Literal["trajectory", "clean"] = "trajectory"
    """Whether omega moves `x_s` (the paper) or the clean-image target (the same strength at every t)."""
    w_dis: float = Field(1.0, ge=0)
    """Weight of the distillation loss, eq. 6. 0: ground truth only, as a control; the teacher is not
    evaluated."""
    w_pix: float = Field(1.0, ge=0)
    """Weight of the pixel loss, eq. 10."""
    w_per: float = Field(0.6, ge=0)
    """Weight of the perceptual loss, eq. 11."""
    w_illumination: float = Field(0.0, ge=0)
    """Weight of the illumination loss, which the paper does not have."""
    lambda_rule: LambdaRule = "max_snr_1"
    """Weight of a noise level: max(SNR, 1) as in eq. 6, SNR + 1, or 1."""
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
    """h of eq. 7: the maximum over channels (the paper), their mean, or the maximum averaged over 15×15
    pixels."""
    reflectance: Literal["retinex", "authors"] = "retinex"
    """`authors` divides [-1, 1] values by a maximum that crosses zero (fault D1), for ablation."""
    noise: Literal["magnitude", "signed"] = "magnitude"
    """The paper subtracts |y - D(y)| from y; `signed` subtracts y - D(y)."""
    denoiser: Literal["nlm", "gaussian"] = "nlm"
    """D of eq. 7: non-local means (the paper), or the Gaussian blur of the authors' code."""
    nlm_strength: float = Field(3.0, gt=0, le=255)
    """Filter strength h of non-local means, in 8-bit levels."""
    illumination_floor: float = Field(1 / 255, gt=0, lt=1)
    """Smallest h that the reflectance is divided by."""


class ProgressiveConfig(Section):
    """Progressive distillation (Salimans & Ho 2022)."""

    lambda_rule: LambdaRule = "max_snr_1"
    """Weight of a noise level: max(SNR, 1), SNR + 1, or 1."""


class ConsistencyConfig(Section):
    """Consistency distillation (Song et al. 2023)."""

    target_ema: float = Field(0.95, ge=0, lt=1)
    """Decay of the average of the student's weights that makes the targets; their mu."""
    distance: Literal["l2", "lpips"] = "l2"
    """Between the clean images of neighbouring states."""


class ReflowConfig(Section):
    """Reflow (Liu et al. 2022), which has no settings."""


class PerceptualConfig(Section):
    """The network behind every perceptual loss (LPIPS)."""

    backbone: Literal["vgg", "alex"] = "vgg"
    """VGG-16 as in the paper, or AlexNet, which costs a tenth."""
    weights: Text | None = None
    """A `.safetensors` with the backbone's ImageNet convolutions; unset: REDDIT_VGG16 or REDDIT_ALEXNET of
    the environment, else torchvision's download."""


READ_PERCEPTUAL = ("teacher", "reddit", "consistency")
"""The methods that can use it."""

STAGE_DEFAULTS: dict[str, Any] = {
    "iterations": 5000,
    "batch_size": 16,
    "lr": 1e-4,
    "decay_from": 0.4,
    "validate_every": 500,
}


def _optional(field: FieldInfo) -> Any:
    """The type of a setting, with its limits, or None."""
    kind = field.annotation | None  # type: ignore[operator]
    # Annotated[*…] is not yet written so in Python 3.10.
    return Annotated.__class_getitem__((kind, *field.metadata)) if field.metadata else kind  # type: ignore[attr-defined]


if TYPE_CHECKING:
    StageConfig = TrainConfig
else:
    StageConfig = create_model(
        "StageConfig",
        __base__=Section,
        __doc__="What a stage sets differently in `train`; a key that is null is as in `train`.",
        **{
            name: (_optional(field), STAGE_DEFAULTS.get(name))
            for name, field in TrainConfig.model_fields.items()
        },
    )


class DistillConfig(Section):
    """Distillation: the method, its settings, and how a stage is trained."""

    method: Text = "reddit"
    """reddit, or a rival: progressive, consistency, reflow. Each reads the section of its name."""
    reddit: ReDDiTConfig = ReDDiTConfig()
    progressive: ProgressiveConfig = ProgressiveConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    reflow: ReflowConfig = ReflowConfig()
    train: StageConfig = StageConfig()
    """What a stage sets differently in `train`."""

    def settings(self, method: str) -> BaseModel:
        """The section of a method; an empty one for a method that has none."""
        return getattr(self, method, ReflowConfig())
