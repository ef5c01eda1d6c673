from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reddit.checkpoint.format import load_denoiser, save_weights
from reddit.checkpoint.shipped import FOLDER
from reddit.inference import graph_beside
from reddit.inference.exported_enhancer import ExportedEnhancer
from reddit.inference.loading import load
from reddit.utils.errors import UserError
from reddit.utils.files import file_digest

GRAPHS = sorted(FOLDER.glob("*.onnx"))


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda path: path.name)
def test_shipped_graphs_are_of_the_shipped_weights(graph: Path) -> None:
    """If not: python -m reddit.inference.graph_beside."""
    content, weights = graph.read_bytes(), graph.with_suffix(".safetensors")
    assert file_digest(weights).encode() in content and weights.name.encode() in content
    assert len(content) < 300_000


def test_each_graph_is_made_by_the_command() -> None:
    assert [graph.stem for graph in GRAPHS] == list(graph_beside.SHIPPED)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda path: path.name)
def test_shipped_graphs_give_the_pictures_of_pytorch(graph: Path) -> None:
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    low = np.kron(rng.integers(0, 60, (12, 21, 3)), np.ones((8, 8, 1), np.int64))
    low = (low + rng.integers(0, 9, low.shape)).astype(np.uint8)
    ours = ExportedEnhancer(graph).enhance_array(low).astype(int)
    for precision, most in ((None, 2), ("fp32", 1)):
        theirs = load(graph.stem, device="cpu", precision=precision).enhance(low)
        assert np.abs(ours - theirs).max() <= most
    assert np.abs(ours - low).mean() > 20


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_tensors_stay_in_the_file_of_the_weights(
    dtype: torch.dtype, light_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of an input, a tensor of the weights, and one of the same shape that is in the graph alone."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    denoiser, info = load_denoiser(light_weights)
    weights = tmp_path / "tiny.safetensors"
    save_weights(
        weights, denoiser, info.config, steps=2, family="tiny", method="reddit", iteration=1, dtype=dtype
    )
    stored = load_file(weights)["stem.weight"].float().numpy()

    def export(path: Path, *_: object) -> None:
        own = onnx.numpy_helper.from_array(stored + 1, "own")
        tensors = [onnx.numpy_helper.from_array(stored, "stem"), own]
        ends = [onnx.helper.make_tensor_value_info(name, 1, stored.shape) for name in ("x", "y")]
        sums = [
            onnx.helper.make_node("Add", pair, [out])
            for *pair, out in (("x", "stem", "z"), ("z", "own", "y"))
        ]
        graph = onnx.helper.make_graph(sums, "sum", ends[:1], ends[1:], tensors)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), path)

    monkeypatch.setattr(graph_beside, "SMALL", 0)
    monkeypatch.setattr(graph_beside, "export_sampler", export)
    path = graph_beside.write_graph(weights)
    held = {
        one.name: one.data_location for one in onnx.load(path, load_external_data=False).graph.initializer
    }
    name = "stem" if dtype == torch.float32 else "stem.stored"
    assert held == {name: onnx.TensorProto.EXTERNAL, "own": onnx.TensorProto.DEFAULT}
    x = np.ones_like(stored)
    (found,) = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert np.allclose(found, x + 2 * stored + 1)


def test_a_graph_alone_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    shutil.copy(GRAPHS[0], tmp_path)
    with pytest.raises(UserError, match=r"light-1\.onnx cannot be loaded"):
        ExportedEnhancer(tmp_path / GRAPHS[0].name)
