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

SMALL = 500_000_000
"""Parameters of a network that may be built to see its shapes."""
Shapes = Mapping[str, tuple[int, ...]]
"""Name of each tensor → its shape."""


def check_shapes(path: Path, model: ModelConfig) -> None:
    """Compare the shapes in a file with those of a configured network, without allocating much for either.

    Raises:
        UserError: they differ.
    """
    with safe_open(path, framework="pt") as file:
        found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    compare(found, _network_shapes(model.model_dump_json()), path)


@lru_cache
def _network_shapes(model: str) -> Shapes:
    """The shapes of the network of these settings, as JSON."""
    config = ModelConfig.model_validate_json(model)
    # The device `meta` allocates nothing, but imports PyTorch's compiler, which takes a second.
    device = "cpu" if _most_parameters(config) < SMALL else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(device):
        network = build_network(config)
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _most_parameters(model: ModelConfig) -> int:
    """A number that the network's parameters do not exceed."""
    widest = max(model.width * max(model.multipliers), 9 * model.unshuffle**2, model.detail, 64)
    blocks = 3 * (model.blocks + 2) * len(model.multipliers)
    return blocks * 3 * 9 * (2 * widest) ** 2


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
