"""The configuration: typed settings from YAML files and `key=value` overrides, strictly checked."""

from reddit.config.methods import (
    ConsistencyConfig,
    CTMConfig,
    DistillConfig,
    LambdaRule,
    PerceptualConfig,
    ProgressiveConfig,
    ReDDiTConfig,
    ReflowConfig,
    RegressionConfig,
    ShortcutConfig,
    TeacherConfig,
)
from reddit.config.readers import is_read, readers, settings_for
from reddit.config.reading import load_config, resolve_config
from reddit.config.sections import DataConfig, DiffusionConfig, MixPart, ModelConfig, SamplerName, TrainConfig
from reddit.config.settings import RENAMED, Config

__all__ = [
    "RENAMED",
    "CTMConfig",
    "Config",
    "ConsistencyConfig",
    "DataConfig",
    "DiffusionConfig",
    "DistillConfig",
    "LambdaRule",
    "MixPart",
    "ModelConfig",
    "PerceptualConfig",
    "ProgressiveConfig",
    "ReDDiTConfig",
    "ReflowConfig",
    "RegressionConfig",
    "SamplerName",
    "ShortcutConfig",
    "TeacherConfig",
    "TrainConfig",
    "is_read",
    "load_config",
    "readers",
    "resolve_config",
    "settings_for",
]
