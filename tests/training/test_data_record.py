"""What a run records of its pictures, and what a changed data set makes of a resumed run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from repository import call
from tiny_runs import write_lol

from reddit.checkpoint.format import read_info
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.training.data_record import DataRecord, check_validation, read_record, write_record
from reddit.utils.errors import UserError

RECORD = DataRecord(frozenset({"a", "b", "c", "d"}), ((("a", "b"),), ()), (("a", "b"),))


def test_there_and_back(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "[" * 9999, '{"training": 3, "kept_out": [], "validation": []}',
        '{"training": [], "kept_out": [], "validation": [["a"]]}',
        '{"training": [], "kept_out": [3], "validation": []}',
        '{"training": ["\\u001b[31m"], "kept_out": [], "validation": []}',
    ],
)  # fmt: skip
def test_a_damaged_record(text: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(UserError, match=r"data\.json is damaged, so the pictures that the run was validated"):
        read_record(tmp_path)


def test_what_has_been_seen_stays_seen() -> None:
    now = DataRecord(frozenset({"a", "e"}), (), ())
    assert now.with_training(RECORD).training == {"a", "b", "c", "d", "e"}
    assert now.with_training(None) == now
    assert RECORD.change_since(RECORD) is None and RECORD.change_since(None) is None
    assert "1 picture new, 3 gone" in (now.change_since(RECORD) or "")


def test_the_order_of_validation_counts(tmp_path: Path) -> None:
    two = DataRecord(frozenset(), (), (("a", "b"), ("c", "d")))
    check_validation(None, two, tmp_path)
    check_validation(two, two, tmp_path)
    with pytest.raises(UserError, match=r"\(0 pairs gone, 0 new\)"):
        check_validation(two, DataRecord(frozenset(), (), two.validation[::-1]), tmp_path)


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Training a run of two iterations."""
    path = write_lol(tmp_path)
    settings = ["train.iterations=2", "train.validate_every=1", "train.batch_size=2"]
    return ["train", "-c", str(path), "--quiet", "--set", *settings]


def change(folder: Path, name: str, value: int) -> None:
    for side in ("low", "high"):
        path = folder / "data/LOLv1/our485" / side / f"{name}.png"
        path.write_bytes(encode(np.full((32, 40, 3), value + (side == "high"), np.uint8)))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_resumed_run_says_what_changed(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(*command)
    folder = tmp_path / "runs/tiny"
    first = read_record(folder)
    assert first is not None and len(first.validation) == 2
    trained = sorted({path.stem for path in (tmp_path / "data").rglob("*.png")})
    gone = next(
        name
        for name in trained
        if read_info(folder / "checkpoints/best.safetensors").validation_pictures.isdisjoint(
            prints_of(tmp_path, name)
        )
    )
    seen = prints_of(tmp_path, gone)
    change(tmp_path, gone, 3)
    change(tmp_path, "new", 9)
    capsys.readouterr()
    call(*command, "train.iterations=4")
    said = capsys.readouterr().out
    assert "the training set has changed since this run began: 4 pictures new, 2 gone" in said
    second = read_record(folder)
    assert second is not None and second.validation == first.validation
    info = read_info(folder / "checkpoints/last.safetensors")
    assert info.iteration == 4 and info.training_pictures == second.training
    assert seen <= info.training_pictures  # its weights were trained on them
    assert info.validation_pictures == {one for both in first.validation for one in both}


def prints_of(folder: Path, name: str) -> frozenset[str]:
    from reddit.data import fingerprint

    sides = (folder / "data/LOLv1/our485" / side / f"{name}.png" for side in ("low", "high"))
    return frozenset(fingerprint(read_uint8(path)) for path in sides)


@pytest.mark.parametrize("damage", ["changed", "gone", "all gone"])
def test_a_run_that_lost_validation_pictures_is_refused(
    damage: str, command: list[str], tmp_path: Path
) -> None:
    call(*command)
    folder = tmp_path / "runs/tiny"
    held = read_info(folder / "checkpoints/best.safetensors").validation_pictures
    names = sorted({path.stem for path in (tmp_path / "data").rglob("*.png")})
    lost = [name for name in names if prints_of(tmp_path, name) <= held]
    for name in lost if damage == "all gone" else lost[:1]:
        if damage == "changed":
            change(tmp_path, name, 3)
        else:
            for path in (tmp_path / "data").rglob(f"{name}.png"):
                path.unlink()
    before = tree(folder)
    with pytest.raises(UserError, match=r"tiny was validated on other pictures \([12] pairs? gone, 0 new\)"):
        call(*command, "train.iterations=4")
    assert tree(folder) == before
    call(*command, "train.iterations=4", "--name", "again", "--resume", str(folder))
    assert tree(folder) == before
    info = read_info(tmp_path / "runs/again/checkpoints/last.safetensors")
    assert info.iteration == 4 and held <= info.training_pictures


def test_the_state_of_another_run_replaces_none(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(*command)
    call(*command, "seed=1", "--name", "other")
    runs = tmp_path / "runs"
    before = tree(runs)
    from_other = [*command, "train.iterations=4", "--resume", str(runs / "other")]
    with pytest.raises(UserError, match=r"choose another --name, or leave --resume out to continue it"):
        call(*from_other)
    (runs / "tiny/checkpoints/state.pt").rename(tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"choose another --name, or move the folder away"):
        call(*from_other)
    (tmp_path / "state.pt").rename(runs / "tiny/checkpoints/state.pt")
    assert tree(runs) == before


def test_a_run_from_another_ones_state_is_continued_by_the_same_command(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(*command)
    runs = tmp_path / "runs"
    kept = tree(runs)
    from_tiny = [*command, "train.iterations=4", "--name", "new", "--resume", str(runs / "tiny")]
    call(*from_tiny)
    shutil.copy(runs / "new/checkpoints/state.pt", tmp_path)
    capsys.readouterr()
    call(*from_tiny, "--set", "train.iterations=6")
    assert f"resuming from {runs / 'new/checkpoints/state.pt'}" in capsys.readouterr().out
    assert read_info(runs / "new/checkpoints/last.safetensors").iteration == 6
    assert {path: data for path, data in tree(runs).items() if path in kept} == kept
    call(*from_tiny, "--resume", str(tmp_path / "state.pt"), "--name", "third")
    with pytest.raises(UserError, match=r"new holds a run that the state .*third\S* of another one would"):
        call(*from_tiny, "--resume", str(runs / "third"))


def test_a_student_that_its_teacher_has_trained_for_is_warned_of(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(*command)
    student = ["distill", "--steps", "1", *command[1:]]
    call(*student)
    assert "WARNING" not in capsys.readouterr().out
    call(*student, "data.split_seed=1", "--name", "other")
    assert "tiny/checkpoints/best.safetensors was trained on" in capsys.readouterr().out
