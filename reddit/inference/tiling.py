"""Tiles of a picture: their positions, and the blending of their overlaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from reddit.utils.errors import UserError

Span = tuple[int, int]
"""The first row or column, and the one after the last."""
RestorePart = Callable[[Span, Span], np.ndarray]
"""(rows, columns) → that part of the result, (3, h, w), float32."""
RestoreRow = Callable[[Span, Sequence[Span]], Iterable[np.ndarray]]
"""The same for several tiles of one row: (rows, their columns) → their parts, in order."""


@dataclass(frozen=True)
class Tiling:
    """Tiles with sides of `size` pixels (slightly more at the far edges) that overlap by at least `overlap`.

    All are rounded up to a multiple of `multiple`, and every tile starts at one, so that a network that
    halves its input sees the same grid in a tile as in the whole picture.

    Args:
        width: width of the tiles, where `size` is only their height; 0: they are square.

    Raises:
        UserError: the overlap is below 0 or more than half a tile.
    """

    size: int
    overlap: int
    multiple: int = 1
    width: int = 0

    def __post_init__(self) -> None:
        asked = f"tiles of {self.size} pixels that overlap by {self.overlap}"
        negative = self.overlap < 0
        for name in ("size", "overlap", "width"):
            object.__setattr__(self, name, _rounded_up(getattr(self, name), self.multiple))
        if self.size < 1 or negative or self.overlap > min(self.size, self.width or self.size) // 2:
            raise UserError(
                f"{asked}: the overlap must be between 0 and half a tile; set --tile and --tile-overlap"
            )

    @property
    def across(self) -> Tiling:
        """The tiling along the rows of a picture; this one is that along its columns."""
        return replace(self, size=self.width or self.size, width=0)

    def spans(self, length: int) -> list[Span]:
        """The positions of tiles along an axis: evenly spaced, from 0 to `length`."""
        if length <= self.size:
            return [(0, length)]
        count = math.ceil((length - self.overlap) / (self.size - self.overlap))
        slack = length - self.size
        starts = [slack * k // (count - 1) // self.multiple * self.multiple for k in range(count)]
        return [*((start, start + self.size) for start in starts[:-1]), (starts[-1], length)]

    def weights(self, length: int) -> list[np.ndarray]:
        """The blending weights of each tile along an axis, (end - start,), float32 in [0, 1].

        They sum to 1 everywhere. Neighbours are blended in the middle half of their overlap. The outer
        quarters, close to the edge of a tile, get weight 0.
        """
        spans = self.spans(length)
        middles = [(start + end) / 2 for (_, end), (start, _) in pairwise(spans)]
        rises = [None, *middles]
        falls = [*middles, None]
        weights = []
        for (start, end), rise, fall in zip(spans, rises, falls, strict=True):
            place = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
            into = self._ramp(place, rise) if rise is not None else np.ones(end - start, np.float32)
            weights.append(into - self._ramp(place, fall) if fall is not None else into)
        return weights

    def _ramp(self, place: np.ndarray, middle: float) -> np.ndarray:
        width = np.float32(max(self.overlap / 2, 1e-3))  # without an overlap: a step between two pixels
        return np.clip((place - np.float32(middle)) / width + np.float32(0.5), 0, 1)


def fitted(height: int, width: int, overlap: int, multiple: int, pixels: int) -> Tiling:
    """The tiles of at most `pixels` that cover a picture with the fewest pixels computed twice.

    `pixels` must allow tiles of twice the overlap.
    """
    overlap = _rounded_up(overlap, multiple)

    def sides(length: int) -> list[tuple[int, int]]:
        """(number of tiles, their side), for each number that gives sides above a quarter of the mean."""
        most = 1 + int(4 * length / math.sqrt(pixels))
        shares = ((count, overlap + -(-(length - overlap) // count)) for count in range(1, most + 1))
        return [(count, max(_rounded_up(side, multiple), 2 * overlap)) for count, side in shares]

    grids = [
        (rows * columns * side * broad, side, broad)
        for rows, side in sides(height)
        for columns, broad in sides(width)
        if side * broad <= pixels
    ]
    _, side, broad = min(grids)
    return Tiling(side, overlap, multiple, width=broad)


def _rounded_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def one_by_one(restore: RestorePart) -> RestoreRow:
    """Tiles that are restored each on its own, when it is their turn."""
    return lambda rows, columns: (restore(rows, part) for part in columns)


def alike(spans: Sequence[Span], count: int) -> Iterator[Sequence[Span]]:
    """Neighbouring spans of equal length, up to `count` at a time."""
    first = 0
    while first < len(spans):
        lengths = [end - start for start, end in spans[first : first + count]]
        same = next((k for k, length in enumerate(lengths) if length != lengths[0]), len(lengths))
        yield spans[first : first + same]
        first += same


def blended_rows(
    height: int, width: int, tiling: Tiling, restore: RestoreRow
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the blended result from top to bottom as it is finished: (first row, rows (3, h, width)).

    `restore` is called once per row of tiles; only one is kept.
    """
    rows, columns = tiling.spans(height), tiling.across.spans(width)
    across = tiling.across.weights(width)
    down = tiling.weights(height)
    begins = [top + int(weight.nonzero()[0][0]) for (top, _), weight in zip(rows, down, strict=True)]
    ends = [*begins[1:], height]
    pending = np.empty((3, 0, width), np.float32)
    for (top, bottom), weight, begin, end in zip(rows, down, begins, ends, strict=True):
        band = np.zeros((3, bottom - top, width), np.float32)
        parts = restore((top, bottom), columns)
        for (left, right), weight_across, part in zip(columns, across, parts, strict=True):
            for plane, colour in zip(band, part, strict=True):  # rounded once, after the sum
                plane[:, left:right] += colour * weight_across.astype(np.float64)
        band *= weight[:, None]
        band = band[:, begin - top :]
        band[:, : pending.shape[1]] += pending
        pending = band[:, end - begin :].copy()
        yield begin, band[:, : end - begin]
