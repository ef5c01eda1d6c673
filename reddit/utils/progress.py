"""Progress bars, all alike: shown after a second, gone when done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Log = Callable[[str], object]
"""Receives lines of text; `print`, for one."""


def progress(
    items: Iterable[T], description: str, unit: str, *, total: int | None = None, quiet: bool = False
) -> Iterable[T]:
    """Pass items on, showing how far along and how fast."""
    return tqdm(
        items,
        desc=description,
        unit=unit,
        total=total,
        disable=quiet,
        leave=False,
        delay=1,
        mininterval=0.5,
    )
