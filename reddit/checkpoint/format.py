"""The checkpoint format: weights as safetensors with the configuration inside, and the training state."""

from __future__ import annotations

import errno
import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.shapes import check_shapes, compare
from reddit.checkpoint.upgrade import upgrade
from reddit.config import Config, resolve_config
from reddit.config.public import public
from reddit.diffusion import Denoiser
from reddit.utils.errors import UserError
from reddit.utils.files import file_digest, is_file, write_atomic
from reddit.utils.names import check_name
from reddit.utils.text import counted, reason, short

FORMAT = "reddit-llie/1"
LARGEST_WEIGHT = 1e6
HALF = torch.finfo(torch.float16).max
PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How files of older versions of PyTorch begin; those of newer ones are zip archives."""
CHOSEN, NEWEST, STATE = "best.safetensors", "last.safetensors", "state.pt"


@dataclass(frozen=True, repr=False)
class CheckpointInfo:
    """The metadata of a checkpoint file.

    Attributes:
        config: the resolved configuration of its run.
        steps: the sampling steps it was trained for.
        family: the family of runs, that is, the name of its teacher's run.
        method: `teacher`, `reddit`, or another distillation method.
        iteration: iterations done.
        training_pictures: fingerprints of all pictures of its training set, including its validation split
            and, for a student, the pictures of its teacher.
        validation_pictures: those of its own validation split; empty in older files.
        validation: the validation scores by which it was chosen, if any.
    """

    config: Config
    steps: int
    family: str
    method: str
    iteration: int
    training_pictures: frozenset[str]
    validation_pictures: frozenset[str]
    validation: dict[str, float]
    path: Path

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the file's SHA-256; reads the whole file."""
        return file_digest(self.path)

    def __repr__(self) -> str:
        return f"CheckpointInfo({self.path}, {self.method}, steps={self.steps}, family={self.family!r})"


