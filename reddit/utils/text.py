"""Formatting numbers and values for messages."""

from __future__ import annotations

import reprlib
from typing import Any

LONGEST_SHOWN = 80
"""Most characters of a value in a message."""

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxlong = 3, LONGEST_SHOWN, LONGEST_SHOWN


def counted(number: int, what: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def short(text: str) -> str:
    """The text shortened to one line, with control characters escaped."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"


def printable(text: str) -> str:
    """The text with control characters escaped, except line breaks; file names may contain them."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def reason(error: BaseException) -> str:
    """The first line of another library's error message, formatted as by `short`."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return short(lines[0]) if lines else type(error).__name__


def shown(value: Any) -> str:
    """A value of any kind, formatted as by `short`."""
    try:
        return short(_REPR.repr(value))
    except ValueError:  # an integer of thousands of digits
        return f"a very long {type(value).__name__}"
