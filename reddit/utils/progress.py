"""Progress bars with one look: shown after a second, removed when done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Log = Callable[[str], object]
"""Receives lines of text, as `print` does."""


def progress(
    items: Iterable[T], description: str, unit: str, *, total: int | None = None, quiet: bool = False
) -> Iterable[T]:
    """Yield the items while showing progress and speed; `quiet` hides the bar."""
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
