"""Exporting a model with its whole sampler as one file for other runtimes.

An `onnx` file runs in ONNX Runtime, a `pt2` file in PyTorch; neither needs this package. Inputs are `low`,
(1, 3, H, W) in [0, 1], and `noise`, standard normal of the same shape. The output is `restored`, of the same
shape, in [0, 1]. All are RGB float32; H and W are free.
"""

from __future__ import annotations

import copy
import importlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from reddit.checkpoint.format import CheckpointInfo, load_denoiser
from reddit.diffusion import Denoiser, NoiseSchedule, Prediction, clipped, sample_ddim, without_pure_noise
from reddit.image.geometry import THUMBNAIL
from reddit.inference.sampling import restore
from reddit.models import ConditionalUNet
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes

Graph = Literal["onnx", "pt2"]
Format = Literal["safetensors", "onnx", "pt2"]
Run = Callable[[Tensor, Tensor], Tensor]
"""(low, noise) → restored."""

OPSET = 20
"""Version of the ONNX operators; supported by ONNX Runtime 1.17 and newer."""
TRACED = (48, 80)
"""Height and width of the picture that the sampler is traced with."""
CHECKED = ((75, 131), (129, 67), (9, 5))
"""Sizes of the pictures for checking an exported file."""
TOLERATED: dict[Format, tuple[float, float]] = {
    "safetensors": (2e-2, 2e-3),
    "onnx": (1e-3, 1e-4),
    "pt2": (1e-3, 1e-4),
}
"""Tolerated differences from PyTorch in single precision, for values in [0, 1]: largest and mean."""
METADATA_FILE = "reddit.json"
"""The file in a pt2 archive with the metadata that an ONNX model holds itself."""


class Visited(NoiseSchedule):
    """A schedule reduced to the times of a sampler; time k is the k-th of them.

    Its levels are constants, so the graph needs no arithmetic for them.
    """

    def __init__(self, schedule: NoiseSchedule, times: Tensor) -> None:
        self._levels = schedule.alpha(times), schedule.sigma(times)

    def alpha(self, t: Tensor) -> Tensor:
        return self._levels[0][t]

    def sigma(self, t: Tensor) -> Tensor:
        return self._levels[1][t]


class Sampler(nn.Module):
    """`reddit.inference.sampling.restore` with DDIM for any size, with unrolled steps and the noise as an
    input.

    Padding, cropping and the thumbnail use indexing and matrix products, because a tracer cannot follow the
    loop of `reddit.image.geometry.pad_to_multiple` and ONNX has no adaptive pooling. The results are the
    same.
    """

    def __init__(self, denoiser: Denoiser, steps: int, clip: bool) -> None:
        super().__init__()
        network = copy.deepcopy(denoiser.network).to(memory_format=torch.contiguous_format)
        assert isinstance(network, ConditionalUNet)
        self.network = network.requires_grad_(False)  # otherwise a pt2 file keeps every activation
        self.schedule = Visited(denoiser.schedule, denoiser.schedule.grid(steps))
        self.prediction = denoiser.prediction
        self.mask_x_T = denoiser.mask_x_T
        self.clip = clip
        self.register_buffer("times", torch.arange(steps + 1))

    def forward(self, low: Tensor, noise: Tensor) -> Tensor:
        """The restored image in [0, 1] from `low` (1, 3, H, W) in [0, 1] and standard normal `noise`."""
        schedule, whole = self.schedule, 2 * low - 1
        padding = padding_indices(low.shape[2], low.shape[3], self.network.multiple)
        inside = torch.arange(low.shape[2]), torch.arange(low.shape[3])
        padded, context = _at(whole, *padding), thumbnail(whole)

        def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
            alpha = schedule.alpha(t).to(x_t.dtype)
            seen = without_pure_noise(x_t, alpha) if self.mask_x_T else x_t
            output = _at(self.network(_at(seen, *padding), padded, alpha, context), *inside)
            return schedule.interpret(self.prediction, output, x_t, t)

        bounded = clipped(denoise, schedule) if self.clip else denoise
        x_0 = sample_ddim(bounded, schedule, noise, whole, self.get_buffer("times"))
        return ((x_0 + 1) / 2).clamp(0, 1)


def padding_indices(height: int, width: int, multiple: int) -> tuple[Tensor, Tensor]:
    """The row and column indices of `reddit.image.geometry.pad_to_multiple`: two int64 vectors.

    Reflection repeats forth and back. Pictures one pixel wide or high repeat their last pixels instead.
    """
    ends = [torch.full((1,), size - 1) for size in (height, width)]
    thin = torch.minimum(ends[0], ends[1]) == 0
    rows, columns = (
        _walk(size, end, thin, multiple) for size, end in zip((height, width), ends, strict=True)
    )
    return rows, columns


