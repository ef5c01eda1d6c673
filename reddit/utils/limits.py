"""Limits with a default, which an environment variable raises."""

from __future__ import annotations

import math
import os

from reddit.utils.errors import UserError
from reddit.utils.text import short


def limit_of(variable: str, default: float, what: str) -> float:
    """The limit in an environment variable, or its default.

    Args:
        what: the unit, for the message: `megapixels`.

    Raises:
        UserError: the variable is not a number from 0 to a million.
    """
    text = os.environ.get(variable, "")
    try:
        limit = float(text) if text else default
    except ValueError:
        limit = math.nan
    if not 0 < limit <= 1e6:
        raise UserError(f"{variable}={short(text)}: not a number of {what}")
    return limit
