from __future__ import annotations

import warnings
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reddit.config import DataConfig, MixPart
from reddit.evaluation.evaluate import predict_with
from reddit.image.arrays import shrink
from reddit.image.pixels import to_float, to_uint8
from reddit.inference.enhancer import Enhancer, EnhanceWarning
from reddit.inference.loading import load
from reddit.inference.settings import Settings
from reddit.inference.tiling import Tiling
from reddit.utils.errors import UserError

SHADES = {np.uint8: 255, np.uint16: 65535, np.float16: 1, np.float32: 1, np.float64: 1}


def dark(*shape: int, dtype: type = np.uint8, top: float = 0.15) -> np.ndarray:
    values = np.random.default_rng(0).random(shape) * top * SHADES[dtype]
    return (values if np.dtype(dtype).kind == "f" else np.rint(values)).astype(dtype)


# Sizes and bit depths


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (65, 7)])
def test_any_size_is_enhanced(model: Enhancer, size: tuple[int, int]) -> None:
    assert model.enhance(dark(*size, 3)).shape == (*size, 3)


def test_eight_bits_are_enhanced_as_scoring_does(model: Enhancer) -> None:
    low = dark(30, 41, 3)
    scored = predict_with(model.denoiser, 2)("name", low, 7)
    assert np.array_equal(model.enhance(low, seed=7), to_uint8(scored))


def test_bit_depths_of_one_picture_agree(model: Enhancer) -> None:
    low = dark(30, 41, 3)
    bright = model.enhance(low) / 255
    assert np.allclose(model.enhance(low.astype(np.uint16) * 257) / 65535, bright, atol=0.51 / 255)
    assert np.allclose(model.enhance(low / 255), bright, atol=0.51 / 255)
    assert np.allclose(model.enhance(to_float(low)).permute(1, 2, 0), bright, atol=0.51 / 255)


def test_sixteen_bits_keep_finer_shades(model: Enhancer) -> None:
    bright = model.enhance(dark(64, 64, 3, dtype=np.uint16))
    assert len(np.unique(bright)) > 5000


def test_grey_is_enhanced_as_its_colour_copy_and_stays_grey(model: Enhancer) -> None:
    grey = dark(30, 41, dtype=np.float32)
    colour = model.enhance(np.repeat(grey[..., None], 3, axis=2))
    assert np.allclose(model.enhance(grey), colour @ [0.299, 0.587, 0.114], atol=1e-5)


# Strength, seeds, tiles


def test_strength_blends(model: Enhancer) -> None:
    low = dark(20, 31, 3, dtype=np.float32)
    full = model.enhance(low)
    assert np.array_equal(model.enhance(low, strength=0), low)
    assert np.allclose(model.enhance(low, strength=0.25), 0.75 * low + 0.25 * full, atol=1e-6)


def test_a_seed_gives_one_result(model: Enhancer) -> None:
    low = dark(20, 31, 3)
    assert np.array_equal(model.enhance(low, seed=1), model.enhance(low, seed=1))
    assert not np.array_equal(model.enhance(low, seed=1), model.enhance(low, seed=2))


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_tiles_give_the_same_picture(model: Enhancer, channels: tuple[int, ...]) -> None:
    low = dark(100, 170, *channels)
    whole = model.enhance(low, tile=0).astype(int)
    tiled = model.enhance(low, tile=64, tile_overlap=32)
    assert abs(tiled - whole).max() <= 3 and abs(tiled - whole).mean() < 0.1


def test_large_pictures_are_tiled_by_default(model: Enhancer) -> None:
    assert model._tiling(1000, 1500, None, None) is None
    assert model._tiling(1000, 1501, None, None) == Tiling(1000, 64, 4, width=784)
    assert model._tiling(5000, 5000, 0, None) is None
    assert model._tiling(200, 100, 128, None) == Tiling(128, 32, 4)
    assert model._tiling(100, 100, 128, None) is None


