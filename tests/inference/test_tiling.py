from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from reddit.inference.noise import NoiseField
from reddit.inference.tiling import Span, Tiling, alike, blended_rows, fitted, one_by_one
from reddit.utils.errors import UserError

SIZES = [1, 15, 63, 64, 65, 100, 112, 113, 129, 200, 1000]
TILINGS = [(64, 16, 1), (64, 16, 16), (64, 32, 16), (60, 10, 8), (64, 0, 1)]


def whole(height: int, width: int, tiling: Tiling, restore: object) -> Tensor:
    """Every row of the blend; they must come in order, without gaps."""
    rows, next_top = [], 0
    for top, band in blended_rows(height, width, tiling, one_by_one(restore)):  # type: ignore[arg-type]
        assert top == next_top
        next_top += band.shape[1]
        rows.append(torch.from_numpy(band.copy()))
    return torch.cat(rows, dim=1)


@pytest.mark.parametrize("length", SIZES)
@pytest.mark.parametrize("tiling", TILINGS)
def test_tiles_cover_overlap_and_keep_the_grid(length: int, tiling: tuple[int, int, int]) -> None:
    tiles = Tiling(*tiling)
    spans = tiles.spans(length)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(start % tiles.multiple == 0 for start, _ in spans)
    assert all(end - start < tiles.size + tiles.multiple for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert end - start >= tiles.overlap
    fewest = 1 if length <= tiles.size else -(-(length - tiles.overlap) // (tiles.size - tiles.overlap))
    assert len(spans) == fewest


@pytest.mark.parametrize("length", SIZES)
@pytest.mark.parametrize("tiling", TILINGS)
def test_weights_sum_to_one_and_are_zero_at_cut_edges(length: int, tiling: tuple[int, int, int]) -> None:
    tiles = Tiling(*tiling)
    spans, weights = tiles.spans(length), tiles.weights(length)
    total = torch.zeros(length)
    for (start, end), weight in zip(spans, weights, strict=True):
        total[start:end] += torch.from_numpy(weight)
        assert weight.shape == (end - start,) and weight.min() >= 0 and weight.max() <= 1
        margin = tiles.overlap // 4
        assert start == 0 or weight[:margin].sum() == 0
        assert end == length or weight[len(weight) - margin :].sum() == 0
    assert torch.allclose(total, torch.ones(length), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 200), (200, 65), (150, 170)])
def test_blending_the_parts_of_a_picture_gives_the_picture(size: tuple[int, int]) -> None:
    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    pixels = picture.numpy()
    blend = whole(*size, Tiling(64, 16, 8), lambda rows, columns: pixels[:, slice(*rows), slice(*columns)])
    assert torch.allclose(blend, picture, atol=1e-6)


def test_tiles_that_disagree_change_over_in_small_steps() -> None:
    """Neighbours one apart meet on a ramp of half the overlap: a step of 1/16 a pixel, without one of 1."""

    def disagreeing(rows: Span, columns: Span) -> np.ndarray:
        shade = float((rows[0] > 0) != (columns[0] > 0))
        return np.full((3, rows[1] - rows[0], columns[1] - columns[0]), shade, np.float32)

    smooth = whole(96, 96, Tiling(64, 32), disagreeing)
    assert smooth.diff(dim=1).abs().max() == pytest.approx(1 / 16, abs=1e-6)
    assert smooth.diff(dim=2).abs().max() == pytest.approx(1 / 16, abs=1e-6)
    assert whole(96, 96, Tiling(64, 0), disagreeing).diff(dim=2).abs().max() == 1


def test_only_one_row_of_tiles_is_held() -> None:
    seen: list[Span] = []

    def recorded(rows: Span, columns: Span) -> np.ndarray:
        seen.append(rows)
        return np.zeros((3, rows[1] - rows[0], columns[1] - columns[0]), np.float32)

    for _, band in blended_rows(500, 90, Tiling(64, 16), one_by_one(recorded)):
        assert len(set(seen)) == 1  # each row of tiles is asked for when the rows above it are given out
        assert band.shape[1] <= 64
        seen.clear()


def test_neighbours_of_one_length_go_together() -> None:
    spans = [(0, 8), (4, 12), (8, 16), (12, 22)]
    assert [len(group) for group in alike(spans, 8)] == [3, 1]
    assert [len(group) for group in alike(spans, 2)] == [2, 1, 1]
    assert [span for group in alike(spans, 2) for span in group] == spans
    assert list(alike([], 2)) == []


@pytest.mark.parametrize(("size", "overlap"), [(64, -1), (64, 33), (0, 0)])
def test_impossible_tiles_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(UserError, match="overlap must be between 0 and half a tile"):
        Tiling(size, overlap)


def test_sizes_are_rounded_up_to_the_multiple() -> None:
    assert (Tiling(100, 20, 16).size, Tiling(100, 20, 16).overlap) == (112, 32)


# Noise


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 9), (63, 65), (300, 401)])
@pytest.mark.parametrize("piece", [2**10, 2**18])
def test_the_noise_field_equals_one_draw_of_torch(
    size: tuple[int, int], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoiseField, "PIECE", piece)
    expected = torch.randn(3, *size, generator=torch.Generator().manual_seed(7))
    assert torch.equal(NoiseField(7, *size).rows((0, size[0])), expected)


def test_any_rows_of_the_field_are_the_same_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NoiseField, "PIECE", 2**10)
    expected = torch.randn(3, 90, 70, generator=torch.Generator().manual_seed(3))
    field = NoiseField(3, 90, 70)
    for rows in ((40, 90), (0, 41), (13, 14), (0, 90)):
        assert torch.equal(field.rows(rows), expected[:, slice(*rows)])


@pytest.mark.parametrize("size", [(1920, 1080), (3000, 4000), (100, 20_000), (1300, 1300), (20_000, 20_000)])
@pytest.mark.parametrize("overlap", [0, 64, 128, 250])
def test_fitted_tiles_are_within_the_limit_and_waste_less_than_squares(
    size: tuple[int, int], overlap: int
) -> None:
    tiling = fitted(*size, overlap, 32, 1_250_000)
    rows, columns = tiling.spans(size[0]), tiling.across.spans(size[1])
    assert tiling.overlap >= overlap and tiling.overlap < overlap + 32
    assert all((b - a) * (d - c) <= 1_350_000 for a, b in rows for c, d in columns)  # the last are longer

    def computed(tiles: Tiling) -> int:
        down, across = tiles.spans(size[0]), tiles.across.spans(size[1])
        return sum(b - a for a, b in down) * sum(b - a for a, b in across)

    squares = Tiling(512, overlap, 32)
    assert computed(tiling) <= computed(squares)
    assert computed(tiling) < 1.3 * size[0] * size[1] or overlap == 250 or min(size) < 2 * overlap


def test_fitted_tiles_of_two_megapixels() -> None:
    """1080 rows and 1920 columns: two tiles side by side of 1024 columns, 128 of them shared."""
    tiling = fitted(1080, 1920, 128, 32, 1_250_000)
    assert tiling.spans(1080) == [(0, 1080)] and tiling.across.spans(1920) == [(0, 1024), (896, 1920)]
