from __future__ import annotations

import math

import numpy as np

from reddit.evaluation.error_map import ERROR_TOP, error_map, scale_colours


def test_the_error_map_is_ordered_and_ends_at_its_scale() -> None:
    gt = np.zeros((1, 256, 3), np.uint8)
    output = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    colours = error_map(output, gt, side=256)[0].astype(float)
    light = colours @ (0.2126, 0.7152, 0.0722)
    top = math.ceil(ERROR_TOP * 255)
    assert light[0] < 2 and light[top] > 240
    assert (np.diff(light[: top + 1]) > 0).all()
    assert (colours[top:] == colours[top]).all()
    assert np.array_equal(error_map(output, gt, side=256), error_map(gt, output, side=256))


def test_the_error_map_averages_the_channels() -> None:
    gt = np.zeros((4, 4, 3), np.uint8)
    red, grey = gt.copy(), gt.copy()
    red[..., 0], grey[...] = 60, 20
    assert np.array_equal(error_map(red, gt), error_map(grey, gt))


def test_the_scale_shows_the_colours_of_the_map() -> None:
    gt = np.zeros((1, 2, 3), np.uint8)
    ends = error_map(np.array([[[0] * 3, [255] * 3]], np.uint8), gt)[0]
    assert [scale_colours()[0], scale_colours()[-1]] == [f"rgb({r} {g} {b})" for r, g, b in ends]
