"""Restored pictures are never written among those of a data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import call
from tiny_set import TINY, write

from reddit.data import TestPicture
from reddit.evaluation.saving import check_save
from reddit.utils.errors import UserError

FOLDERS = (
    "LOLv1/eval15/high",
    "LOLv1/eval15/low",
    "LOLv1/our485/high",
    "LOLv1/our485/low/inside",
    "LOLv1/eval15/../our485/high",
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    write(tmp_path, TINY, train=2, test=2)
    return tmp_path / "data"


@pytest.mark.parametrize("folder", FOLDERS)
def test_saving_into_a_data_set_is_refused(folder: str, data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    low = str(data / "LOLv1/eval15/low")
    for source in (["--weights", "light"], ["--predictions", low]):
        with pytest.raises(UserError, match=r"^--save \S+: would write into .*choose another"):
            call("evaluate", "--dataset", "lolv1", *source, "--save", str(data / folder), "--quiet")
    assert {path: path.read_bytes() for path in data.rglob("*.png")} == before


def test_saving_over_predictions_is_refused(data: Path, tmp_path: Path) -> None:
    (data / "LOLv1/eval15/low").rename(tmp_path / "mine")
    (data / "LOLv1/eval15/low").symlink_to(tmp_path / "mine")
    for save in ("mine", "data/LOLv1/eval15/low"):
        with pytest.raises(UserError, match="would write into"):
            call("evaluate", "--dataset", "lolv1", "--predictions", "mine", "--save", save, "--quiet")


def test_saving_beside_a_data_set(data: Path, tmp_path: Path) -> None:
    low = str(data / "LOLv1/eval15/low")
    scores = ["--metrics", "psnr", "--quiet"]
    for save in (data / "LOLv1/eval15/restored", tmp_path / "out"):
        call("evaluate", "--dataset", "lolv1", "--predictions", low, "--save", str(save), *scores)
        assert sorted(path.name for path in save.iterdir()) == ["eval15-0.png", "eval15-1.png"]


def test_names_with_folders(tmp_path: Path) -> None:
    """Frames of videos are written in the folders of their names."""
    frame = TestPicture("pair1/0001", tmp_path / "input/pair1/0001.npy", tmp_path / "GT/pair1/0001.npy")
    for save in ("input", "GT"):
        with pytest.raises(UserError, match=rf"would write into .*{save}/pair1"):
            check_save(tmp_path / save, [frame])
    check_save(tmp_path / "out", [frame])
