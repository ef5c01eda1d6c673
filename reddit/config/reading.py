"""From a file and `key=value` overrides to a checked configuration, with all mistakes at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reddit.config.messages import explain, one_a_value
from reddit.config.methods import STAGE_DEFAULTS
from reddit.config.readers import unread
from reddit.config.sections import WITHOUT_PAIRS
from reddit.config.settings import Config
from reddit.config.yaml_files import NOT_YAML, load_yaml, merge, read_yaml
from reddit.utils.errors import UserError
from reddit.utils.text import counted, short

MOST_MISTAKES, DEEPEST = 10, 8
"""Lines of an error, and dots of a key."""
MOST_PIXELS = 100_000_000
"""Most pixels of the crops that are in memory at a time: 2.4 GB with their ground truths."""


def load_config(path: str | Path | None, overrides: Sequence[str] = (), *, stage: bool = False) -> Config:
    """Read a YAML file (`base: OTHER.yaml` inherits), apply overrides, and check everything.

    Args:
        path: the file; None for the defaults.
        overrides: `key=value` with dotted keys and YAML values, e.g. `train.lr=2e-4`.
        stage: for a distillation stage: `distill.train` replaces settings of `train` before the overrides.

    Raises:
        UserError: all mistakes, one per line; unknown keys with the nearest known one, overrides that the
            chosen method does not read with the method that does.
    """
    raw = read_yaml(Path(path)) if path is not None else {}
    return resolve_config(raw, overrides, stage=stage, source=str(path or "defaults"))


def resolve_config(
    raw: dict[str, Any],
    overrides: Sequence[str] = (),
    *,
    stage: bool = False,
    source: str,
    flag: str = "--set",
) -> Config:
    """`load_config` for a mapping already read; messages name it by `source`, the overrides by `flag`."""
    tree, mistakes = _as_tree(overrides)
    settings = merge(raw, tree)
    if stage:
        of_stage = STAGE_DEFAULTS | _section(_section(settings, "distill"), "train")
        of_train = {key: value for key, value in of_stage.items() if value is not None}
        settings = merge(merge(settings, {"train": of_train}), tree)
    count = len(mistakes)
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        found = _without_repeats(one_a_value(error.errors(), Config))
        count += len(found)
        for e in found[:MOST_MISTAKES]:
            overridden = _is_overridden(".".join(map(str, e["loc"])), overrides)
            mistakes.append(explain(e, Config, flag if overridden else source))
    except RecursionError:
        mistakes.append(f"{source}: nested too deeply")
    else:
        mistakes += _contradictions(config, source)
        mistakes += [f"{flag}: {line}" for line in unread(tree, config.distill.method, stage)]
    if mistakes:
        more = max(count, len(mistakes)) - MOST_MISTAKES
        tail = [f"{source}: and {counted(more, 'mistake')} more"] if more > 0 else []
        raise UserError("\n".join([*mistakes[:MOST_MISTAKES], *tail]))
    return config


def _as_tree(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Overrides as a tree of settings, and a message for each that is not valid."""
    mistakes: list[str] = []
    tree: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            mistakes.append(f"--set {short(override)}: expected key=value, e.g. train.lr=2e-4")
            continue
        try:
            value = load_yaml(text)
        except NOT_YAML:
            mistakes.append(f"--set {short(override)}: not a YAML value")
            continue
        if key.count(".") > DEEPEST:
            mistakes.append(f"--set {short(override)}: no setting is nested that deep")
            continue
        for part in reversed(key.split(".")):
            value = {part: value}
        tree = merge(tree, value)
    return tree, mistakes


def _without_repeats(found: list[Any]) -> list[Any]:
    """Errors without those of `train` that repeat one of `distill.train`, whose value it took."""
    of_stage = {e["loc"][2:] for e in found if e["loc"][:2] == ("distill", "train")}
    return [e for e in found if not (e["loc"][:1] == ("train",) and e["loc"][1:] in of_stage)]


def _is_overridden(key: str, overrides: Sequence[str]) -> bool:
    """Whether an override sets a key, or something below or above it."""
    keys = (override.partition("=")[0] for override in overrides)
    return any(f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.") for one in keys)


def _contradictions(config: Config, source: str) -> list[str]:
    found = []
    model, diffusion = config.model, config.diffusion
    if model.prediction == "eps" and diffusion.zero_terminal_snr:
        found.append("model.prediction: eps cannot start from zero terminal SNR; set it to v or x0")
    if diffusion.mask_x_T and not diffusion.zero_terminal_snr:
        found.append("diffusion.mask_x_T: x_T is pure noise only with diffusion.zero_terminal_snr=true")
    reddit = config.distill.reddit
    if reddit.last_interval == "wrapped" and reddit.jitter == "none":
        found.append(
            "distill.reddit.last_interval: wrapped draws a level, which distill.reddit.jitter=none forbids"
        )
    paper = model.architecture == "unet" and model.block == "sr3"
    if paper and model.width % 2:
        found.append(f"model.width: must be even with model.block=sr3, not {model.width}")
    for level, m in enumerate(model.multipliers if paper else []):
        if model.width * m % model.groups:
            found.append(
                f"model.groups: {model.groups} does not divide level {level}'s {model.width * m} channels"
            )
            break
    crop, at_a_time = config.data.crop, config.train.batch_size // config.train.grad_accum_steps
    if at_a_time * crop**2 > MOST_PIXELS:
        found.append(
            f"train.batch_size: {at_a_time} crops of {crop}×{crop} pixels at a time are more than "
            f"{MOST_PIXELS / 1e6:g} megapixels; train.grad_accum_steps splits a batch"
        )
    found += [
        f"data.mix: `darkened` is for pairs of picture files, not for {part.dataset}; remove it there"
        for part in config.data.mix
        if part.darkened and part.dataset in WITHOUT_PAIRS
    ]
    if diffusion.beta_start > diffusion.beta_end:
        found.append("diffusion.beta_start: larger than diffusion.beta_end")
    if diffusion.teacher_steps > diffusion.steps:
        found.append("diffusion.teacher_steps: more than diffusion.steps")
    return [f"{source}: {line}" for line in found]


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    section = raw.get(name)
    return section if isinstance(section, dict) else {}
