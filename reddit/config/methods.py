"""The settings of each training method, in a section of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from reddit.config.sections import Section, Text, TrainConfig

LambdaRule = Literal["max_snr_1", "snr_plus_1", "constant"]


class TeacherConfig(Section):
    """The loss of the teacher."""

    init: Text | None = None
    """Weights to start from, a path or a name, of the same network; `null`: random ones."""
    loss: Literal["l1", "l2"] = "l2"
    """Distance between the network's output and its target (eps, v or x0)."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Probability that a sample is trained at T, from pure noise, where sampling starts."""
    w_per: float = Field(0.0, ge=0)
    """Weight of a perceptual loss (LPIPS) on the clean image predicted from those samples."""
    w_ssim: float = Field(0.0, ge=0)
    """Weight of 1 - SSIM on it."""


class ReDDiTConfig(Section):
    """ReDDiT's step-halving distillation: the settings of equations 4 to 12."""

    omega: float = Field(0.2, ge=0)
    """Strength of the reflectance-aware refinement (RATR), eq. 9; 0: no refinement."""
    omega_space: Literal["trajectory", "clean"] = "trajectory"
    """What omega moves: `x_s` (the paper), or the clean-image target, equally at every t."""
    w_dis: float = Field(1.0, ge=0)
    """Weight of the distillation loss, eq. 6. 0: ground truth only, a control without the teacher."""
    w_pix: float = Field(1.0, ge=0)
    """Weight of the pixel loss, eq. 10."""
    w_per: float = Field(0.6, ge=0)
    """Weight of the perceptual loss, eq. 11."""
    w_ssim: float = Field(0.0, ge=0)
    """Weight of 1 - SSIM between the student's clean image and the ground truth; not in the paper."""
    w_illumination: float = Field(0.0, ge=0)
    """Weight of a loss on the mean brightness of blocks, which the paper does not have."""
    w_shift: float = Field(0.0, ge=0)
    """Weight of the squared difference in mean brightness between the student's clean images of a sample and
    of a part of it, shifted and turned at random; not in the paper."""
    lambda_rule: LambdaRule = "max_snr_1"
    """Loss weight lambda_t of a noise level: max(SNR, 1) as in eq. 6, SNR + 1, or 1."""
    jitter: Literal["none", "shared", "independent"] = "independent"
    """Noise levels of t, u and s: on the grid (`none`), or drawn uniformly between neighbouring grid points,
    with one random number for the three (`shared`) or one for each (`independent`)."""
    order: Literal[1, 2] = 2
    """The teacher's steps to the target: 2: t → u → s (eq. 3); 1: t → s (eq. 2)."""
    symmetries: int = Field(1, ge=1, le=8)
    """Flips and rotations of a sample, drawn at random, over which the teacher's target is averaged: an
    estimate of its posterior mean. 1: none. Each costs the teacher as much as the first."""
    last_interval: Literal["clean", "wrapped"] = "clean"
    """The end of the last interval; `wrapped` draws it between clean and T (fault D2), for ablation."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Probability that a sample starts at T from pure noise, as in sampling."""
    p_rollout: float = Field(0.0, ge=0, le=1)
    """Probability that the `x_t` of a batch come from the student's own sampling, from pure noise."""
    illumination: Literal["max", "mean", "smooth_max"] = "max"
    """h of eq. 7: the maximum over channels (the paper), their mean, or the maximum averaged over 15×15
    pixels."""
    reflectance: Literal["retinex", "authors"] = "retinex"
    """`authors`: values in [-1, 1] divided by a maximum that crosses zero (fault D1), for ablation."""
    noise: Literal["magnitude", "signed"] = "magnitude"
    """The noise n that is subtracted from y: |y - D(y)| (the paper), or y - D(y)."""
    denoiser: Literal["nlm", "gaussian"] = "nlm"
    """D of eq. 7: non-local means (the paper), or the Gaussian blur of the authors' code."""
    nlm_strength: float = Field(3.0, gt=0, le=255)
    """Filter strength h of non-local means, in 8-bit levels."""
    illumination_floor: float = Field(1 / 255, gt=0, lt=1)
    """Smallest h that the reflectance is divided by."""


class ProgressiveConfig(Section):
    """Progressive distillation (Salimans & Ho 2022)."""

    lambda_rule: LambdaRule = "max_snr_1"
    """Loss weight lambda_t of a noise level: max(SNR, 1), SNR + 1, or 1."""


class ConsistencyConfig(Section):
    """Consistency distillation (Song et al. 2023)."""

    target_ema: float = Field(0.95, ge=0, lt=1)
    """Decay of the moving average of the student's weights that gives the targets (their mu)."""
    distance: Literal["l2", "lpips"] = "l2"
    """Distance between the clean images predicted from neighbouring states."""


class ReflowConfig(Section):
    """Reflow (Liu et al. 2022), which has no settings."""


class RegressionConfig(Section):
    """Plain regression to the ground truth in one step."""

    w_per: float = Field(0.0, ge=0)
    """Weight of the perceptual loss (LPIPS) beside the squared error."""


class CTMConfig(Section):
    """Consistency trajectory models (Kim et al. 2023), without their adversarial loss."""

    target_ema: float = Field(0.95, ge=0, lt=1)
    """Decay of the moving average of the student's weights that gives the targets (theirs: 0.999, over many
    more iterations)."""
    distance: Literal["l2", "lpips"] = "l2"
    """Distance between the clean images that the two ways lead to (theirs: `lpips`)."""
    w_dsm: float = Field(1.0, ge=0)
    """Weight of denoising score matching: the squared error of steps of length 0, with lambda_t."""


class ShortcutConfig(Section):
    """Shortcut models (Frans et al. 2024)."""

    p_consistency: float = Field(0.25, ge=0, le=1)
    """Probability that a sample learns a long step from two of half its length; else it learns the shortest
    step, from the ground truth."""
    target_ema: float = Field(0.95, ge=0, lt=1)
    """Decay of the moving average of the student's weights that makes those two (theirs: 0.999, over many
    more iterations)."""


class PerceptualConfig(Section):
    """The network behind every perceptual loss (LPIPS)."""

    backbone: Literal["vgg", "alex"] = "vgg"
    """VGG-16 (the paper), or AlexNet, at a tenth of the cost."""
    weights: Text | None = None
    """A `.safetensors` file with the backbone's ImageNet convolutions; `null`: the file named by the
    environment variable REDDIT_VGG16 or REDDIT_ALEXNET, else torchvision's download."""


READ_PERCEPTUAL = ("teacher", "reddit", "consistency", "regression", "ctm")
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
        __doc__="Settings of a distillation stage that replace those of `train`; `null`: as in `train`.",
        **{
            name: (_optional(field), STAGE_DEFAULTS.get(name))
            for name, field in TrainConfig.model_fields.items()
        },
    )


class DistillConfig(Section):
    """Distillation: the method, its settings, and the training of a stage."""

    method: Text = "reddit"
    """reddit, progressive, consistency, reflow, regression, ctm or shortcut. Each reads the section of its
    name."""
    reddit: ReDDiTConfig = ReDDiTConfig()
    progressive: ProgressiveConfig = ProgressiveConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    reflow: ReflowConfig = ReflowConfig()
    regression: RegressionConfig = RegressionConfig()
    ctm: CTMConfig = CTMConfig()
    shortcut: ShortcutConfig = ShortcutConfig()
    train: StageConfig = StageConfig()
    """Settings of a stage that replace those of `train`."""

    def settings(self, method: str) -> BaseModel:
        """The section of a method; an empty one if the method has no settings."""
        return getattr(self, method, ReflowConfig())
