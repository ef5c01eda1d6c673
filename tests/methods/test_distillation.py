"""What every distillation must do, whatever its equations."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from known import ZERO_SNR, part, pictures, tiny_denoiser
from repository import call
from safetensors.torch import load_file
from tiny_set import TINY, write

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import load_denoiser, read_info
from reddit.config import Config, DataConfig, DistillConfig, ModelConfig, ReDDiTConfig, TrainConfig
from reddit.data import Pair, TrainingCrops
from reddit.diffusion import SecondInput
from reddit.image.read import read_uint8
from reddit.inference.sampling import restore
from reddit.methods import DISTILLATIONS, Distillation, StepRNG, distillation_named
from reddit.training import data as training_data
from reddit.training.build import start_as
from reddit.training.state import TrainingState
from reddit.training.step import train_step
from reddit.utils.errors import UserError

METHODS = pytest.mark.parametrize("name", DISTILLATIONS)
OTHER_METHODS = {"progressive": 2, "consistency": 1, "reflow": 3, "regression": 1, "ctm": 1, "shortcut": 1}
"""Of a teacher of four steps, the steps of a student."""


SETTINGS = DistillConfig(reddit=ReDDiTConfig(w_per=0.0))


def method(name: str) -> Distillation:
    kind = DISTILLATIONS[name]
    student = tiny_denoiser(1, second_input=kind.second_input)
    return kind(student, tiny_denoiser(2), 2, SETTINGS.settings(name), teacher_steps=4)


@METHODS
def test_a_method_has_its_name(name: str) -> None:
    assert DISTILLATIONS[name].name == name
    assert distillation_named(name) is DISTILLATIONS[name]


def test_a_student_records_its_teachers_pictures(inside: Path, tmp_path: Path) -> None:
    write(tmp_path, TINY, train=3, test=1, coarse=(3, 4))
    settings = [f"data.root={tmp_path / 'data'}", f"runs={tmp_path / 'runs'}"]
    words = ["-c", "tiny.yaml", "--steps", "2", "--teacher", "runs/tiny", "--quiet"]
    call("distill", *words, "--set", *settings)
    teacher, student = (
        read_info(run / "checkpoints/best.safetensors").training_pictures
        for run in (Path("runs/tiny"), tmp_path / "runs/tiny-2")
    )
    assert teacher < student and len(student) == len(teacher) + 2 * 3


def test_stages_draw_other_crops_and_seeds_share_the_split(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits, seeds = set(), set()
    real, real_split = training_data.TrainingCrops, training_data.split_validation

    def crops(pairs: list[Pair], config: DataConfig, seed: int, *rest: Any) -> TrainingCrops:
        seeds.add(seed)
        return real(pairs, config, seed, *rest)

    def split(*arguments: Any) -> tuple[list[Pair], list[Pair]]:
        train, held = real_split(*arguments)
        splits.add(tuple(sorted(pair.name for pair in train)))
        return train, held

    monkeypatch.setattr(training_data, "TrainingCrops", crops)
    monkeypatch.setattr(training_data, "split_validation", split)
    for seed in (0, 1, 2):
        words = ["-c", "tiny.yaml", "--chain", "--teacher", "runs/tiny", "--quiet"]
        call("distill", *words, "--set", f"runs={tmp_path}/{seed}", f"seed={seed}")
    assert len(splits) == 1 and len(seeds) == 3 * 2


@METHODS
def test_micro_batches_have_the_same_loss(name: str) -> None:
    batch = pictures(4, dtype=torch.float32)
    whole = method(name).losses(batch, StepRNG(0, 7, range(4)))["loss"].item()
    parted = method(name)
    losses = [parted.losses(part(batch, i, i + 2), StepRNG(0, 7, range(i, i + 2)))["loss"] for i in (0, 2)]
    assert whole == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


@METHODS
def test_a_step_moves_the_student_and_leaves_the_teacher(name: str) -> None:
    found = method(name)
    student, teacher = (copy.deepcopy(d.network.state_dict()) for d in (found.denoiser, found.teacher))
    settings = TrainConfig(lr=1e-3)
    state = TrainingState(found.denoiser, settings, "fp32")
    for _ in range(2):  # the first moves a fresh network's last layer alone
        train_step(found, [pictures(2, dtype=torch.float32)], state, seed=0, batch_indices=range(2))
        state.progress.iteration += 1
    after = found.denoiser.network.state_dict()
    assert not [n for n in student if torch.equal(student[n], after[n])]
    assert all(torch.equal(teacher[n], value) for n, value in found.teacher.network.state_dict().items())
    assert not found.teacher.training


@METHODS
def test_a_stronger_gradient_would_lower_the_loss(name: str) -> None:
    # Its gradient points where it says: a small step along it lowers the same step's loss.
    found = method(name)
    batch = pictures(2, dtype=torch.float32)
    loss = found.losses(batch, StepRNG(0, 0, range(2)))["loss"]
    loss.backward()
    with torch.no_grad():
        for parameter in found.denoiser.network.parameters():
            if parameter.grad is not None:
                parameter -= 1e-4 * parameter.grad
    assert found.losses(batch, StepRNG(0, 0, range(2)))["loss"] < loss


@METHODS
def test_a_copy_of_a_frozen_teacher_trains(name: str) -> None:
    teacher = tiny_denoiser().requires_grad_(False)
    student = tiny_denoiser(second_input=DISTILLATIONS[name].second_input).requires_grad_(False)
    start_as(student, teacher)
    found = DISTILLATIONS[name](student, teacher, 2, SETTINGS.settings(name), teacher_steps=4)
    assert found.losses(pictures(2, dtype=torch.float32), StepRNG(0, 0, range(2)))["loss"].requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_an_unknown_method() -> None:
    with pytest.raises(
        UserError, match=r"distill.method: no method is named 'reflows'; did you mean reflow\?"
    ):
        distillation_named("reflows")
    with pytest.raises(UserError, match="known: consistency, ctm, progressive, reddit, reflow, regression"):
        distillation_named("adversarial")


@pytest.mark.parametrize(
    ("name", "teacher", "students"),
    [
        ("reddit", 16, [8]),
        ("progressive", 4, [2]),
        ("progressive", 3, []),
        ("consistency", 16, [8, 4, 2, 1]),
        ("consistency", 6, [3, 2, 1]),
        ("reflow", 4, [4, 3, 2, 1]),
        ("regression", 16, [1]),
        ("ctm", 6, [3, 2, 1]),
        ("shortcut", 16, [8, 4, 2, 1]),
        ("shortcut", 12, [6, 3]),
    ],
)
def test_the_students_of_a_teacher(name: str, teacher: int, students: list[int]) -> None:
    assert DISTILLATIONS[name].students(teacher) == students


# The whole way


@pytest.mark.parametrize("name", OTHER_METHODS)
def test_from_the_command_to_the_picture(inside: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    steps = OTHER_METHODS[name]
    call("distill", "-c", "tiny.yaml", "--steps", str(steps), "--set", f"distill.method={name}", "--quiet")
    assert "teacher: runs/tiny/checkpoints/best.safetensors (teacher, 4 steps" in capsys.readouterr().out
    run = inside / "runs" / f"tiny-{name}-{steps}"
    info = read_info(run / "checkpoints" / "best.safetensors")
    assert (info.method, info.steps, info.family) == (name, steps, "tiny")
    assert info.config.diffusion.sampler == ("consistency" if name == "consistency" else "ddim")
    teacher = load_file(inside / "runs/tiny/checkpoints/best.safetensors")
    student = load_file(run / "checkpoints" / "best.safetensors").keys()
    second = {"ctm": "end", "shortcut": "step"}.get(name, "none")
    assert info.config.model.second_input == second
    assert {key for key in student if not key.startswith("second.")} == teacher.keys()
    assert (student == teacher.keys()) == (second == "none")

    for n in (1, 2, 4) if DISTILLATIONS[name].every_steps else (steps,):
        words = ["--checkpoint", run.name, "--steps", str(n), "--metrics", "psnr", "--quiet"]
        call("evaluate", "--dataset", "lolv1", *words)
        assert f"steps {n}; sampler {info.config.diffusion.sampler}" in capsys.readouterr().out
    call("enhance", "-i", "data/LOLv1/eval15/low", "-o", name, "--checkpoint", run.name, "--quiet")
    for path in (inside / "data/LOLv1/eval15/low").iterdir():
        assert read_uint8(inside / name / path.name).shape == read_uint8(path).shape


def test_a_student_may_use_another_sampler(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--dataset", "lolv1", "--checkpoint", "tiny", "--metrics", "psnr", "--quiet"]
    for sampler in ("dpmpp", "unipc"):
        call(*arguments, "--sampler", sampler)
        assert f"sampler {sampler}" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--sampler: diffusion.sampler: should be 'ddim', .*not 'euler'"):
        call(*arguments, "--sampler", "euler")


@pytest.mark.parametrize("second_input", ["end", "step"])
@pytest.mark.parametrize("architecture", ["unet", "compact"])
def test_a_second_input_starts_without_effect(second_input: SecondInput, architecture: str) -> None:
    sizes = {"width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4, "prediction": "x0"}
    config = Config(model=ModelConfig(architecture=architecture, **sizes))  # type: ignore[arg-type]
    teacher, student = (
        build_denoiser(config.model_copy(update={"model": model}))
        for model in (config.model, config.model.model_copy(update={"second_input": second_input}))
    )
    for parameter in teacher.parameters():  # no zeros: every path is seen
        torch.nn.init.normal_(parameter, std=0.1)
    start_as(student, teacher)
    batch = pictures(2, dtype=torch.float32)
    t = torch.tensor([512.0, 128.0], dtype=torch.float64)
    for step in (0.0, 128.0, 512.0):
        for grad in (True, False):  # inference takes another way through the compact network
            with torch.inference_mode(not grad):
                found = student.condition(None, step)(batch["high"], t, batch["low"])
                assert torch.equal(found.x_0, teacher(batch["high"], t, batch["low"]).x_0)
    torch.nn.init.normal_(student.network.second.mlp[-1].weight)  # type: ignore[union-attr,index]
    far, near = (student.condition(None, step)(batch["high"], t, batch["low"]).x_0 for step in (128.0, 0.0))
    assert not torch.equal(far[0], near[0]) and not torch.equal(far[1], near[1])


def test_a_teacher_takes_no_second_input(inside: Path) -> None:
    with pytest.raises(UserError, match=r"model\.second_input: 'end', but a teacher takes none; leave"):
        call("train", "-c", "tiny.yaml", "--set", "model.second_input=end", "runs=apart", "--quiet")


def test_only_a_second_input_may_be_missing_in_the_teacher() -> None:
    with pytest.raises(ValueError, match="networks differ"):
        start_as(tiny_denoiser(), tiny_denoiser(second_input="end"))


def test_a_student_may_mask_x_t(inside: Path) -> None:
    call(
        "distill", "-c", "tiny.yaml", "--steps", "2", "--teacher", "runs/tiny", "--quiet",
        "--set", "runs=apart", "diffusion.mask_x_T=true",
    )  # fmt: skip
    student, info = load_denoiser(inside / "apart/tiny-2/checkpoints/last.safetensors")
    assert student.mask_x_T and info.config.diffusion.mask_x_T
    low = torch.rand(1, 3, 9, 7)
    assert torch.equal(restore(student, low, 1, [0]), restore(student, low, 1, [1]))


@pytest.mark.parametrize("name", ["consistency", "ctm", "shortcut"])
def test_a_resumed_run_is_the_same(inside: Path, name: str) -> None:
    def weights(run: str, *settings: str) -> dict[str, torch.Tensor]:
        call(
            "distill", "-c", "tiny.yaml", "--steps", "1", "--name", f"{run}-{name}", "--quiet",
            "--set", f"distill.method={name}", "train.decay_from=1", *settings,
        )  # fmt: skip
        return load_file(inside / "runs" / f"{run}-{name}" / "checkpoints" / "last.safetensors")

    whole = weights("whole", "train.iterations=4")
    weights("parts", "train.iterations=2")
    parts = weights("parts", "train.iterations=4")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_chain_of_progressive_students(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(
        "distill",
        "-c",
        "tiny.yaml",
        "--chain",
        "--set",
        "distill.method=progressive",
        "--name",
        "walk",
        "--quiet",
    )
    methods = [read_info(inside / f"runs/walk-{n}/checkpoints/best.safetensors").method for n in (2, 1)]
    assert methods == ["progressive", "progressive"]


def test_the_teachers_run_names_the_method_whose_settings_are_given(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a configuration, settings are checked against the method that is inherited."""
    inherited = ["runs=elsewhere", "distill.method=consistency", "train.iterations=1"]
    call("train", "-c", "tiny.yaml", "--quiet", "--set", *inherited)
    words = ["distill", "--steps", "2", "--teacher", "elsewhere/tiny", "-n", "--set"]
    call(*words, "distill.consistency.target_ema=0.5")
    assert "target_ema: 0.5" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"only distill\.method=reddit reads it, and the method is consist"):
        call(*words, "distill.reddit.omega=0.5")