def _walk(size: int, end: Tensor, thin: Tensor, multiple: int) -> Tensor:
    # A tracer assumes nothing about a number read from a tensor. About the plain quotient it would assume
    # that it is not 1, and the graph would reject pictures smaller than `multiple`.
    count: int = torch.full((1,), (size + multiple - 1) // multiple).sum().item()  # type: ignore[assignment]
    torch._check(count >= 1)
    place = torch.arange(count * multiple)
    there_and_back = place % (2 * end).clamp_min(1)
    reflected = torch.minimum(there_and_back, 2 * end - there_and_back)
    return torch.where(thin, torch.minimum(place, end), reflected)


def thumbnail(image: Tensor) -> Tensor:
    """`reddit.image.geometry.thumbnail` as matrix products."""
    return averaging_matrix(image.shape[2]) @ image @ averaging_matrix(image.shape[3]).T


def averaging_matrix(size: int) -> Tensor:
    """(64, size): row i averages positions floor(i s/64) to ceil((i + 1) s/64), as adaptive pooling does."""
    cell, place = torch.arange(THUMBNAIL), torch.arange(size)
    first, end = cell * size // THUMBNAIL, ((cell + 1) * size + THUMBNAIL - 1) // THUMBNAIL
    inside = (place >= first[:, None]) & (place < end[:, None])
    return inside.float() / (end - first)[:, None]


def _at(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return image.index_select(2, rows).index_select(3, columns)


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
    metadata = _metadata(info, steps)
    program = _trace(Sampler(denoiser, steps, diffusion.clip).eval())
    write_bytes(path, (_onnx_bytes if form == "onnx" else _pt2_bytes)(program, metadata))
    return metadata


def _metadata(info: CheckpointInfo, steps: int) -> dict[str, str]:
    return {
        "steps": str(steps),
        "trained_for_steps": str(info.steps),
        "family": info.family,
        "sampler": "ddim, clipped" if info.config.diffusion.clip else "ddim",
        "normalisation": "RGB float32; low and restored in [0, 1], noise standard normal",
        "source_digest": info.digest,
    }


def _trace(sampler: Sampler) -> ExportedProgram:
    low, noise = torch.zeros(1, 3, *TRACED), torch.zeros(1, 3, *TRACED)
    sides = {2: Dim("height", min=2), 3: Dim("width", min=2)}
    with torch.no_grad():
        program = torch.export.export(
            sampler,
            (low, noise),
            dynamic_shapes={"low": sides, "noise": sides},
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains local paths
    return program


def _onnx_bytes(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["low", "noise"],
        output_names=["restored"],
        dynamic_shapes={"low": {2: "height", 3: "width"}, "noise": {}},  # names; `noise` follows them
    )
    assert exported is not None
    for node in exported.model.graph:
        node.metadata_props.clear()
    model = exported.model_proto
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _pt2_bytes(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
    return file.getvalue()


@dataclass(frozen=True)
class Difference:
    """The difference between an exported file's picture and PyTorch's, for values in [0, 1]."""

    size: tuple[int, int]
    largest: float
    mean: float

    def __str__(self) -> str:
        height, width = self.size
        return f"{width}×{height}: largest difference {self.largest:.1e}, mean {self.mean:.1e}"


def check_sampler(
    run: Run,
    denoiser: Denoiser,
    steps: int,
    *,
    clip: bool,
    tolerated: tuple[float, float],
    sizes: Sequence[tuple[int, int]] = CHECKED,
) -> list[Difference]:
    """Compare `run` with `restore` in single precision on pictures of these sizes (H, W), with equal noise.

    Raises:
        UserError: the largest or the mean difference exceeds `tolerated`.
    """
    found = []
    for seed, (height, width) in enumerate(sizes):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(3, height, width, generator=generator)[None]
        low = 0.3 * torch.rand(1, 3, height, width, generator=generator)
        expected = restore(denoiser, low, steps, [seed], clip=clip)
        gap = (run(low, noise) - expected).abs()
        found.append(Difference((height, width), gap.max().item(), gap.mean().item()))
    largest, mean = tolerated
    for difference in found:
        if not (difference.largest <= largest and difference.mean <= mean):  # also for NaN
            raise UserError(
                f"the exported file differs from the model: {difference}; tolerated are {largest:g} "
                f"and {mean:g}: do not use it, write another --format"
            )
    return found


def load_sampler(path: Path, form: Format, steps: int, clip: bool) -> Run:
    """Load an exported file as a function of `low` and `noise`, on the CPU.

    `steps` and `clip` are used for a safetensors file; the other formats contain them.

    Raises:
        UserError: ONNX Runtime is missing.
    """
    if form == "onnx":
        return _onnx_session(path)
    if form == "pt2":
        module: nn.Module = torch.export.load(path).module()
    else:
        module = Sampler(load_denoiser(path)[0], steps, clip)

    @torch.no_grad()
    def run(low: Tensor, noise: Tensor) -> Tensor:
        return module(low, noise)

    return run


def _onnx_session(path: Path) -> Run:
    (runtime,) = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(low: Tensor, noise: Tensor) -> Tensor:
        (restored,) = session.run(["restored"], {"low": low.numpy(), "noise": noise.numpy()})
        return torch.from_numpy(restored)

    return run


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
