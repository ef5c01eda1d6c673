"""Exporting a model with its whole sampler as one file for other runtimes; `exported` loads and checks it.

An `onnx` file runs in ONNX Runtime, a `pt2` file in PyTorch; neither needs this package. Inputs are `low`,
(1, 3, H, W) in [0, 1], and `noise`, standard normal of the same shape, but for one step with x_T masked. The
output is `restored`, of the same shape, in [0, 1]. All are RGB float32; H and W are free. Another input of an
`onnx` file, `thumbnail`, may be left out; see `sampler_graph.Sampler`.
"""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Literal

import torch
from torch.export import Dim, ExportedProgram

from reddit.checkpoint.format import CheckpointInfo
from reddit.diffusion import Denoiser
from reddit.image.arrays import THUMBNAIL
from reddit.inference.enhancer import Enhancer
from reddit.inference.sampler_graph import Sampler
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes

Graph = Literal["onnx", "pt2"]
OPSET = 20
"""Version of the ONNX operators; supported by ONNX Runtime 1.17 and newer."""
TRACED = (48, 80)
"""Height and width of the picture that the sampler is traced with."""
METADATA_FILE = "reddit.json"
"""The file in a pt2 archive with the metadata that an ONNX model holds itself."""


def export_sampler(
    path: Path, form: Graph, denoiser: Denoiser, info: CheckpointInfo, steps: int
) -> dict[str, str]:
    """Write a denoiser with its sampler of `steps` steps, in single precision; returns the metadata.

    Raises:
        UserError: a sampler other than DDIM; missing packages; the file cannot be written.
    """
    diffusion = info.config.diffusion
    if diffusion.sampler != "ddim":
        raise UserError(
            f"{info.path} samples with {diffusion.sampler}: only ddim can be exported as a graph; "
            "write a .safetensors file"
        )
    if torch.__version__ < (2, 12):  # type: ignore[operator]
        raise UserError(
            f"exporting a graph needs torch 2.12, not {torch.__version__}: pip install --upgrade torch"
        )
    if form == "onnx":
        require("onnx", "onnxscript")
    metadata = _metadata(info, steps, denoiser)
    program = _trace(Sampler(denoiser, steps, diffusion.clip).eval(), tiles=form == "onnx")
    write_bytes(path, (_onnx_bytes if form == "onnx" else _pt2_bytes)(program, metadata))
    return metadata


def _metadata(info: CheckpointInfo, steps: int, denoiser: Denoiser) -> dict[str, str]:
    model = Enhancer(denoiser, info, steps)
    return {
        "steps": str(steps),
        "trained_for_steps": str(info.steps),
        "family": info.family,
        "sampler": "ddim, clipped" if info.config.diffusion.clip else "ddim",
        "normalisation": "RGB float32; low and restored in [0, 1], noise, if asked for, standard normal",
        "source_digest": info.digest,
        "picture_settings": json.dumps(model.picture_settings()),
    }


def _trace(sampler: Sampler, tiles: bool = False) -> ExportedProgram:
    """The graph of a sampler; `tiles`: with the thumbnail as an input."""
    pictures = ["low", "noise"] if sampler.uses_noise else ["low"]
    named = {"thumbnail": no_thumbnail()} if tiles else {}
    sides = {2: Dim("height", min=2), 3: Dim("width", min=2)}
    with torch.no_grad():
        program = torch.export.export(
            sampler,
            tuple(torch.zeros(1, 3, *TRACED) for _ in pictures),
            named,
            dynamic_shapes=dict.fromkeys(pictures, sides) | dict.fromkeys(named),
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains local paths
    return program


def _onnx_bytes(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    inputs = program.graph_signature.user_inputs
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=["restored"],
        dynamic_shapes={name: {2: "height", 3: "width"} if name == "low" else {} for name in inputs},
    )
    assert exported is not None
    for node in exported.model.graph:
        node.metadata_props.clear()
    model = exported.model_proto
    default = model.graph.initializer.add()  # of an input: it may be left out
    default.name, default.data_type = "thumbnail", 1  # float32
    default.dims.extend(no_thumbnail().shape)
    default.raw_data = no_thumbnail().numpy().tobytes()
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def no_thumbnail() -> torch.Tensor:
    """What stands for a thumbnail that is left out."""
    return torch.full((1, 3, THUMBNAIL, THUMBNAIL), -1.0)


def _pt2_bytes(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
    return file.getvalue()


def require(*names: str) -> list[ModuleType]:
    """Import packages of the extra `onnx`.

    Raises:
        UserError: one is missing.
    """
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise UserError(
            f"{error.name or names[0]} is not installed: pip install 'reddit-llie[onnx]'"
        ) from error
