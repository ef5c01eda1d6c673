"""The noise of a whole picture, drawn only for the rows that are needed."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.inference.tiling import Span


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
