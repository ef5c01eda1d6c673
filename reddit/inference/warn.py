"""Warnings about a picture, which name the line of the user's program that enhanced it."""

from __future__ import annotations

import sys
import warnings

PACKAGE = __name__.partition(".")[0]


class EnhanceWarning(UserWarning):
    """A picture was enhanced less or not at all, or its tiles may differ; one line with the reason."""


def warn(line: str | Warning) -> None:
    """Warn, or repeat a warning, at the nearest line outside this package, whatever calls lie between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(line, EnhanceWarning, level)
