"""Which methods read a setting: of others it is an error where it is typed, and changes no kept run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reddit.config import is_read, load_config, readers, resolve_config, settings_for
from reddit.config.methods import READ_PERCEPTUAL, DistillConfig
from reddit.config.readers import METHODS
from reddit.methods import DISTILLATIONS, Distillation
from reddit.training.run_folder import changed_settings
from reddit.utils.errors import UserError


def mistakes(*overrides: str, stage: bool) -> list[str]:
    with pytest.raises(UserError) as error:
        resolve_config({}, overrides, stage=stage, source="test")
    return str(error.value).splitlines()


def test_the_methods_with_a_section_are_the_methods() -> None:
    assert set(METHODS) == set(DISTILLATIONS)


@pytest.mark.parametrize("name", DISTILLATIONS)
def test_methods_that_can_need_a_perceptual_distance_read_its_settings(name: str) -> None:
    asks = DISTILLATIONS[name].needs_perceptual.__func__ is not Distillation.needs_perceptual.__func__
    assert asks == (name in READ_PERCEPTUAL)


@pytest.mark.parametrize(
    ("key", "methods"),
    [
        ("distill.reddit.omega", ("reddit",)),
        ("distill.consistency", ("consistency",)),
        ("teacher.loss", ("teacher",)),
        ("perceptual.backbone", READ_PERCEPTUAL),
        ("distill.method", None),
        ("distill.train.lr", None),
        ("distill.whole-sample.x", None),
        ("train.lr", None),
        ("seed", None),
    ],
)
def test_readers_of_keys(key: str, methods: tuple[str, ...] | None) -> None:
    assert readers(key) == methods


def test_settings_of_a_method_that_is_not_known_here() -> None:
    assert is_read("perceptual.backbone", ["whole-sample"])
    assert not is_read("distill.reddit.omega", ["whole-sample"])
    assert not is_read("perceptual.backbone", ["reflow"])


def test_overrides_for_several_methods_are_separated() -> None:
    everything = [
        "distill.reddit.omega=1",
        "distill.consistency.target_ema=0",
        "teacher.loss=l1",
        "perceptual.backbone=alex",
        "distill.method=reddit",
        "seed=3",
    ]
    assert settings_for(everything) == everything[4:]
    assert settings_for(everything, "consistency") == everything[1:2] + everything[3:]
    assert settings_for(everything, "reddit", "teacher") == everything[:1] + everything[2:]
    assert settings_for(everything, "reflow") == everything[4:]


@pytest.mark.parametrize("stage", [False, True])
@pytest.mark.parametrize(
    "override", ["distill.reddit.omega=1", "distill.reddit={omega: 1}", "distill={reddit: {omega: 1}}"]
)
def test_a_setting_of_another_method(override: str, stage: bool) -> None:
    assert mistakes(override, "distill.method=progressive", stage=stage) == [
        "--set: distill.reddit.omega: only distill.method=reddit reads it, and the method is progressive"
    ]


def test_a_setting_of_the_teacher_in_a_distillation() -> None:
    assert mistakes("teacher.loss=l1", stage=True) == [
        "--set: teacher.loss: only the training of a teacher reads it, and this is a distillation"
    ]
    assert resolve_config({}, ["teacher.loss=l1"], source="test").teacher.loss == "l1"


def test_a_perceptual_network_for_a_method_without_such_a_loss() -> None:
    overrides = ("perceptual.backbone=alex", "distill.method=reflow")
    (line,) = mistakes(*overrides, stage=True)
    assert line == (
        "--set: perceptual.backbone: only distill.method=reddit or consistency or regression or ctm reads "
        "it, and the method is reflow"
    )
    assert resolve_config({}, overrides, source="test").perceptual.backbone == "alex"  # a teacher may need it


def test_a_file_may_hold_the_settings_of_all_methods(tmp_path: Path) -> None:
    tree = {
        "distill": {"reddit": {"omega": 0.3}, "consistency": {"target_ema": 0.5}},
        "teacher": {"loss": "l1"},
    }
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(tree | {"perceptual": {"backbone": "alex"}}))
    for method in METHODS:
        config = load_config(path, [f"distill.method={method}"], stage=True)
        assert config.distill.settings(method) == getattr(config.distill, method)


def test_an_unknown_setting_of_a_method_without_settings() -> None:
    (line,) = mistakes("distill.reflow.x=1", stage=True)
    assert line == "--set: distill.reflow.x: unknown key; distill.reflow has no settings"


def test_a_method_whose_section_is_no_section() -> None:
    (line,) = mistakes("distill.reddit=5", stage=True)
    assert line == "--set: distill.reddit: should be a section of settings, not 5"


def test_null_in_a_stage_is_as_in_train() -> None:
    config = resolve_config({}, ["distill.train.iterations=null", "train.iterations=7"], source="test")
    again = resolve_config(config.model_dump(), stage=True, source="test")
    assert again.train.iterations == 7
    assert again.train.batch_size == 16  # a stage's own default
    again = resolve_config({}, ["distill.train.iterations=null"], stage=True, source="test")
    assert again.train.iterations == 1_000_000


def test_what_a_run_does_not_read_makes_no_difference_to_its_folder(tmp_path: Path) -> None:
    plain = resolve_config({}, ["distill.method=progressive"], source="test")
    (tmp_path / "config.yaml").write_text(plain.to_yaml())
    other = plain.model_dump()
    other["distill"]["reddit"]["omega"] = 0.7
    other["teacher"]["loss"] = "l1"
    other["distill"]["progressive"]["lambda_rule"] = "constant"
    config = resolve_config(other, source="test")
    assert DistillConfig().reddit.omega != 0.7
    assert changed_settings(tmp_path, config, student=True) == ["distill.progressive.lambda_rule"]
    assert changed_settings(tmp_path, config) == ["distill.progressive.lambda_rule", "teacher.loss"]
