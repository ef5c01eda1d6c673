"""Freed memory that is kept: pages are not mapped anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from reddit.utils.memory import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no such setting")
def work():
    return np.ones(2_000_000).sum() + np.ones(6_000_000).sum()  # 16 and 48 MB
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, way], capture_output=True, text=True)
    if "no such setting" in done.stderr:
        pytest.skip("another C library than glibc")
    return int(done.stdout)


def test_large_arrays_are_given_the_same_pages_again() -> None:
    assert faults("keep") < 100 < faults("leave")
