from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # `known`

from repository import call
from tiny_set import TINY, write


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On networks as small as these, threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny data set, its `tiny.yaml`, and a teacher of four steps in `runs/tiny`."""
    folder = tmp_path_factory.mktemp("taught")
    write(folder, TINY, train=5, test=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("REDDIT_DATA", raising=False)
        call("train", "-c", "tiny.yaml", "--quiet")
    return folder


@pytest.fixture
def inside(taught: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In that folder."""
    monkeypatch.chdir(taught)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    return taught