def save_weights(
    path: Path,
    denoiser: Denoiser,
    config: Config,
    *,
    steps: int,
    family: str,
    method: str,
    iteration: int,
    training_pictures: frozenset[str] = frozenset(),
    validation_pictures: frozenset[str] = frozenset(),
    validation: dict[str, float] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write weights and their metadata atomically; loading needs nothing but the file.

    Raises:
        UserError: the disk is full or the folder cannot be written; half precision does not
            hold a weight.
    """
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in denoiser.network.state_dict().items()}
    broken = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken and dtype == torch.float16:
        raise UserError(
            f"cannot write {path}: {counted(len(broken), 'tensor')} with weights above {HALF:g}, which half "
            f"precision does not hold, first {broken[0]}"
        )
    metadata = {
        "format": FORMAT,
        "config": config.model_dump_json(),
        "steps": str(steps),
        "family": family,
        "method": method,
        "iteration": str(iteration),
        "training_pictures": " ".join(sorted(training_pictures)),
        "validation_pictures": " ".join(sorted(validation_pictures)),
        "validation": json.dumps(validation or {}),
    }
    _write(path, lambda temporary: save_file(tensors, temporary, metadata))


def copy_public(model: CheckpointInfo, path: Path) -> None:
    """Copy a checkpoint, to share it: `public` is applied to its configuration."""
    with safe_open(model.path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    metadata["config"] = public(model.config).model_dump_json()
    save_file(tensors, path, metadata)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the training state (tensors and plain values only) atomically; errors as in `save_weights`."""
    _write(path, lambda temporary: torch.save(state, temporary))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write_atomic(path, write)
    except (OSError, SafetensorError, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        # safetensors and torch report a full disk without an errno.
        full = full or any(text in str(error) for text in ("No space", "quota", "inline_container"))
        remedy = "free some space and run again" if full else reason(error)
        raise UserError(
            f"cannot write the checkpoint {path}: {remedy}; earlier checkpoints are intact"
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        UserError: the file is damaged.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError
        with warnings.catch_warnings():  # about the file format; the error says what to do
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
    except Exception as error:
        raise UserError(
            f"the training state {path} is damaged ({type(error).__name__}): --resume another state, "
            "or move the run folder away to start from the beginning"
        ) from error


def read_info(path: str | Path) -> CheckpointInfo:
    """Read the metadata of a checkpoint, without its weights.

    Raises:
        UserError: the file is missing, damaged, or not a checkpoint of this framework.
    """
    path = Path(path)
    if not is_file(path):
        raise UserError(f"no checkpoint at {path}: train one, or choose another with --weights or --teacher")
    metadata = _metadata(path)
    try:
        settings = upgrade(json.loads(metadata["config"]))
        info = CheckpointInfo(
            config=resolve_config(settings, source=str(path)),
            steps=int(metadata["steps"]),
            family=check_name(metadata["family"]),
            method=check_name(metadata["method"]),
            iteration=int(metadata["iteration"]),
            training_pictures=frozenset(metadata["training_pictures"].split()),
            validation_pictures=frozenset(metadata.get("validation_pictures", "").split()),
            validation={str(k): float(v) for k, v in json.loads(metadata["validation"]).items()},
            path=path,
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        lacking = isinstance(error, KeyError)
        what = f"lacks {reason(error)}" if lacking else f"is damaged ({type(error).__name__})"
        raise UserError(
            f"{path}: its header {what}; copy the file again, or choose another checkpoint"
        ) from error
    if not 1 <= info.steps <= info.config.diffusion.steps:
        raise UserError(
            f"{path}: its header claims {info.steps} sampling steps, but its noise schedule allows 1 to "
            f"{info.config.diffusion.steps}; copy the file again, or choose another checkpoint"
        )
    return info


def _metadata(path: Path) -> dict[str, str]:
    """The metadata in the header of a checkpoint.

    Raises:
        UserError: the file is damaged, or of another program; says of which kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata, keys = file.metadata() or {}, list(file.keys())
    except (SafetensorError, OSError) as error:
        if zipfile.is_zipfile(path) or path.open("rb").read(2).startswith(PICKLED):
            raise UserError(
                f"{path} is a PyTorch file (.pth), which is not loaded since it can run code: weights are "
                ".safetensors files with their configuration inside, as train, distill and export write them"
            ) from error
        raise UserError(f"{path} is not a safetensors file or is truncated: {reason(error)}") from error
    if metadata.get("format") != FORMAT:
        wrapped = ", wrapped in DataParallel" if any(key.startswith("module.") for key in keys) else ""
        raise UserError(
            f"{path} is not a {FORMAT} checkpoint: it holds weights of another program{wrapped}, without the "
            "configuration of their network"
        )
    return metadata


def load_denoiser(path: str | Path) -> tuple[Denoiser, CheckpointInfo]:
    """Load the denoiser of a checkpoint, in evaluation mode on the processor.

    Raises:
        UserError: as in `read_info`, or the weights do not match the configuration in the file.
    """
    info = read_info(path)
    check_shapes(info.path, info.config.model)
    denoiser = build_denoiser(info.config)
    load_weights(denoiser, info.path)
    return denoiser.eval(), info


def load_weights(denoiser: Denoiser, path: Path) -> None:
    """Load weights into a network with the same tensors.

    Raises:
        UserError: names or shapes differ; a weight is not finite, or so large that no output would be.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:  # a type that PyTorch lacks or cannot convert
        raise UserError(f"{path}: its weights cannot be read ({reason(error)}); copy it again") from error
    shapes, wanted = (
        {key: tuple(tensor.shape) for key, tensor in state.items()}
        for state in (tensors, denoiser.network.state_dict())
    )
    compare(shapes, wanted, path)
    broken = [key for key, tensor in tensors.items() if not (tensor.abs() <= LARGEST_WEIGHT).all()]
    if broken:
        raise UserError(
            f"{path}: {counted(len(broken), 'tensor')} with weights that are not finite or above "
            f"{LARGEST_WEIGHT:g}, first {short(broken[0])}; use an earlier checkpoint, or train again with a "
            "lower train.lr"
        )
    denoiser.network.load_state_dict(tensors)
