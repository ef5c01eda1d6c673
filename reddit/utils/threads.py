"""How the threads of a processor wait for each other."""

from __future__ import annotations

import os

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What decides it, for GNU's, LLVM's and Intel's threads."""


def let_threads_sleep() -> bool:
    """Let waiting threads sleep instead of spinning, unless the user decides; returns whether it does so.

    A spinning thread takes the core from the one it waits for if another program is running. Call this before
    PyTorch is imported; later it has no effect.
    """
    if any(name in os.environ for name in SETTINGS):
        return False
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return True