def test_networks_that_see_the_whole_picture_warn_of_tiles(sr3_weights: Path) -> None:
    paper = load(str(sr3_weights), device="cpu")
    with pytest.warns(EnhanceWarning, match="a is processed in tiles, but .* differ in brightness"):
        paper.enhance(dark(20, 100, 3), tile=64, name="a")


def test_large_pictures_have_the_brightness_of_their_small_copy(
    model: Enhancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled_or_tripled(denoiser: object, low: Tensor, *_: object, **__: object) -> Tensor:
        return (2 if max(low.shape[-2:]) <= 40 else 3) * low

    monkeypatch.setattr("reddit.inference.enhancer.restore", doubled_or_tripled)
    rows, columns = np.mgrid[:90, :120]
    large = (np.dstack([rows, columns, 60 + 0 * rows]) / 600).astype(np.float32)
    assert np.allclose(model.enhance(large, guard=False), 3 * large, atol=1e-6)
    monkeypatch.setattr(model.denoiser.network, "scale", 40, raising=False)
    small = shrink(large, 40)
    assert np.allclose(model.enhance(small, guard=False), 2 * small, atol=1e-6)
    assert np.allclose(model.enhance(large, guard=False), 2 * large, atol=0.01)
    half = model.enhance(large, guard=False, strength=0.5)
    assert np.allclose(half, 1.5 * large, atol=0.01)
    alpha = np.dstack([large, np.full((90, 120), 0.5, np.float32)])
    assert np.array_equal(model.enhance(alpha, guard=False)[..., 3], alpha[..., 3])
    grey = model.enhance(large[..., 0].astype(np.float16), guard=False)
    assert grey.dtype == np.float16 and np.allclose(grey, 2 * large[..., 0], atol=0.01)


# Several at a time, as on a GPU


def test_a_batch_gives_what_its_pictures_give(model: Enhancer, together: list[tuple[int, ...]]) -> None:
    pictures = torch.from_numpy(dark(7, 3, 50, 50, dtype=np.float32))
    alone = [model.enhance(picture, seed=3, ensemble=2) for picture in pictures]
    together.clear()
    batch = model.enhance(pictures, seed=3, ensemble=2)
    assert together == [(4, 3, 50, 50)] * 2 + [(3, 3, 50, 50)] * 2
    assert torch.allclose(batch, torch.stack(alone), atol=1e-5)
    assert not torch.allclose(batch, model.enhance(pictures, seed=4, ensemble=2), atol=1e-2)


def test_lit_pictures_of_a_batch_are_left_out(model: Enhancer, together: list[tuple[int, ...]]) -> None:
    pictures = torch.from_numpy(dark(3, 3, 50, 50, dtype=np.float32))
    pictures[1] += 0.8
    with pytest.warns(EnhanceWarning, match="left unchanged"):
        batch = model.enhance(pictures)
    assert together == [(2, 3, 50, 50)] and torch.equal(batch[1], pictures[1])
    assert torch.allclose(batch[2], model.enhance(pictures[2]), atol=1e-5)


def test_tiles_of_a_row_go_together(model: Enhancer, together: list[tuple[int, ...]]) -> None:
    low = dark(64, 256, 3, dtype=np.float32)
    batched = model.enhance(low, tile=64, tile_overlap=0, ensemble=2)
    assert together == [(3, 3, 64, 64)] * 2 + [(1, 3, 64, 64)] * 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Enhancer, "_batch_pixels", 0)
        assert np.allclose(batched, model.enhance(low, tile=64, tile_overlap=0, ensemble=2), atol=1e-5)


def test_a_processor_takes_one_at_a_time(model: Enhancer) -> None:
    assert model._batch_pixels == 0


# The guard


def test_a_lit_picture_is_left_as_it_is(model: Enhancer) -> None:
    lit = dark(20, 31, 3, top=1.0)
    with pytest.warns(EnhanceWarning, match=r"day\.jpg is not dark \(mean luminance 0\.\d\d.*left unchanged"):
        assert np.array_equal(model.enhance(lit, name="day.jpg"), lit)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.array_equal(model.enhance(lit, guard=False), lit)


