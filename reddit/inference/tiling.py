"""Tiles of a picture: their positions, the blending of overlaps, and the shared noise field."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from reddit.utils.errors import UserError

Span = tuple[int, int]
"""The first row or column, and the one after the last."""
RestorePart = Callable[[Span, Span], Tensor]
"""(rows, columns) → that part of the result, (3, h, w)."""


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

    def weights(self, length: int) -> list[Tensor]:
        """The blending weights of each tile along an axis, (end - start,) in [0, 1].

        They sum to 1 everywhere. Neighbours are blended in the middle half of their overlap. The outer
        quarters, close to the edge of a tile, get weight 0.
        """
        spans = self.spans(length)
        middles = [(start + end) / 2 for (_, end), (start, _) in pairwise(spans)]
        rises = [None, *middles]
        falls = [*middles, None]
        weights = []
        for (start, end), rise, fall in zip(spans, rises, falls, strict=True):
            place = torch.arange(start, end) + 0.5
            into = self._ramp(place, rise) if rise is not None else torch.ones(end - start)
            weights.append(into - self._ramp(place, fall) if fall is not None else into)
        return weights

    def _ramp(self, place: Tensor, middle: float) -> Tensor:
        width = max(self.overlap / 2, 1e-3)  # without an overlap: a step between two pixels
        return ((place - middle) / width + 0.5).clamp(0, 1)


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


def blended_rows(
    height: int, width: int, tiling: Tiling, restore: RestorePart
) -> Iterator[tuple[int, Tensor]]:
    """Yield the blended result from top to bottom as it is finished: (first row, rows (3, h, width)).

    `restore` is called once per tile, row by row; only one row of tiles is kept.
    """
    rows, columns = tiling.spans(height), tiling.across.spans(width)
    across = tiling.across.weights(width)
    down = tiling.weights(height)
    begins = [top + int(weight.nonzero()[0]) for (top, _), weight in zip(rows, down, strict=True)]
    ends = [*begins[1:], height]
    pending = torch.empty(3, 0, width)
    for (top, bottom), weight, begin, end in zip(rows, down, begins, ends, strict=True):
        band = torch.zeros(3, bottom - top, width)
        for (left, right), weight_across in zip(columns, across, strict=True):
            band[:, :, left:right].addcmul_(restore((top, bottom), (left, right)), weight_across)
        band.mul_(weight[:, None])
        band = band[:, begin - top :]
        band[:, : pending.shape[1]] += pending
        pending = band[:, end - begin :].clone()
        yield begin, band[:, : end - begin]


class NoiseField:
    """The standard normal noise of a whole picture, drawn only for the rows that are needed.

    It equals `torch.randn(3, height, width)` with this seed. torch draws the same numbers in pieces, so only
    the generator's states between the pieces are kept.
    """

    PIECE = 2**18

    def __init__(self, seed: int, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._total = 3 * height * width
        generator = torch.Generator().manual_seed(seed)
        self._states: list[Tensor] = []
        for piece in range(max(1, self._total // self.PIECE)):
            self._states.append(generator.get_state())
            torch.randn(self._length(piece), generator=generator)
        self._rows: tuple[Span, Tensor] | None = None

    def rows(self, rows: Span) -> Tensor:
        """(3, bottom - top, width), float32, on the CPU; the last result is cached."""
        if self._rows is None or self._rows[0] != rows:
            top, bottom = rows
            planes = [self._range(*((c * self.height + y) * self.width for y in rows)) for c in range(3)]
            self._rows = rows, torch.stack(planes).view(3, bottom - top, self.width)
        return self._rows[1]

    def _range(self, first: int, last: int) -> Tensor:
        """The numbers `first` to `last` of the field, in drawing order."""
        pieces = range(self._piece_of(first), self._piece_of(last - 1) + 1)
        drawn = torch.cat([self._draw(piece) for piece in pieces])
        return drawn[first - pieces[0] * self.PIECE : last - pieces[0] * self.PIECE]

    def _draw(self, piece: int) -> Tensor:
        generator = torch.Generator()
        generator.set_state(self._states[piece])
        return torch.randn(self._length(piece), generator=generator)

    def _piece_of(self, number: int) -> int:
        return min(number // self.PIECE, len(self._states) - 1)

    def _length(self, piece: int) -> int:
        """The last piece includes the rest, because torch draws the end of a tensor in another order."""
        last = max(1, self._total // self.PIECE) - 1
        return self.PIECE if piece < last else self._total - last * self.PIECE
