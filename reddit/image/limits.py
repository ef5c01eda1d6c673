"""The largest picture that is read: found from the header, before memory is allocated."""

from __future__ import annotations

from pathlib import Path

from reddit.utils.errors import UserError
from reddit.utils.limits import limit_of

MEGAPIXELS, LIMIT = 300.0, "REDDIT_MAX_MEGAPIXELS"
"""The largest picture that is read, in up to 3 GB, and the environment variable that raises it."""


def megapixels() -> float:
    """The limit.

    Raises:
        UserError: the environment variable is not a number.
    """
    return limit_of(LIMIT, MEGAPIXELS, "megapixels")


def check_size(path: Path, width: int, height: int, pixel: int = 3) -> None:
    """Check the size of a picture.

    Args:
        path: for the message.
        pixel: its bytes; one of more than four counts more.

    Raises:
        UserError: it is too large.
    """
    limit = megapixels() * min(1, 4 / pixel)
    if width * height > limit * 1e6:
        raise UserError(
            f"{path} is too large: {width}×{height} pixels, more than {limit:g} megapixels; shrink it, or "
            f"raise {LIMIT}"
        )
