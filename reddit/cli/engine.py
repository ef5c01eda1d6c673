"""What `enhance` computes with: PyTorch, or ONNX Runtime, which starts at once."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from reddit.checkpoint.shipped import FOLDER, find_graph
from reddit.image.formats import FORMATS
from reddit.inference.picture_enhancer import WHOLE_PIXELS, PictureEnhancer
from reddit.utils.errors import UserError
from reddit.utils.files import is_file
from reddit.utils.text import counted

if TYPE_CHECKING:
    from reddit.inference.files import Plan

OLDEST = (1, 20)
"""The oldest version of ONNX Runtime that is tested."""
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Where drivers of NVIDIA and AMD, and those of Windows under Linux, are found."""


def model_of(arguments: argparse.Namespace, plan: Plan) -> tuple[PictureEnhancer, str]:
    """The model of the flags of `enhance`, and what it is in words.

    `--engine auto` takes ONNX Runtime for a single picture without tiles: it takes less time than importing
    PyTorch, which is faster for all larger work.

    Raises:
        UserError: unknown weights; flags that the engine cannot obey.
    """
    exported = Path(arguments.weights) if (arguments.weights or "").endswith(".onnx") else None
    if exported and arguments.engine == "torch":
        raise UserError(f"--engine torch: {exported} is for ONNX Runtime; choose other --weights")
    graph = exported or _graph(arguments, plan)
    if graph is None:
        return _by_torch(arguments)
    from reddit.inference.exported_enhancer import ExportedEnhancer

    try:
        model = ExportedEnhancer(graph)
    except UserError as error:
        raise error if exported else UserError(f"{error}; or use --engine torch") from error
    _check_exported(arguments, graph, model.steps)
    return model, f"{graph.stem}, {counted(model.steps, 'step')}, ONNX Runtime"


def _by_torch(arguments: argparse.Namespace) -> tuple[PictureEnhancer, str]:
    from reddit.checkpoint.registry import name_of
    from reddit.cli.models import choose_model
    from reddit.inference.loading import enhancer_of

    info, steps = choose_model(arguments.weights, arguments.steps, Path("runs"), shipped_first=True)
    model = enhancer_of(info, steps, arguments.device, arguments.precision)
    return model, f"{name_of(info)}, {counted(steps, 'step')}, PyTorch"


def _graph(arguments: argparse.Namespace, plan: Plan) -> Path | None:
    """The graph of the weights if ONNX Runtime is to run them.

    Raises:
        UserError: it was asked for, and there is none.
    """
    if arguments.engine == "torch":
        return None
    if arguments.engine == "auto" and not _small_on_processor(arguments, plan):
        return None
    graph = find_graph(arguments.weights, arguments.steps, Path("runs"))
    if graph is None and arguments.engine == "onnx":
        raise UserError(
            "--engine onnx: these weights and steps have no graph; write one with reddit-llie export "
            "-o FILE.onnx and choose it as --weights"
        )
    return graph


def _small_on_processor(arguments: argparse.Namespace, plan: Plan) -> bool:
    """Whether all work is one small picture, without settings that only PyTorch has or that take longer."""
    plain = arguments.precision is None and arguments.ensemble == 1 and not arguments.watch
    on_processor = arguments.device == "cpu" or (arguments.device == "auto" and not gpu_in_sight())
    return (
        plain
        and on_processor
        and plan.single
        and all(0 < pixels_of(path) <= WHOLE_PIXELS for path in plan.outputs)
        and onnxruntime_is_installed()
    )


def pixels_of(path: Path) -> int:
    """The pixels of a picture by its header; 0 if they are not known without more than PIL."""
    from PIL import Image

    if path.suffix.lower() not in FORMATS or not is_file(path):
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reading the picture says what is wrong with it
        try:
            with Image.open(path) as image:
                return image.width * image.height
        except Exception:  # of every kind on damaged files
            return 0


def onnxruntime_is_installed() -> bool:
    """Whether a version that is known to work is installed; without importing it."""
    try:
        major, minor = version("onnxruntime").split(".")[:2]
        return (int(major), int(minor)) >= OLDEST
    except (PackageNotFoundError, ValueError):
        return False


def gpu_in_sight() -> bool:
    """Whether PyTorch may find a GPU; without importing it."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return any(Path(name).exists() for name in GPU_DEVICES) or shutil.which("nvidia-smi") is not None


def _check_exported(arguments: argparse.Namespace, graph: Path, steps: int) -> None:
    """Refuse what an exported file cannot do."""
    only = {
        "--steps": (arguments.steps, str(steps)),
        "--precision": (arguments.precision, "fp32"),
        "--device": (None if arguments.device == "auto" else arguments.device, "cpu"),
    }
    shipped = graph.parent == FOLDER
    model = f"{graph.stem} in ONNX Runtime" if shipped else arguments.weights
    other = "use --engine torch" if shipped else "choose other --weights"
    for flag, (asked, has) in only.items():
        if asked is not None and str(asked) != has:
            raise UserError(f"{flag} {asked}: {model} has {has}; leave {flag} out, or {other}")
