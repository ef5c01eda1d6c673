"""`reddit-llie train`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from repository import call
from safetensors.torch import load_file

from reddit.checkpoint.format import read_info
from reddit.utils.errors import UserError


def test_the_files_of_run_folders(folder: Path) -> None:
    for name, steps, method in (("tiny", 16, "teacher"), ("tiny-8", 8, "reddit"), ("tiny-1", 1, "reddit")):
        run = folder / "runs" / name
        assert yaml.safe_load((run / "config.yaml").read_text())["name"] == "tiny"
        for weights in ("best", "last"):
            info = read_info(run / "checkpoints" / f"{weights}.safetensors")
            assert (info.steps, info.method, info.family) == (steps, method, "tiny")
            assert len(info.training_pictures) == 2 * 6  # lows and highs, those of validation too
        assert (run / "checkpoints" / "state.pt").exists()
        assert list((run / "tb").iterdir())
        assert {json.loads(line)["kind"] for line in (run / "log.jsonl").read_text().splitlines()} == {
            "train",
            "validation",
        }


def test_a_teacher_starts_from_weights(inside: Path) -> None:
    settings = ["teacher.init=tiny-8", "train.lr=1e-30", "train.iterations=1", "data.split_seed=1"]
    call("train", "-c", "tiny.yaml", "--name", "further", "--quiet", "--set", *settings)
    start, end = (load_file(f"runs/{run}/checkpoints/best.safetensors") for run in ("tiny-8", "further"))
    assert all(torch.equal(start[key], end[key]) for key in start)
    info = read_info("runs/further/checkpoints/best.safetensors")
    assert (info.steps, info.method, info.family) == (16, "teacher", "further")
    with pytest.raises(UserError, match=r"teacher\.init: .* holds another network"):
        call(
            "train", "-c", "tiny.yaml", "--name", "other", "--set", "teacher.init=tiny", "model.prediction=x0"
        )


def test_running_again_resumes(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "-c", "tiny.yaml", "--name", "resumed", "--quiet"]
    call(*command)
    call(*command, "--set", "train.iterations=6")
    said = capsys.readouterr().out
    assert "resuming from" in said and "train.iterations" in said
    assert read_info("runs/resumed/checkpoints/last.safetensors").iteration == 6
    with pytest.raises(UserError, match="already holds a run"):
        call(*command, "--resume", "none")


def test_weights_without_a_state_are_not_replaced(inside: Path) -> None:
    command = ["train", "-c", "tiny.yaml", "--name", "bare", "--quiet"]
    call(*command)
    checkpoints = inside / "runs/bare/checkpoints"
    (checkpoints / "state.pt").unlink()
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    with pytest.raises(UserError, match=r"^\S+best\.safetensors would be replaced: its run has no state\.pt"):
        call(*command)
    with pytest.raises(UserError, match=r"already holds a run: choose another --name, or move the folder"):
        call(*command, "--resume", "none")
    (checkpoints / "best.safetensors").rename(inside / "best")
    with pytest.raises(UserError, match=r"last\.safetensors would be replaced"):
        call(*command)
    (inside / "best").rename(checkpoints / "best.safetensors")
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


def test_dry_run_prints_the_resolved_configuration(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("train", "-c", "tiny.yaml", "-n", "--set", "train.lr=3e-4", "--name", "never")
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["train"]["lr"] == pytest.approx(3e-4) and resolved["data"]["crop"] == 32
    assert not (inside / "runs" / "never").exists()


def test_a_run_is_not_resumed_with_another_network(inside: Path) -> None:
    before = Path("runs/tiny/config.yaml").read_bytes()
    with pytest.raises(UserError, match=r"runs/tiny holds a run of another network \(model\.width changed"):
        call("train", "-c", "tiny.yaml", "--quiet", "--set", "model.width=16")
    assert Path("runs/tiny/config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["name=../escaped"], "is outside the folder of runs"),
        (["name=fresh", "data.root=nowhere"], "nowhere"),
        (["name=fresh", "precision=fp16", "device=cpu"], "fp16 needs a GPU"),
    ],
)
def test_runs_that_cannot_begin_leave_nothing(inside: Path, settings: list[str], message: str) -> None:
    before = sorted(Path("runs").iterdir())
    with pytest.raises(UserError, match=message):
        call("train", "-c", "tiny.yaml", "--quiet", "--set", *settings)
    assert sorted(Path("runs").iterdir()) == before and not Path("escaped").exists()
