"""The seeds of the sampling noise."""

from __future__ import annotations


def picture_seed(seed: int, fingerprint: str) -> int:
    """The noise seed of a picture; depends on `seed` and the pixels, not on the place in a batch."""
    return (int(fingerprint, 16) ^ (seed * 0x9E3779B97F4A7C15)) % 2**63


def view_seed(seed: int, view: int) -> int:
    """The noise seed of one view of an ensemble; the first view has the picture's seed."""
    return (seed + view * 0xD1B54A32D192ED03) % 2**63
