"""The whole configuration, and what settings were called before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from reddit.config.methods import DistillConfig, TeacherConfig
from reddit.config.sections import DataConfig, DiffusionConfig, ModelConfig, Section, TrainConfig

RENAMED = {
    "diffusion.blind_start": "diffusion.mask_x_T",
    "train.accumulate": "train.grad_accum_steps",
    "distill.train.accumulate": "distill.train.grad_accum_steps",
    "teacher.terminal_share": "teacher.p_terminal",
    "distill.terminal_share": "distill.p_terminal",
    "distill.rollout_share": "distill.p_rollout",
    "distill.w_light": "distill.w_illumination",
}
"""Keys of earlier versions → their names today. Checkpoints and run folders still hold the former."""


class Config(Section):
    """Everything that decides a run."""

    name: str = "lolv1"
    """The family of runs; the teacher's folder is `runs/NAME`, an 8-step student's `runs/NAME-8`."""
    ablation: str | None = None
    """The ablation of students that this run, or its teacher's, belongs to; `--ablation` sets it. Such models
    do not stand for their family."""
    runs: str = "runs"
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    train: TrainConfig = TrainConfig()
    teacher: TeacherConfig = TeacherConfig()
    distill: DistillConfig = DistillConfig()

    def data_root(self) -> Path:
        """Where data sets live: `data.root`, else REDDIT_DATA, else `data`."""
        return Path(self.data.root or os.environ.get("REDDIT_DATA") or "data")

    def runs_folder(self) -> Path:
        """Where run folders live."""
        return Path(self.runs)

    def to_yaml(self) -> str:
        """The whole configuration as YAML that `load_config` reads back."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)
