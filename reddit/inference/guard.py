"""Pictures that are not dark are enhanced less, or not at all, with a warning."""

from __future__ import annotations

import numpy as np

from reddit.image.luminance import DARK, fade, mean_luminance
from reddit.image.pixels import rgb_of, white
from reddit.inference.warn import warn


def guarded(picture: np.ndarray, name: str) -> float:
    """The share of the strength for a picture; warns if it is below 1."""
    alpha = picture[..., -1] if picture.ndim == 3 and picture.shape[2] in (2, 4) else None
    mean = mean_luminance(rgb_of(picture), None if alpha is None else alpha > 0) / white(picture)
    share = fade(mean)
    if share < 1:
        dark = f"mean luminance {mean:.2f}, dark is up to {DARK:.2f}"
        done = f"enhanced at {share:.0%} of the strength" if share else "left unchanged"
        force = "--force (guard=False) enhances it fully"
        warn(f"{name} is not dark ({dark}): {done}; {force}")
    return share
