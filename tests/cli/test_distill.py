"""`reddit-llie distill`: stages, their teachers, chains."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import call

from reddit.checkpoint.format import read_info
from reddit.checkpoint.registry import find_model
from reddit.config import load_config
from reddit.evaluation.family import family_models
from reddit.utils.errors import UserError


def test_distil_finds_the_teacher_and_prints_it(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("distill", "--steps", "4", "--quiet", "--name", "again")
    said = capsys.readouterr().out
    assert "runs/tiny-8/checkpoints/best.safetensors" in said and "8 steps" in said
    assert read_info("runs/again/checkpoints/last.safetensors").steps == 4


def test_a_variant_under_another_name_does_not_stand_for_its_family(inside: Path) -> None:
    call("distill", "--steps", "4", "--teacher", "tiny-8", "--name", "variant", "--quiet")
    models = family_models(load_config("tiny.yaml"), "tiny")
    runs = [model.path.parent.parent.name for model in models]
    assert runs == ["tiny", "tiny-8", "tiny-4", "tiny-2", "tiny-1"]
    found = find_model(Path("runs"), 4)
    assert found is not None and found.path.parent.parent.name == "tiny-4"


def test_distil_without_a_teacher_names_the_remedy(inside: Path) -> None:
    with pytest.raises(UserError, match=r"no 64-step model.*halving 16 steps reaches 8, 4, 2, 1"):
        call("distill", "--steps", "32")
    with pytest.raises(UserError, match=r"no 8-step model.*--chain"):
        call("distill", "--steps", "4", "--set", "runs=none")


def test_a_student_of_another_teacher_is_not_resumed(inside: Path) -> None:
    call("train", "-c", "tiny.yaml", "--name", "other-teacher", "--quiet")
    with pytest.raises(UserError, match="student of another teacher"):
        call("distill", "--steps", "8", "--name", "tiny-8", "--teacher", "other-teacher", "--quiet")


def test_a_teacher_of_the_wrong_steps_is_refused(inside: Path) -> None:
    with pytest.raises(UserError, match="model of 8 steps: it can teach 4, not 2"):
        call("distill", "--steps", "2", "--teacher", "tiny-8")


def test_another_network_than_the_teachers_is_refused(inside: Path) -> None:
    with pytest.raises(UserError, match="model: the configuration differs"):
        call("distill", "--steps", "8", "-c", "tiny.yaml", "--set", "model.width=16", "--name", "other")
    assert not (inside / "runs" / "other").exists()


def test_a_chain_continues_from_stages_without_a_state(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = ["distill", "-c", "tiny.yaml", "--chain", "--name", "lost", "--quiet"]
    call(*chain, "--steps", "4")
    kept = [inside / f"runs/lost-{steps}/checkpoints/best.safetensors" for steps in (8, 4)]
    before = [path.read_bytes() for path in kept]
    for path in kept:
        path.with_name("state.pt").unlink()
    capsys.readouterr()
    call(*chain, "--steps", "2")
    assert capsys.readouterr().out.count("already finished, at iteration 3; its weights are kept") == 2
    assert [path.read_bytes() for path in kept] == before
    assert read_info("runs/lost-2/checkpoints/best.safetensors").steps == 2
    with pytest.raises(UserError, match="would be replaced"):  # longer than it was trained
        call(*chain, "--steps", "4", "--set", "train.iterations=5")


def test_a_student_of_an_ablations_student_belongs_to_it(inside: Path) -> None:
    call("distill", "-c", "tiny.yaml", "--steps", "8", "--ablation", "no-pixel", "--quiet")
    call("distill", "--teacher", "tiny-no-pixel-8", "--steps", "4", "--quiet")
    assert read_info("runs/tiny-no-pixel-4/checkpoints/best.safetensors").config.ablation == "no-pixel"
    model = find_model(Path("runs"), 4, "tiny")
    assert model is not None and model.config.ablation is None
    words = ["--teacher", "tiny-no-pixel-8", "--steps", "4", "--ablation", "no-ratr", "--quiet"]
    with pytest.raises(UserError, match="belongs to the ablation no-pixel"):
        call("distill", *words)