def test_the_guard_is_off_for_models_trained_on_lit_pictures(model: Enhancer) -> None:
    lit = dark(20, 31, 3, top=1.0)
    data = DataConfig(mix=[MixPart(dataset="lolv1"), MixPart(dataset="photos", folder="good")])
    config = model.info.config.model_copy(update={"data": data})
    knowing = replace(model, info=replace(model.info, config=config))
    assert model.guarded and not knowing.guarded
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(knowing.enhance(lit), model.enhance(lit, guard=False))
    with pytest.warns(EnhanceWarning, match="left unchanged"):
        assert np.array_equal(knowing.enhance(lit, guard=True), lit)


def test_a_picture_between_is_enhanced_less(model: Enhancer) -> None:
    between = np.full((20, 31, 3), 0.29, np.float32)
    full = model.enhance(between, guard=False)
    with pytest.warns(EnhanceWarning, match="enhanced at 50% of the strength"):
        assert np.allclose(model.enhance(between), (between + full) / 2, atol=1e-5)


def test_what_is_transparent_does_not_make_a_picture_dark(model: Enhancer) -> None:
    cut_out = np.zeros((20, 31, 4), np.uint8)
    cut_out[:4] = 200
    with pytest.warns(EnhanceWarning):
        assert np.array_equal(model.enhance(cut_out), cut_out)


@pytest.mark.parametrize("shade", [0, 1, 30, 255])
def test_flat_pictures_come_back_finite(model: Enhancer, shade: int) -> None:
    flat = np.full((20, 31, 3), shade / 255, np.float32)
    for bright in (model.enhance(flat, guard=False), model.enhance(flat, guard=False, tile=64)):
        assert np.isfinite(bright).all() and bright.min() >= 0 and bright.max() <= 1


# Mistakes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 1.1}, "strength 1.1: must be between 0"),
        ({"tile": 63}, "tile 63: must be at least 64"),
        ({"tile": -1}, "tile -1: must be at least 64"),
        ({"tile": 128, "tile_overlap": 65}, "between 0 and half a tile"),
        ({"tile_overlap": -1}, "between 0 and half a tile"),
    ],
)
def test_settings_out_of_range_are_refused(model: Enhancer, settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        model.enhance(dark(8, 8, 3), **settings)  # type: ignore[arg-type]


def test_memory_that_runs_out_names_the_remedy(model: Enhancer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("reddit.inference.enhancer.restore", full)
    with pytest.raises(UserError, match="too little memory for a picture of 31×20: set a smaller tile"):
        model.enhance(dark(20, 31, 3))


def test_an_ensemble_has_a_number_of_flips(light_weights: Path) -> None:
    model = load(str(light_weights))
    dark = np.random.default_rng(0).integers(0, 40, (32, 48, 3), dtype=np.uint8)
    one, eight = model.enhance(dark), model.enhance(dark, ensemble=8)
    assert not np.array_equal(one, eight)
    with pytest.raises(UserError, match="between 1 and 8"):
        model.enhance(dark, ensemble=9)


@pytest.mark.parametrize("tile", [0, 64])
def test_an_output_of_no_numbers_is_no_black_picture(
    tile: int, model: Enhancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite weights can overflow, in half precision above all."""
    real = model.denoiser.network.forward

    def forward(*arguments: Tensor) -> Tensor:
        output = real(*arguments)
        output[..., -1, -1] = float("nan")
        return output

    monkeypatch.setattr(model.denoiser.network, "forward", forward)
    with pytest.raises(UserError, match="the network's output is not finite"):
        model.enhance(dark(96, 96, 3), tile=tile)


def test_the_settings_are_one_list() -> None:
    assert list(Settings.__annotations__) == list(signature(Enhancer.enhance).parameters)[2:]
