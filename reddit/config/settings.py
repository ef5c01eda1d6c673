"""The whole configuration, and what settings were called before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from reddit.config.methods import DistillConfig, PerceptualConfig, TeacherConfig
from reddit.config.sections import DataConfig, DiffusionConfig, ModelConfig, Section, Text, TrainConfig
from reddit.config.yaml_files import dump_yaml
from reddit.utils.names import check_name

RENAMED = {
    "diffusion.blind_start": "diffusion.mask_x_T",
    "train.accumulate": "train.grad_accum_steps",
    "distill.train.accumulate": "distill.train.grad_accum_steps",
    "teacher.terminal_share": "teacher.p_terminal",
    "distill.terminal_share": "distill.reddit.p_terminal",
    "distill.rollout_share": "distill.reddit.p_rollout",
    "distill.w_light": "distill.reddit.w_illumination",
    "distill.omega": "distill.reddit.omega",
    "distill.omega_space": "distill.reddit.omega_space",
    "distill.w_dis": "distill.reddit.w_dis",
    "distill.w_pix": "distill.reddit.w_pix",
    "distill.w_per": "distill.reddit.w_per",
    "distill.lambda_rule": "distill.reddit.lambda_rule",
    "distill.jitter": "distill.reddit.jitter",
    "distill.order": "distill.reddit.order",
    "distill.last_interval": "distill.reddit.last_interval",
    "distill.illumination": "distill.reddit.illumination",
    "distill.reflectance": "distill.reddit.reflectance",
    "distill.noise": "distill.reddit.noise",
    "distill.denoiser": "distill.reddit.denoiser",
    "distill.nlm_strength": "distill.reddit.nlm_strength",
    "distill.illumination_floor": "distill.reddit.illumination_floor",
    "distill.p_terminal": "distill.reddit.p_terminal",
    "distill.p_rollout": "distill.reddit.p_rollout",
    "distill.w_illumination": "distill.reddit.w_illumination",
    "distill.target_ema": "distill.consistency.target_ema",
    "distill.consistency_distance": "distill.consistency.distance",
    "distill.perceptual_backbone": "perceptual.backbone",
    "distill.perceptual_weights": "perceptual.weights",
}
"""Keys of earlier versions → their present names. Old checkpoints and run folders contain the former."""


class Config(Section):
    """All settings of a run."""

    name: Annotated[str, AfterValidator(check_name)] = "lolv1"
    """Name of the family of runs. The teacher's folder is `runs/NAME`, that of an 8-step student
    `runs/NAME-8`."""
    ablation: Text | None = None
    """The ablation that this run or its teacher belongs to; set by `--ablation`. Such models are not used as
    members of their family unless the ablation is named."""
    runs: Text = "runs"
    """Folder of all runs."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of all random numbers in training."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto`: a GPU if there is one. `mps`: that of an Apple processor."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """Precision of the network. `auto`: `bf16` where the device has arithmetic for it, otherwise `fp32`.
    `bf16` and `fp16` are mixed, by autocast; `fp16` needs a GPU. With `tf32`, NVIDIA's GPUs may round factors
    to 10 bits, which is faster than `fp32`."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    train: TrainConfig = TrainConfig()
    teacher: TeacherConfig = TeacherConfig()
    perceptual: PerceptualConfig = PerceptualConfig()
    distill: DistillConfig = DistillConfig()

    def data_root(self) -> Path:
        """The folder of the data sets: `data.root`, else REDDIT_DATA, else `data`."""
        return Path(self.data.root or os.environ.get("REDDIT_DATA") or "data")

    def runs_folder(self) -> Path:
        """The folder of all runs."""
        return Path(self.runs)

    def to_yaml(self) -> str:
        """The whole configuration as YAML; `load_config` reads it back."""
        return dump_yaml(self.model_dump())
