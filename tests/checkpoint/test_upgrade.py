from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reddit.checkpoint.format import load_denoiser, read_info
from reddit.checkpoint.shipped import shipped
from reddit.checkpoint.upgrade import upgrade
from reddit.config import RENAMED, Config, resolve_config
from reddit.training.run_folder import changed_settings

# Values that no default has, under their first names.
OLD: dict[str, Any] = {
    "diffusion.blind_start": True,
    "train.accumulate": 3,
    "distill.train.accumulate": 5,
    "teacher.terminal_share": 0.1,
    "distill.terminal_share": 0.2,
    "distill.rollout_share": 0.3,
    "distill.w_light": 0.4,
    "distill.omega": 0.7,
    "distill.omega_space": "clean",
    "distill.w_dis": 0.6,
    "distill.w_pix": 0.3,
    "distill.w_per": 0.25,
    "distill.lambda_rule": "constant",
    "distill.jitter": "shared",
    "distill.order": 1,
    "distill.last_interval": "wrapped",
    "distill.illumination": "mean",
    "distill.reflectance": "authors",
    "distill.noise": "signed",
    "distill.denoiser": "gaussian",
    "distill.nlm_strength": 4.0,
    "distill.illumination_floor": 0.02,
    "distill.p_terminal": 0.2,
    "distill.p_rollout": 0.3,
    "distill.w_illumination": 0.4,
    "distill.target_ema": 0.9,
    "distill.consistency_distance": "lpips",
    "distill.perceptual_backbone": "alex",
    "distill.perceptual_weights": "alex.safetensors",
}


def value(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def tree(values: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries of dotted keys."""
    settings: dict[str, Any] = {}
    for key, one in values.items():
        *sections, name = key.split(".")
        below = settings
        for section in sections:
            below = below.setdefault(section, {})
        below[name] = one
    return settings


def test_every_old_key_is_tried() -> None:
    assert OLD.keys() == RENAMED.keys()


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_becomes_the_new_one(old: str) -> None:
    settings = upgrade(tree({old: OLD[old]}))
    assert settings == tree({RENAMED[old]: OLD[old]})
    assert value(Config().model_dump() | settings, RENAMED[old]) == OLD[old]


def test_the_settings_themselves_stay_as_they_are() -> None:
    settings = tree(OLD)
    upgrade(settings)
    assert settings == tree(OLD)


def test_current_settings_pass_unchanged() -> None:
    settings = Config().model_dump()
    assert upgrade(settings) == settings


def test_the_first_version_split_by_the_seed() -> None:
    settings = upgrade({"seed": 7, "data": {"in_memory": True}})
    assert settings == {"seed": 7, "data": {"split_seed": 7}}


def old_settings(**values: Any) -> dict[str, Any]:
    """A whole configuration as an earlier version wrote it."""
    settings = Config().model_dump()
    for key in RENAMED.values():
        *sections, name = key.split(".")
        below = settings
        for section in sections:
            below = below[section]
        below.pop(name, None)
    for key, one in OLD.items():
        *sections, name = key.split(".")
        below = settings
        for section in sections:
            below = below.setdefault(section, {})
        below[name] = one
    settings["diffusion"]["zero_terminal_snr"] = True
    settings["model"]["prediction"] = "v"
    return settings | values


def test_an_old_checkpoint_loads(sr3_weights: Path, tmp_path: Path) -> None:
    with safe_open(sr3_weights, framework="pt") as file:
        metadata = file.metadata()
    written = json.loads(metadata["config"])
    metadata["config"] = json.dumps(old_settings(model=written["model"]))
    path = tmp_path / "old.safetensors"
    save_file(load_file(sr3_weights), path, metadata)
    denoiser, info = load_denoiser(path)
    assert denoiser.mask_x_T
    for old, new in RENAMED.items():
        assert value(info.config.model_dump(), new) == OLD[old]


def test_shipped_weights_load_whatever_their_version() -> None:
    for path in shipped().values():
        assert read_info(path).config.diffusion.mask_x_T  # written as blind_start


def test_an_old_run_folder_is_compared_by_the_present_names(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old_settings()))
    config = resolve_config(upgrade(old_settings()), source="test")
    assert changed_settings(tmp_path, config) == []
    other = resolve_config(upgrade(old_settings()), ["distill.reddit.p_terminal=0.9"], source="test")
    assert changed_settings(tmp_path, other) == ["distill.reddit.p_terminal"]
