from __future__ import annotations

import numpy as np
import pytest
import torch

from reddit.image.arrays import SYMMETRIES, turned, turned_back
from reddit.image.geometry import crop_to, pad_to_multiple, turn, turn_back


@pytest.mark.parametrize("multiple", [1, 8, 16, 32])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (16, 17), (33, 50), (32, 64)])
def test_pad_and_crop_round_trip(size: tuple[int, int], multiple: int) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    padded, old = pad_to_multiple(image, multiple)
    assert old == size
    assert all(side % multiple == 0 for side in padded.shape[-2:])
    assert all(p - s < multiple for p, s in zip(padded.shape[-2:], size, strict=True))
    assert torch.equal(crop_to(padded, old), image)


def test_padding_reflects_without_repeating_the_edge() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3).expand(1, 1, 8, 3)
    padded, _ = pad_to_multiple(row, 8)
    assert padded[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]
    assert pad_to_multiple(row, 1)[0] is row


def test_symmetries_are_eight_and_can_be_undone() -> None:
    image = torch.arange(3 * 4 * 5).view(3, 4, 5)
    turned = [turn(image, number) for number in range(SYMMETRIES)]
    assert torch.equal(turned[0], image)
    assert len({(tuple(t.shape), tuple(t.flatten().tolist())) for t in turned}) == 8
    assert all(torch.equal(turn_back(t, number), image) for number, t in enumerate(turned))


@pytest.mark.parametrize("number", range(SYMMETRIES))
def test_arrays_turn_as_tensors_do(number: int) -> None:
    image = torch.arange(24).view(2, 3, 4)
    assert np.array_equal(turned(image.numpy(), number), turn(image, number).numpy())
    assert np.array_equal(turned_back(turned(image.numpy(), number), number), image.numpy())
