"""Damaged and hostile checkpoints: each is loaded whole or refused; searches go on."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import drawn, junk, mutated_bytes, refused
from hypothesis import given
from hypothesis import strategies as st
from tiny_set import NETWORK

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import load_denoiser, read_info, save_weights
from reddit.checkpoint.registry import all_models, find_checkpoint
from reddit.checkpoint.shapes import check_shapes
from reddit.config import resolve_config

BITS = {"F64": 8, "F32": 4, "I64": 8, "F16": 2, "BF16": 2, "I8": 1, "BOOL": 1, "F8_E4M3": 1, "NONE": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of a tiny network."""
    torch.manual_seed(0)
    config = resolve_config(
        {"name": "tiny", "model": NETWORK | {"width": 4}, "diffusion": {"zero_terminal_snr": True}},
        source="test",
    )
    path = tmp_path_factory.mktemp("whole") / "best.safetensors"
    save_weights(path, build_denoiser(config), config, steps=4, family="tiny", method="reddit", iteration=7)
    return path.read_bytes()


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and its tensors."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: Any, tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def check(path: Path) -> None:
    """See that a file is loaded whole or refused, however it is asked for."""
    info = refused(lambda: read_info(path))
    loaded = refused(lambda: load_denoiser(path))
    assert refused(lambda: find_checkpoint(str(path), path.parent)) == info or info is None
    models = all_models(path.parents[2])
    fits = info and refused(lambda: [check_shapes(path, info.config.model)])
    assert [model.path for model in models] == ([path] if fits else [])
    if loaded is None:
        return
    denoiser, found = loaded
    assert all(tensor.isfinite().all() for tensor in denoiser.network.state_dict().values())
    assert 1 <= found.steps <= found.config.diffusion.steps
    assert found.family.isprintable() and found.method.isprintable()
    assert all(isinstance(score, float) for score in found.validation.values())
    image = torch.zeros(1, 3, 16, 16)
    assert denoiser.network(image, image, torch.ones(1)).shape == image.shape


def written(data: bytes, folder: Path) -> Path:
    path = folder / "runs" / "tiny" / "checkpoints" / "best.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@drawn
@given(data=st.data())
def test_bytes(data: st.DataObject, whole: bytes, tmp_path: Path) -> None:
    check(written(data.draw(mutated_bytes(whole)), tmp_path))


SETTINGS = st.sampled_from(
    [
        "model.width",
        "model.blocks",
        "model.multipliers",
        "model.block",
        "model.context",
        "model.unshuffle",
        "model.architecture",
        "model.prediction",
        "model.detail",
        "diffusion.steps",
        "diffusion.schedule",
        "diffusion.beta_end",
        "diffusion.sampler",
        "diffusion.mask_x_T",
        "data.root",
        "name",
        "runs",
        "train",
        "distill",
        "extra",
    ]
)


@drawn
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "steps",
                    "family",
                    "method",
                    "iteration",
                    "training_pictures",
                    "validation",
                    "format",
                    "config",
                ]
            ),
            junk,
        ),
        max_size=2,
    ),
    settings=st.lists(st.tuples(SETTINGS, junk), max_size=2),
    removed=st.sampled_from([None, "steps", "family", "config", "validation", "validation_pictures"]),
)
def test_metadata(
    changes: list[tuple[str, Any]],
    settings: list[tuple[str, Any]],
    removed: str | None,
    whole: bytes,
    tmp_path: Path,
) -> None:
    header, tensors = split(whole)
    config = json.loads(header["__metadata__"]["config"])
    for key, value in settings:
        section, _, name = key.rpartition(".")
        (config[section] if section else config)[name] = value
    header["__metadata__"]["config"] = json.dumps(config)
    for key, value in changes:
        header["__metadata__"][key] = value if isinstance(value, str) else json.dumps(value)
    header["__metadata__"].pop(removed, None)
    check(written(joined(header, tensors), tmp_path))


@drawn
@given(data=st.data())
def test_tensors(data: st.DataObject, whole: bytes, tmp_path: Path) -> None:
    """Other names, types, shapes and values."""
    header, tensors = split(whole)
    names = sorted(set(header) - {"__metadata__"})
    name = data.draw(st.sampled_from(names))
    entry = header[name]
    change = data.draw(st.sampled_from(["dtype", "shape", "offsets", "name", "value", "all as one type"]))
    if change == "dtype":
        entry["dtype"] = data.draw(st.sampled_from([*BITS]))
    elif change == "shape":
        entry["shape"] = data.draw(st.one_of(st.lists(st.integers(-1, 2**63), max_size=5), junk))
    elif change == "offsets":
        entry["data_offsets"] = data.draw(st.one_of(st.lists(st.integers(0, 10**5), max_size=3), junk))
    elif change == "name":
        header[data.draw(st.text(max_size=9))] = header.pop(name)
    elif change == "value":
        bad = struct.pack("<f", data.draw(st.sampled_from([math.nan, math.inf, -math.inf, 3e38])))
        start = entry["data_offsets"][0]
        tensors = tensors[:start] + bad + tensors[start + 4 :]
    else:
        kind = data.draw(st.sampled_from([*BITS]))
        start = 0
        for key in sorted(names, key=lambda one: header[one]["data_offsets"][0]):
            size = math.prod(header[key]["shape"]) * BITS[kind]
            header[key] |= {"dtype": kind, "data_offsets": [start, start + size]}
            start += size
        tensors = (tensors * 3)[:start]
    check(written(joined(header, tensors), tmp_path))


ODD: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "empty": lambda path: path.touch(),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a header of 2^60 bytes": lambda path: path.write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    "a deep header": lambda path: path.write_bytes(joined_deep()),
}


def joined_deep() -> bytes:
    text = b'{"__metadata__":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_odd_files_do_not_stop_a_search(make: Callable[[Path], object], whole: bytes, tmp_path: Path) -> None:
    good = written(whole, tmp_path)
    odd = tmp_path / "runs" / "odd" / "checkpoints" / "best.safetensors"
    odd.parent.mkdir(parents=True)
    make(odd)
    (tmp_path / "runs" / "a file").touch()
    assert [model.path for model in all_models(tmp_path / "runs")] == [good]
    assert refused(lambda: find_checkpoint("odd", tmp_path / "runs")) is None
    assert refused(lambda: load_denoiser(odd)) is None