def test_students_of_different_methods_do_not_teach_each_other(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("distill", "--steps", "2", "--set", "distill.method=progressive", "--quiet")
    call("distill", "--steps", "1", "--set", "distill.method=progressive", "--quiet")
    assert "runs/tiny-progressive-2/" in capsys.readouterr().out
    with pytest.raises(UserError, match="no 2-step model"):
        call("distill", "--steps", "1", "--set", "distill.method=reddit", "--quiet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--steps", "3", "--teacher", "tiny", "--set", "distill.method=consistency"],
            r"model of 4 steps: it can teach 2 or 1 by consistency, not 3; choose --steps 2 or another",
        ),
        (
            ["--steps", "9", "--teacher", "tiny", "--set", "distill.method=reflow"],
            r"it can teach 4, 3, 2 or 1 by reflow, not 9; choose --steps 4 or another --teacher",
        ),
        (
            ["--steps", "1", "--teacher", "tiny", "--set", "distill.method=progressive"],
            r"it can teach 2 by progressive, not 1",
        ),
        (["--chain", "-c", "tiny.yaml", "--set", "distill.method=consistency"], "--steps N without --chain"),
        (["--steps", "1", "--set", "distill.method=flow"], "did you mean reflow"),
        (
            ["--steps", "1", "--teacher", "tiny", "--set", "distill.method=ctm", "model.second_input=step"],
            "model.second_input: 'step', but students of ctm take 'end'; leave it out",
        ),
        (
            ["--steps", "1", "--teacher", "tiny", "--set", "distill.method=reflow", "model.second_input=end"],
            "model.second_input: 'end', but students of reflow take no second input",
        ),
    ],
)
def test_mistakes(inside: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call("distill", *arguments, "--quiet")


def test_the_schedule_is_the_one_the_networks_share() -> None:
    assert method("consistency").schedule is ZERO_SNR
