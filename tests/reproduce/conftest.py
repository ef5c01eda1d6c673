from __future__ import annotations

from pathlib import Path

import pytest
from repository import call
from tiny_set import TINY, write

SMALL = TINY | {
    "train": {"iterations": 2, "batch_size": 2, "validate_every": 2, "validation_pictures": 1},
    "distill": {"reddit": {"w_per": 0.0}, "train": {"iterations": 2, "batch_size": 2, "validate_every": 2}},
}


def reproduce(*arguments: str) -> None:
    """Call `reddit-llie reproduce`, for PSNR and SSIM alone."""
    call("reproduce", *arguments, "--quiet", "--metrics", "psnr")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a tiny LOL-v1, whose six test pictures are six scenes, and a configuration."""
    where = tmp_path_factory.mktemp("reproduce")
    write(where, SMALL, train=4, test=6, coarse=(3, 4))
    return where


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    return folder
