"""Networks for pictures of any size that can be compiled."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reddit.image.geometry import crop_to, pad_to_multiple, thumbnail


class Compilable(nn.Module):
    """A network `(x_t, y, alpha, context, second)`, whose padding is left out of the compiled graph.

    Sizes that are computed from other sizes stop the compiler as soon as they are free, at a second size.
    """

    multiple: int
    """The padded height and width are divisible by this."""
    takes_context: bool
    """Whether `context` is used."""
    _padded_outside = False

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `torch.nn.Module.compile`."""
        self._padded_outside = True
        compiled = torch.compile(self._call_impl, *args, **kwargs)
        self._compiled_call_impl = partial(self._padded, compiled)

    def pad(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """`pad_to_multiple`, which in a compiled graph has been done outside."""
        if self._padded_outside and torch.compiler.is_compiling():
            return image, (image.shape[-2], image.shape[-1])
        return pad_to_multiple(image, self.multiple)

    def _padded(
        self,
        compiled: Any,
        x_t: Tensor,
        y: Tensor,
        alpha: Tensor,
        context: Tensor | None = None,
        second: Tensor | None = None,
    ) -> Tensor:
        if context is None and self.takes_context:
            context = thumbnail(y)
        x_t, size = pad_to_multiple(x_t, self.multiple)
        y, _ = pad_to_multiple(y, self.multiple)
        more = () if second is None else (second,)
        return crop_to(compiled(x_t, y, alpha, context, *more), size)
