"""Compiling the networks of a method: the trained one, its frozen teacher, and the perceptual distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import nn

from reddit.diffusion import Denoiser
from reddit.methods import Method
from reddit.utils.progress import Log
from reddit.utils.text import reason

Result = TypeVar("Result")
Mode = bool | Literal["max"]
COMPILER = ("torch._dynamo", "torch._inductor", "torch._functorch", "torch.fx", "triton")
"""Modules whose errors are those of the compiler."""


def networks_of(method: Method) -> list[nn.Module]:
    """The networks that a training step of the method calls, each once."""
    found: list[nn.Module] = []
    for part in vars(method).values():
        network = part.network if isinstance(part, Denoiser) else part
        if isinstance(network, nn.Module) and not any(network is other for other in found):
            found.append(network)
    return found


def compile_networks(method: Method, mode: Mode) -> None:
    """Compile the networks of a method in place, at their next call.

    Args:
        mode: `max` adds CUDA graphs, which replay a whole network as one launch.
    """
    for network in networks_of(method):
        if mode == "max":
            network.compile(mode="reduce-overhead")
        elif mode:
            network.compile()


def with_fallback(method: Method, mode: Mode, step: Callable[[], Result], log: Log) -> Result:
    """A training step; where its networks cannot be compiled, the same step with the networks as they are.

    Compiling happens inside a step, forward and backward, before the weights change.
    """
    if mode == "max":
        # The memory of the last step may be used again.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
    try:
        return step()
    except Exception as error:
        why, compiled = failure(error), [n for n in networks_of(method) if n._compiled_call_impl is not None]
        if why is None or not compiled:
            raise
    for network in compiled:
        network._compiled_call_impl = None
    log(f"WARNING: train.compile: the networks cannot be compiled, so they run uncompiled ({why})")
    return step()


def failure(error: BaseException) -> str | None:
    """Why compiling failed, in a line; None if the error is not the compiler's."""
    inner = getattr(error, "inner_exception", None) or error.__cause__
    if inner is not None and (why := failure(inner)) is not None:
        return why
    if any(kind.__module__.startswith(COMPILER) for kind in type(error).__mro__):
        return f"{type(error).__name__}: {reason(inner or error)}"
    return None
