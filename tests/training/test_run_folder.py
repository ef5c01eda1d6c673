"""What is read from a run folder before training: which run it holds, and from where it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tiny_runs import Run, settings

from reddit.checkpoint.format import load_state, read_info
from reddit.config import Config, TeacherConfig, resolve_config
from reddit.training.logging import read_log
from reddit.training.run_folder import (
    changed_settings,
    check_kind,
    known_teacher,
    open_run,
    remember_teacher,
)
from reddit.training.state import Progress, read_progress
from reddit.utils.errors import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("runs") / "tiny", settings=settings(iterations=2))
    run.go()
    return run


def test_a_teacher_is_remembered(run: Run, tmp_path: Path) -> None:
    first, other = (read_info(run.checkpoints / name) for name in ("best.safetensors", "last.safetensors"))
    other.__dict__["digest"] = "another"
    assert known_teacher(tmp_path) is None
    remember_teacher(tmp_path, other)  # nothing was distilled here yet
    remember_teacher(tmp_path, first)
    assert known_teacher(tmp_path) == first.digest
    (tmp_path / "checkpoints").mkdir()
    remember_teacher(tmp_path, first)
    with pytest.raises(UserError, match=rf"another teacher \({first.digest}; now .*another\)"):
        remember_teacher(tmp_path, other)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "3", "[" * 9999, "\udcff"])
def test_a_damaged_record_of_the_teacher(text: str, tmp_path: Path) -> None:
    (tmp_path / "teacher.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"^\S+teacher\.json is damaged.*remove it if"):
        known_teacher(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "\udcff", "x: !!float y", "[" * 9999])
def test_damaged_settings_count_as_changed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert changed_settings(tmp_path, Config()) == [str(path)]


def test_a_setting_that_the_folder_does_not_name_had_its_default(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("teacher: {loss: l1}\n")
    config = Config(teacher=TeacherConfig(loss="l1", w_ssim=0.5))
    assert changed_settings(tmp_path, config) == ["teacher.w_ssim"]


def test_damaged_lines_of_a_log_are_left_out(tmp_path: Path) -> None:
    good = '{"iteration": 1, "kind": "train", "loss": 0.5}'
    bad = ["3", "[1]", "{", "null", '{"kind": "train"}', '{"iteration": "1", "kind": "train"}', "[" * 9999]
    bad += ['{"iteration": 1, "kind": 2}', '{"iteration": 1, "kind": "train", "loss": "x"}']
    (tmp_path / "log.jsonl").write_text("\n".join([*bad, good]))
    assert read_log(tmp_path) == [{"iteration": 1, "kind": "train", "loss": 0.5}]


@pytest.mark.parametrize("part", ["denoiser", "average"])
def test_a_state_with_weights_that_are_no_numbers(part: str, run: Run, tmp_path: Path) -> None:
    state = load_state(run.state)
    next(iter(state[part].values())).view(-1)[0] = float("nan")
    torch.save(state, tmp_path / "nan.pt")
    with pytest.raises(UserError, match="does not match this configuration"):
        Run(tmp_path / "run").go(resume=tmp_path / "nan.pt")


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_a_state_whose_moments_have_another_shape(name: str, run: Run, tmp_path: Path) -> None:
    state = load_state(run.state)
    state["optimizer"]["state"][0][name] = torch.zeros(3, 1, 0)
    torch.save(state, tmp_path / "odd.pt")
    with pytest.raises(UserError, match="does not match this configuration"):
        Run(tmp_path / "run").go(resume=tmp_path / "odd.pt")


def test_progress_of_an_older_version() -> None:
    progress = Progress()
    progress.update({"iteration": 7, "best": 20.5, "scores": {"psnr": 20.5}})
    assert progress == Progress(iteration=7, best=20.5, scores={"psnr": 20.5})


@pytest.mark.parametrize("wrong", [{"iteration": -1}, {"iteration": "7"}, {"iteration": 1.5}, {"best": None},
                                   {"scores": {"psnr": "x"}}])  # fmt: skip
def test_progress_that_is_none(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be"):
        Progress().update(wrong)
    torch.save({"progress": wrong}, tmp_path / "state.pt")
    with pytest.raises(UserError, match="is not a training state"):
        read_progress(tmp_path / "state.pt")


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "log.jsonl", "data.json", "teacher.json", "origin.json", "checkpoints/00000002.pt"],
)
def test_a_folder_of_others_is_no_run_folder(name: str, run: Run, tmp_path: Path) -> None:
    """Nor does it become one by a folder of checkpoints, as many programs have."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine: 1\n")
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(UserError, match=rf"is no run folder, but holds {name}, which would be replaced"):
        check_kind(tmp_path, "teacher", 4, student=False)
    shutil.copy(run.checkpoints / "last.safetensors", tmp_path / "checkpoints")
    check_kind(tmp_path, "teacher", 4, student=False)


def test_the_settings_of_an_older_run_make_its_folder_known(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(Config().to_yaml())
    (tmp_path / "log.jsonl").touch()
    check_kind(tmp_path, "teacher", 4, student=False)


def test_a_finished_run_keeps_the_settings_that_it_was_trained_with(run: Run) -> None:
    config = resolve_config({"train": {"iterations": 2}}, source="test")
    changed = resolve_config({"train": {"iterations": 2}, "seed": 5}, source="test")
    path = run.folder / "config.yaml"
    path.write_text(config.to_yaml())
    open_run(run.folder, changed)
    assert path.read_text() == config.to_yaml()
    longer = resolve_config({"train": {"iterations": 4}, "seed": 5}, source="test")
    open_run(run.folder, longer)
    assert path.read_text() == longer.to_yaml()
