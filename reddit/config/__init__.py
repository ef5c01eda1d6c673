"""The configuration: typed, strict, from YAML, with `key=value` on top.

Every key of every YAML file in `configs/` is declared here, with its default and its meaning.
The defaults are the paper's; where the paper is silent, its lineage's (GSAD, SR3).
"""

from reddit.config.methods import DistillConfig, TeacherConfig
from reddit.config.reading import load_config, resolve_config
from reddit.config.sections import (
    DataConfig,
    DiffusionConfig,
    MixPart,
    ModelConfig,
    SamplerName,
    TrainConfig,
)
from reddit.config.settings import RENAMED, Config

__all__ = [
    "RENAMED",
    "Config",
    "DataConfig",
    "DiffusionConfig",
    "DistillConfig",
    "MixPart",
    "ModelConfig",
    "SamplerName",
    "TeacherConfig",
    "TrainConfig",
    "load_config",
    "resolve_config",
]
