from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_set import NETWORK

from reddit.checkpoint.build import build_network
from reddit.checkpoint.shapes import SMALL, _most_parameters, _network_shapes, check_shapes
from reddit.config import ModelConfig, load_config
from reddit.models import count_parameters
from reddit.utils.errors import UserError
from reddit.utils.names import shipped_config

MODEL = ModelConfig.model_validate(NETWORK)
WHOLE = build_network(MODEL).state_dict()
FIRST, *_, LAST = WHOLE


def said(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    save_file(tensors, path)
    with pytest.raises(UserError) as error:
        check_shapes(path, MODEL)
    return str(error.value)


def test_the_network_itself(tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "whole.safetensors")
    check_shapes(tmp_path / "whole.safetensors", MODEL)


@pytest.mark.parametrize("name", [FIRST, LAST])
def test_the_tensor_that_differs_is_named_with_its_shape(name: str, tmp_path: Path) -> None:
    shape = tuple(WHOLE[name].shape)
    text = said(tmp_path / "a.safetensors", WHOLE | {name: torch.zeros(3, 1, 2)})
    assert f": 1 tensor differ, first {name}, which is (3, 1, 2) instead of {shape}; " in text


def test_the_first_in_the_order_of_the_network(tmp_path: Path) -> None:
    """Also where names of the alphabet's beginning are missing or too many."""
    missing = sorted(WHOLE)[0]
    tensors = {key: value for key, value in WHOLE.items() if key != missing}
    tensors |= {"a": torch.zeros(1), FIRST: torch.zeros(1)}
    assert missing != FIRST
    text = said(tmp_path / "a.safetensors", tensors)
    assert f": 3 tensors differ, first {FIRST}, which is (1,)" in text


def test_tensors_that_are_missing_or_too_many(tmp_path: Path) -> None:
    text = said(tmp_path / "a.safetensors", {key: WHOLE[key] for key in WHOLE if key != LAST})
    assert f"first {LAST}, which is missing" in text
    text = said(tmp_path / "a.safetensors", WHOLE | {"a\x1b[31m": torch.zeros(1)})
    assert "first a\\x1b[31m, which is not part of it" in text


@pytest.mark.parametrize("name", ["demo", "lolv1", "lolv1_light", "photos"])
def test_the_bound_holds_and_shipped_networks_are_small(name: str) -> None:
    model = load_config(str(shipped_config(name))).model
    assert count_parameters(build_network(model)) <= _most_parameters(model) < SMALL


def test_shapes_of_a_huge_network_take_no_memory(tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "a.safetensors")
    huge = MODEL.model_copy(update={"width": 4096, "multipliers": [64, 64]})  # terabytes
    with pytest.raises(UserError, match="does not match the configured network"):
        check_shapes(tmp_path / "a.safetensors", huge)


def test_looking_at_shapes_draws_no_random_numbers(tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "a.safetensors")
    state = torch.random.get_rng_state()
    _network_shapes.cache_clear()
    check_shapes(tmp_path / "a.safetensors", MODEL)
    assert torch.equal(torch.random.get_rng_state(), state)
