"""Memory of the processor that a process keeps for its next picture or training step."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names of settings in `malloc.h`."""


def keep_freed_memory() -> bool:
    """Let glibc's `malloc` keep what is freed instead of returning it; returns whether it does.

    Otherwise large tensors go back to the system as they are freed, and their pages are cleared and mapped
    anew for the next. The setting is of the whole process, so commands make it, never the library. Other
    systems are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
