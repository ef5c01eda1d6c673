from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # `tiny_runs`, which other processes of these tests import too


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On networks as small as these, threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Forks(NamedTuple):
    folder: Path
    results: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Forks:
    """What forks.py found: runs that were killed, stopped and robbed of their disk."""
    folder = tmp_path_factory.mktemp("forks")
    subprocess.run([sys.executable, str(HERE / "forks.py"), str(folder)], check=True)
    return Forks(folder, json.loads((folder / "results.json").read_text()))
