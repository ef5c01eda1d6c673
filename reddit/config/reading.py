"""From YAML and `key=value` overrides to a checked configuration; all mistakes are reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from reddit.config.messages import explain
from reddit.config.methods import DistillConfig
from reddit.config.sections import TrainConfig
from reddit.config.settings import Config
from reddit.config.yaml_files import Loader, merge, read_yaml
from reddit.utils.errors import UserError


def load_config(path: str | Path | None, overrides: Sequence[str] = (), *, stage: bool = False) -> Config:
    """Read a YAML file (`base: OTHER.yaml` inherits), lay overrides on top, and check everything.

    Args:
        path: the file; None for the defaults.
        overrides: `key=value` with dotted keys and YAML values, e.g. `train.lr=2e-4`.
        stage: for a distillation stage: `distill.train` is laid over `train` before the overrides.

    Raises:
        UserError: one line a mistake, all of them at once, unknown keys with the nearest known one.
    """
    raw = read_yaml(Path(path)) if path is not None else {}
    return resolve_config(raw, overrides, stage=stage, source=str(path or "defaults"))


def resolve_config(
    raw: dict[str, Any],
    overrides: Sequence[str] = (),
    *,
    stage: bool = False,
    source: str,
    laid_by: str = "--set",
) -> Config:
    """`load_config` for a mapping already read; messages name it by `source`, the overrides by `laid_by`."""
    mistakes: list[str] = []
    laid: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            mistakes.append(f"--set {override}: expected key=value, e.g. train.lr=2e-4")
            continue
        try:
            value = yaml.load(text, Loader)
        except yaml.YAMLError:
            mistakes.append(f"--set {override}: {text!r} is not a YAML value")
            continue
        for part in reversed(key.split(".")):
            value = {part: value}
        laid = merge(laid, value)
    given = merge(raw, laid)
    stage_train = DistillConfig().train | _section(_section(given, "distill"), "train")
    if stage:
        given = merge(merge(given, {"train": stage_train}), laid)
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        for e in error.errors():
            laid_over = _is_among(".".join(map(str, e["loc"])), overrides)
            mistakes.append(explain(e, Config, laid_by if laid_over else source))
    else:
        mistakes += _contradictions(config, source)
    try:
        TrainConfig.model_validate(_section(given, "train") | stage_train)
    except ValidationError as error:
        seen = "\n".join(mistakes)
        for e in error.errors():
            if f"train.{e['loc'][0]}:" not in seen:
                laid_over = _is_among(f"distill.train.{e['loc'][0]}", overrides)
                named = laid_by if laid_over else source
                mistakes.append(explain(e, TrainConfig, named, prefix="distill.train."))
    if mistakes:
        raise UserError("\n".join(mistakes))
    return config


def _is_among(key: str, overrides: Sequence[str]) -> bool:
    """Whether an override sets a key, or something below or above it."""
    laid = (override.partition("=")[0] for override in overrides)
    return any(f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.") for one in laid)


def _contradictions(config: Config, source: str) -> list[str]:
    found = []
    model, diffusion = config.model, config.diffusion
    if model.prediction == "eps" and diffusion.zero_terminal_snr:
        found.append("model.prediction: eps cannot start from zero terminal SNR; set it to v or x0")
    if diffusion.mask_x_T and not diffusion.zero_terminal_snr:
        found.append("diffusion.mask_x_T: x_T is pure noise only with diffusion.zero_terminal_snr=true")
    if config.distill.last_interval == "wrapped" and config.distill.jitter == "none":
        found.append("distill.last_interval: wrapped draws a level, which distill.jitter=none forbids")
    for level, m in enumerate(model.multipliers if model.architecture == "unet" else []):
        if model.width * m % model.groups:
            found.append(
                f"model.groups: {model.groups} does not divide level {level}'s {model.width * m} channels"
            )
            break
    if diffusion.beta_start > diffusion.beta_end:
        found.append("diffusion.beta_start: larger than diffusion.beta_end")
    if diffusion.teacher_steps > diffusion.steps:
        found.append("diffusion.teacher_steps: more than diffusion.steps")
    return [f"{source}: {line}" for line in found]


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    section = raw.get(name)
    return section if isinstance(section, dict) else {}
