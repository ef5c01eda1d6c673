"""Progress bars with one look: shown after a second, removed when done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sized
from typing import TypeVar

from reddit.utils.text import printable

T = TypeVar("T")
Log = Callable[[str], object]
"""Receives lines of text, as `print` does."""


def print_out(text: str) -> None:
    """Print text on the standard output, with control characters escaped."""
    print(printable(text))


def print_err(text: str) -> None:
    """As `print_out`, on stderr."""
    print(printable(text), file=sys.stderr)


def progress(
    items: Iterable[T], description: str, unit: str, *, total: int | None = None, quiet: bool = False
) -> Iterable[T]:
    """Yield the items while showing progress and speed; `quiet` hides the bar, and one item has none."""
    count = len(items) if isinstance(items, Sized) else total
    if quiet or (count is not None and count <= 1):
        return items
    from tqdm import tqdm  # whose import takes a tenth of a short command

    return tqdm(
        items,
        desc=description,
        unit=unit,
        total=total,
        leave=False,
        delay=1,
        mininterval=0.5,
    )
