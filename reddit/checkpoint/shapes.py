"""The tensors in a file, from its header: names, shapes and precision, before memory is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from reddit.checkpoint.build import build_network
from reddit.config import ModelConfig
from reddit.utils.errors import UserError
from reddit.utils.text import counted, short

Shapes = Mapping[str, tuple[int, ...]]
"""Name of each tensor → its shape."""


def check_shapes(path: Path, model: ModelConfig) -> None:
    """Compare the shapes in a file with those of a configured network, without allocating either.

    Raises:
        UserError: they differ.
    """
    with safe_open(path, framework="pt") as file:
        found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    compare(found, _network_shapes(model.model_dump_json()), path)


@lru_cache
def _network_shapes(model: str) -> Shapes:
    """The shapes of the network of these settings, as JSON."""
    with torch.device("meta"):
        network = build_network(ModelConfig.model_validate_json(model))
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def compare(found: Shapes, wanted: Shapes, path: Path) -> None:
    """Compare names and shapes.

    Raises:
        UserError: they differ; names the first such tensor, in the network's order.
    """
    keys = dict.fromkeys([*wanted, *found])
    wrong = [key for key in keys if found.get(key) != wanted.get(key)]
    if not wrong:
        return
    there, here = (shapes.get(wrong[0]) for shapes in (found, wanted))
    if there is None:
        what = "is missing"
    else:
        what = "is not part of it" if here is None else f"is {short(str(there))} instead of {here}"
    raise UserError(
        f"{path} does not match the configured network: {counted(len(wrong), 'tensor')} differ, first "
        f"{short(wrong[0])}, which {what}; use the configuration it was trained with"
    )


def is_half_precision(path: Path) -> bool:
    """Whether all weights of a file are in half precision; reads only its header."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return all(file.get_slice(key).get_dtype() == "F16" for key in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return False
