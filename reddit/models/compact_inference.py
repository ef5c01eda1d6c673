"""`CompactUNet` on a processor without gradients: the same function of one picture, in less time.

- The scale and shift of a block are folded into its 1×1 convolution, for the picture at hand.
- Pixels are folded and unfolded by the convolutions, whose weights are arranged for it.
- A noisy image of zeros (see `reddit.diffusion.denoiser.without_pure_noise`) is left out with its weights.

Results differ from those of the modules by rounding only.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.image.geometry import pad_to_multiple
from reddit.models.unet import LOG_CURVE_GAIN
from reddit.utils.device import full_precision

WORD = 8
"""Values of half precision in 16 bytes."""
COLOURS = 3
"""The first channels of the head; the others go to the full-resolution path."""


def applies(x: Tensor) -> bool:
    """Whether a network may be computed in this way. Training and tracing take the modules."""
    if torch.compiler.is_compiling():  # which cannot ask for the mode
        return False
    return x.device.type == "cpu" and torch.is_inference_mode_enabled()


def network_inputs(x_t: Tensor, y: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """The low-light image, its log curve and, unless it is zero, `x_t`: padded, and the size before.

    (1, 3, H, W) each → (1, 6 or 9, H', W'), channels last, in the precision of the convolutions.
    """
    kind = y.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else y.dtype
    y = y.contiguous()
    parts = [y, log_curve(y), x_t.contiguous()] if x_t.any() else [y, log_curve(y)]
    padded, size = pad_to_multiple(torch.cat(parts, dim=1), multiple)
    return padded.to(dtype, memory_format=torch.channels_last), size


def log_curve(image: Tensor) -> Tensor:
    """`reddit.models.unet.log_curve` with NumPy's logarithm, which is many times as fast here."""
    light = (image.float() + 1).clamp_min_(0).mul_(LOG_CURVE_GAIN / 2)
    values = light.numpy()
    np.log1p(values, out=values)
    return light.mul_(2 / math.log1p(LOG_CURVE_GAIN)).sub_(1)


def block(x: Tensor, first: nn.Conv2d, second: nn.Conv2d, modulation: Tensor) -> Tensor:
    """A `PlainBlock`, in the memory of `x` (1, C, H, W); `modulation` is (1, 2 C)."""
    assert first.bias is not None
    scale, shift = modulation[0].float().chunk(2)
    weight = first.weight * (1 + scale)[:, None, None, None]
    hidden = F.conv2d(x, weight, torch.addcmul(shift, first.bias, 1 + scale))
    return x.add_(padded_convolution(F.silu(hidden, inplace=True), second))


def padded_convolution(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """`convolution(x)` of 3×3, padded in half precision, where autocast would pad in single precision."""
    if convolution.padding_mode == "zeros":
        return convolution(x)
    with full_precision(x.device):
        x = F.pad(x, (1, 1, 1, 1), mode=convolution.padding_mode)
    return F.conv2d(x, convolution.weight, convolution.bias)


def stem(image: Tensor, convolution: nn.Conv2d, unshuffle: int) -> Tensor:
    """`convolution(F.pixel_unshuffle(image, unshuffle))`; channels that `image` lacks count as zero."""
    u, (out, _, size, _) = unshuffle, convolution.weight.shape
    weight = convolution.weight.reshape(out, -1, u, u, size, size)[:, : image.shape[1]]
    weight = weight.permute(0, 1, 4, 2, 5, 3).reshape(out, image.shape[1], size * u, size * u)
    return F.conv2d(image, weight, convolution.bias, stride=u, padding=size // 2 * u)


def full_resolution(
    x: Tensor, image: Tensor, head: nn.Conv2d, detail: nn.Sequential, unshuffle: int
) -> Tensor:
    """The head, `F.pixel_shuffle` and the full-resolution path: (1, 3, H', W'), contiguous.

    `x` is (1, C, H'/unshuffle, W'/unshuffle), `image` the network's inputs.
    """
    u, (_, _, height, width) = unshuffle, x.shape
    assert head.bias is not None
    weight, bias = (v.reshape(-1, u * u, *v.shape[1:]) for v in (head.weight, head.bias))
    colours = F.conv2d(x, weight[:COLOURS].flatten(0, 1), bias[:COLOURS].flatten(), padding=1)
    weight, bias = (v[COLOURS:].transpose(0, 1) for v in (weight, bias))  # subpixels before channels
    folded = F.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=1).permute(0, 2, 3, 1)
    hidden = folded.reshape(height, width, u, u, -1).transpose(1, 2)

    first, last = detail[0], detail[2]
    assert isinstance(first, nn.Conv2d)
    count, channels = hidden.shape[-1], hidden.shape[-1] + image.shape[1]
    known = folded.new_empty(height * u, width * u, -(-channels // WORD) * WORD)
    words(known[..., :count]).view(height, u, width, u, -1).copy_(words(hidden))
    known[..., count:channels] = image[0].permute(1, 2, 0)
    known[..., channels:] = 0
    weight = F.pad(first.weight[:, :channels], (0, 0, 0, 0, 0, known.shape[-1] - channels))
    refined = F.conv2d(known.permute(2, 0, 1)[None], weight, first.bias, padding=1)
    refined = last(F.silu(refined, inplace=True))
    return F.pixel_shuffle(colours.contiguous(), u) + refined.contiguous()


def words(x: Tensor) -> Tensor:
    """Neighbouring values of the last axis as one, which is copied in one piece, where that is possible."""
    whole = x.shape[-1] % WORD == 0 and x.element_size() * WORD == 16
    return x.view(torch.complex128) if whole else x
