"""Numbers and values in sentences."""

from __future__ import annotations

import reprlib
from typing import Any

LONGEST_SHOWN = 80
"""Characters of a value that a message shows."""

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxlong = 3, LONGEST_SHOWN, LONGEST_SHOWN


def counted(number: int, what: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def short(text: str) -> str:
    """One line that fits on a screen and that a terminal only shows, whatever a file holds."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"


def shown(value: Any) -> str:
    """A value of any kind and size, as `short`."""
    try:
        return short(_REPR.repr(value))
    except ValueError:  # an integer of thousands of digits
        return f"a very long {type(value).__name__}"
