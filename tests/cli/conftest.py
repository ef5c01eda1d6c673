from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from repository import call
from tiny_set import TINY, write

SIXTEEN = TINY | {
    "device": "auto",
    "data": {"dataset": "lolv1", "crop": 32, "validation": 0.3},
    "diffusion": {"zero_terminal_snr": True},
    "train": {"iterations": 4, "batch_size": 2, "validate_every": 2, "checkpoint_every": 2, "log_every": 1},
    "distill": {"reddit": {"w_per": 0.0}, "train": {"iterations": 3, "batch_size": 2}},
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a tiny LOL-v1 and a configuration, and a trained and distilled family."""
    where = tmp_path_factory.mktemp("work")
    write(where, SIXTEEN, train=6, test=2, coarse=(6, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        patch.delenv("REDDIT_DATA", raising=False)
        call("train", "-c", "tiny.yaml", "--quiet")
        call("distill", "--steps", "8", "--quiet")
        call("distill", "-c", "tiny.yaml", "--chain", "--quiet")
    return where


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `trained` for the tests of one file, which write there."""
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("copy") / "work"))


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    return folder
