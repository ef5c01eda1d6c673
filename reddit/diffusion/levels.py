"""The noise levels of times that are in use: each computed once, and copied to a device once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from reddit.utils.device import to_device_of

Levels = Callable[[Tensor], Tensor]
"""Times (B,) → alpha and sigma, (2, B), float64."""


class LevelMemo:
    """Remembers (alpha, sigma) for as long as the tensor of times lives.

    A training step asks for the levels of the same few times many times over. Each look-up takes a dozen
    operations, which on a GPU would be as many launches.
    """

    def __init__(self) -> None:
        self._found = WeakTensorKeyDictionary()

    def get(self, t: Tensor, like: Tensor, compute: Levels) -> Tensor:
        """(2, B) in the dtype and on the device of `like`."""
        version = -1 if t.is_inference() else t._version  # an inference tensor does not count its changes
        known = self._found.get(t)  # type: ignore[no-untyped-call]
        if known is None or known[0] != version:
            known = self._found[t] = (version, {})
        key = like.device, like.dtype
        if key not in known[1]:
            with torch.inference_mode(False), torch.no_grad():  # so that a loss can save them
                known[1][key] = to_device_of(like, compute(t))
        return known[1][key]  # type: ignore[no-any-return]
