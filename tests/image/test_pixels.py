from __future__ import annotations

import numpy as np
import torch

from reddit.image.pixels import to_float, to_tensor, to_uint8


def test_eight_bits_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    image = to_float(levels)
    assert image.shape == (3, 16, 16)
    assert image.dtype == torch.float32
    assert (image.min().item(), image.max().item()) == (0.0, 1.0)
    assert np.array_equal(to_uint8(image), levels)


def test_to_uint8_clips_and_rounds() -> None:
    image = torch.tensor([-1.0, 0.49 / 255, 0.51 / 255, 2.0]).view(1, 1, 4).expand(3, 1, 4)
    assert to_uint8(image)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_a_picture_of_one_pixel_that_was_turned() -> None:
    """NumPy calls it contiguous whatever its strides; PyTorch refuses negative ones."""
    picture = np.arange(3, dtype=np.uint8).reshape(1, 1, 3)
    for turned in (np.rot90(picture), picture[::-1], picture[:, ::-1]):
        assert torch.equal(to_float(turned), to_float(picture))
        assert torch.equal(to_tensor(turned), to_tensor(picture))
