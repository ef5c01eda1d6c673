"""The ONNX graph of a checkpoint, without a copy of its weights: they are read from the checkpoint's file.

A safetensors file is a header and the bytes of its tensors, so ONNX can name each as external data. What half
precision holds is cast to single where the graph begins, which ONNX Runtime does once.

    python -m reddit.inference.graph_beside      # the shipped graphs, after any change of their weights
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from reddit.checkpoint.format import load_denoiser
from reddit.checkpoint.shipped import shipped
from reddit.inference.export import export_sampler, require
from reddit.inference.exported_enhancer import WEIGHTS
from reddit.utils.files import write_bytes

TYPES = {"F16": np.float16, "F32": np.float32}
SHIPPED = ("light-1",)
"""The shipped weights that have a graph."""
SMALL = 1024
"""Bytes up to which a tensor is held by the graph itself."""


def write_graph(weights: Path) -> Path:
    """Write `NAME.onnx` beside `NAME.safetensors`, of whose content it holds a digest; returns its path.

    Raises:
        UserError: as in `export_sampler`.
    """
    denoiser, info = load_denoiser(weights)
    path = weights.with_suffix(".onnx")
    export_sampler(path, "onnx", denoiser, info, info.steps)
    (onnx,) = require("onnx")
    model = onnx.load(path)
    stored = _Stored(weights)
    casts = [_refer(onnx, held, stored) for held in model.graph.initializer]
    nodes = [cast for cast in casts if cast is not None] + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.metadata_props.add(key=WEIGHTS, value=weights.name)
    write_bytes(path, model.SerializeToString())
    return path


class _Stored:
    """The tensors of a safetensors file, and where each is."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header: dict[str, Any] = json.loads(content[8:start])
        self.path = path
        self._places: dict[tuple[int, ...], list[tuple[np.ndarray, int]]] = {}
        for name, entry in header.items():
            if name != "__metadata__":
                first, end = (start + offset for offset in entry["data_offsets"])
                array = np.frombuffer(content[first:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
                self._places.setdefault(array.shape, []).append((array, first))

    def find(self, values: np.ndarray) -> tuple[np.ndarray, int] | None:
        """The tensor with these values, and its place in the file in bytes."""
        found = self._places.get(values.shape, [])
        return next((place for place in found if np.array_equal(place[0], values)), None)


def _refer(onnx: ModuleType, held: Any, stored: _Stored) -> Any:
    """Let a tensor of the graph be read from the file, if it is there; returns the cast that it needs."""
    values = onnx.numpy_helper.to_array(held)
    found = stored.find(values) if values.dtype == np.float32 and values.nbytes > SMALL else None
    if found is None:
        return None
    array, place = found
    name = held.name
    held.Clear()
    held.name, held.data_type = name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    held.dims.extend(array.shape)
    held.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": stored.path.name, "offset": place, "length": array.nbytes}.items():
        held.external_data.add(key=key, value=str(value))
    if array.dtype == np.float32:
        return None
    held.name = f"{name}.stored"
    return onnx.helper.make_node("Cast", [held.name], [name], to=onnx.TensorProto.FLOAT)


if __name__ == "__main__":
    for shipped_name in SHIPPED:
        print(write_graph(shipped()[shipped_name]))
