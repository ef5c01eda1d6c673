from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "training")]  # `drawing`, `tiny_runs`

MOST_MEMORY = 3 * 2**20
"""Kibibytes of this process at its peak."""


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """No input takes more than 3 GiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after <= max(before, MOST_MEMORY), f"{after / 2**20:.1f} GiB"
