from __future__ import annotations

import numpy as np
import torch

from reddit.image.pixels import to_float, to_uint8


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
