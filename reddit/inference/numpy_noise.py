"""PyTorch's normal noise without PyTorch."""

from __future__ import annotations

import numpy as np

BLOCK = 16
"""Numbers that are drawn together: half of them give radii, the others angles (Box and Muller 1958)."""


def torch_randn(seed: int, count: int) -> np.ndarray:
    """`torch.randn(count)` of a generator with this seed on a processor, but for rounding; float32.

    Below 16 numbers PyTorch draws in another way; they are other ones here.
    """
    if count < BLOCK:
        return torch_randn(seed, BLOCK)[:count]
    bits = np.random.MT19937()
    bits._legacy_seeding(seed % 2**32)  # type: ignore[attr-defined]
    uniform = _uniform(bits, count)
    rest = count % BLOCK
    noise = np.empty(count, np.float32)
    noise[: count - rest] = _normal(uniform[: count - rest])
    if rest:  # the last 16 are drawn anew
        noise[-BLOCK:] = _normal(_uniform(bits, BLOCK))
    return noise


def _uniform(bits: np.random.MT19937, count: int) -> np.ndarray:
    return (bits.random_raw(count) & 0xFFFFFF).astype(np.float32) / np.float32(2**24)


def _normal(uniform: np.ndarray) -> np.ndarray:
    first, second = np.moveaxis(uniform.reshape(-1, 2, BLOCK // 2), 1, 0)
    radius, angle = np.sqrt(-2 * np.log(1 - first)), np.float32(2 * np.pi) * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
