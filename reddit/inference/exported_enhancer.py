"""Enhancing with an exported `.onnx` file, by ONNX Runtime and without PyTorch: a command starts at once."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from reddit.image.arrays import THUMBNAIL, turned, turned_back
from reddit.image.pixels import to_planes
from reddit.inference.numpy_noise import torch_randn
from reddit.inference.picture_enhancer import PictureEnhancer, Strips
from reddit.inference.seeds import view_seed
from reddit.inference.tiling import Span, Tiling, blended_rows, one_by_one
from reddit.utils.errors import UserError
from reddit.utils.files import file_digest, is_file
from reddit.utils.progress import progress
from reddit.utils.text import reason

SUFFIX = ".onnx"
WEIGHTS = "weights"
"""The metadata of a graph that names the file beside it which holds its weights."""
SETTINGS = ("guarded", "local", "scale", "overlap", "multiple")


class ExportedEnhancer(PictureEnhancer):
    """An exported model with its sampler, in single precision on the processor.

    Args:
        path: a file that `reddit-llie export` wrote.

    Attributes:
        steps: its sampling steps.

    Raises:
        UserError: ONNX Runtime is not installed; the file is missing or another one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = open_session(path)
        known = self._session.get_modelmeta().custom_metadata_map
        if "picture_settings" not in known:
            raise UserError(
                f"{path} does not say how pictures are enhanced: export it again with this version"
            )
        try:
            self._settings: dict[str, int] = {
                name: int(json.loads(known["picture_settings"])[name]) for name in SETTINGS
            }
            self.steps = int(known["steps"])
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is damaged ({reason(error)}): export it again") from error
        self._asks_for_noise = asks_for_noise(self._session)
        if WEIGHTS in known:
            _check_weights(path, path.parent / Path(known[WEIGHTS]).name, known.get("source_digest"))

    @property
    def guarded(self) -> bool:
        return bool(self._settings["guarded"])

    @property
    def _local(self) -> bool:
        return bool(self._settings["local"])

    @property
    def _scale(self) -> int:
        return self._settings["scale"]

    @property
    def _overlap(self) -> int:
        return self._settings["overlap"]

    @property
    def _multiple(self) -> int:
        return self._settings["multiple"]

    def _restored(
        self, rgb: np.ndarray, noise_seed: int, ensemble: int, tiling: Tiling | None, quiet: bool
    ) -> Strips:
        shape = 3, rgb.shape[0], rgb.shape[1]
        noises = [self._noise(view_seed(noise_seed, view), shape) for view in range(ensemble)]
        if tiling is None:
            return [(0, self._mean(to_planes(rgb), noises, None))]
        thumbnail = averaged(rgb)

        def tile(rows: Span, columns: Span) -> np.ndarray:
            place = slice(*rows), slice(*columns)
            parts = [None if noise is None else noise[:, place[0], place[1]] for noise in noises]
            return self._mean(to_planes(rgb[place]), parts, thumbnail)

        strips = blended_rows(rgb.shape[0], rgb.shape[1], tiling, one_by_one(tile))
        return progress(strips, "tiles", "row", total=len(tiling.spans(len(rgb))), quiet=quiet)

    def _noise(self, seed: int, shape: tuple[int, ...]) -> np.ndarray | None:
        if not self._asks_for_noise:
            return None
        return torch_randn(seed, int(np.prod(shape))).reshape(shape)

    def _mean(
        self, low: np.ndarray, noises: list[np.ndarray | None], thumbnail: np.ndarray | None
    ) -> np.ndarray:
        """The mean over flips and rotations of a picture or tile (3, H, W)."""
        total = np.zeros_like(low)
        for view, noise in enumerate(noises):
            given = {"low": low, "noise": noise, "thumbnail": thumbnail}
            feed = {
                key: np.ascontiguousarray(turned(value, view))[None]
                for key, value in given.items()
                if value is not None
            }
            (restored,) = self._session.run(["restored"], feed)
            total += turned_back(restored[0], view)
        if not np.isfinite(total).all():
            raise UserError(f"the output of {self.path} is not finite: its weights are damaged; export again")
        return total / len(noises)


def _check_weights(graph: Path, weights: Path, digest: str | None) -> None:
    """Check that a graph was made of the weights that it reads.

    Raises:
        UserError: it was made of others.
    """
    if not is_file(weights) or file_digest(weights) != digest:
        raise UserError(f"{graph} was made of other weights than {weights.name} beside it")


def open_session(path: Path) -> Any:
    """An `onnxruntime.InferenceSession` on the processor.

    Its threads wait without spinning, which on a busy machine would hold other processes up;
    OMP_NUM_THREADS limits their number.

    Raises:
        UserError: ONNX Runtime is not installed; the file is missing or damaged.
    """
    if not is_file(path):
        raise UserError(f"no file {path}: write it with reddit-llie export, or choose other --weights")
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UserError("onnxruntime is not installed: pip install 'reddit-llie[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of several kinds, all of that package
        raise UserError(f"{path} cannot be loaded: {reason(error)}; export it again") from error


def asks_for_noise(session: Any) -> bool:
    """Whether an exported network has the input `noise`."""
    return "noise" in [one.name for one in session.get_inputs()]


def averaged(rgb: np.ndarray) -> np.ndarray:
    """`reddit.image.geometry.thumbnail` of RGB (H, W, 3) of any dtype: (3, 64, 64) in [0, 1]."""
    down, across = (averaging_matrix(size) for size in rgb.shape[:2])
    return np.stack([down @ plane @ across.T for plane in to_planes(rgb)])


def averaging_matrix(size: int) -> np.ndarray:
    """(64, size): row i averages positions floor(i s/64) to ceil((i + 1) s/64), as adaptive pooling does."""
    cell, place = np.arange(THUMBNAIL)[:, None], np.arange(size)
    first, end = cell * size // THUMBNAIL, ((cell + 1) * size + THUMBNAIL - 1) // THUMBNAIL
    inside = (place >= first) & (place < end)
    return (inside / (end - first)).astype(np.float32)
