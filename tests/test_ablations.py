from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reddit.ablations import ABLATIONS, ablation_settings, describe_ablations
from reddit.config import load_config, resolve_config
from reddit.utils.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


def resolved(config: str, name: str) -> dict[str, object]:
    ablation = ABLATIONS[name]
    stage = ablation.stage == "student"
    return load_config(CONFIGS / f"{config}.yaml", ablation.settings, stage=stage).model_dump()


@pytest.mark.parametrize("config", ["lolv1", "lolv1_light"])
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_resolves(name: str, config: str) -> None:
    for setting in ABLATIONS[name].settings:
        found = resolved(config, name)
        key, _, value = setting.partition("=")
        for part in key.split("."):
            found = found[part]  # type: ignore[assignment]
        assert found == yaml.safe_load(value)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_goes_with_a_masked_x_t(name: str) -> None:
    settings = ["diffusion.mask_x_T=true", *ABLATIONS[name].settings]
    load_config(CONFIGS / "lolv1_light.yaml", settings, stage=ABLATIONS[name].stage == "student")


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_changes_something(name: str) -> None:
    configs = ["lolv1", "lolv1_light"]
    stage = ABLATIONS[name].stage == "student"
    plain = [load_config(CONFIGS / f"{c}.yaml", stage=stage).model_dump() for c in configs]
    assert any(resolved(c, name) != p for c, p in zip(configs, plain, strict=True))


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_has_a_description(name: str) -> None:
    ablation = ABLATIONS[name]
    assert ablation.meaning.endswith(".") and ablation.settings
    assert name in describe_ablations(ablation.stage)


def test_every_fault_has_an_ablation() -> None:
    assert {f"d{n}" for n in range(1, 7)} < ABLATIONS.keys()


def test_both_spaces_from_zero_to_one() -> None:
    for space in ("trajectory", "clean"):
        strengths = [
            resolve_config({}, a.settings, source="x").distill.reddit.omega
            for name, a in ABLATIONS.items()
            if name.startswith("omega-") and name.endswith(space)
        ]
        assert strengths == sorted(strengths) and strengths[0] == 0 and strengths[-1] == 1


def test_a_wrong_name_or_stage() -> None:
    assert ablation_settings("no-ratr", "student") == ["ablation=no-ratr", "distill.reddit.omega=0"]
    with pytest.raises(UserError, match="unknown ablation; did you mean no-ratr"):
        ablation_settings("noratr", "student")
    with pytest.raises(UserError, match="--ablation list"):
        ablation_settings("zzz", "student")
    with pytest.raises(UserError, match=r"is an ablation of the teacher: train one with reddit-llie train"):
        ablation_settings("eps", "student")
    with pytest.raises(UserError, match=r"is an ablation of the student: use it with"):
        ablation_settings("d1", "teacher")


def test_a_wrapped_interval_needs_jitter() -> None:
    with pytest.raises(UserError, match="last_interval: wrapped"):
        resolve_config({}, ["distill.reddit.last_interval=wrapped", "distill.reddit.jitter=none"], source="x")
