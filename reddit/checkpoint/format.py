"""Checkpoints: weights as safetensors with the configuration inside, and the state a resume needs."""

from __future__ import annotations

import errno
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.upgrade import upgrade
from reddit.config import Config, resolve_config
from reddit.diffusion import Denoiser
from reddit.utils.errors import UserError
from reddit.utils.files import write_atomic

FORMAT = "reddit-llie/1"
CHOSEN, NEWEST, STATE = "best.safetensors", "last.safetensors", "state.pt"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint file says of itself.

    Attributes:
        config: the resolved configuration of its run.
        steps: the sampling steps it was trained for.
        family: the run family, i.e. the name of its teacher's run.
        method: `teacher` or `reddit`.
        iteration: iterations done.
        training_pictures: fingerprints of every picture of its training set, validation split included; of a
            student's teacher, too.
        validation_pictures: of these, its own validation split; empty in older files.
        validation: the validation score that chose it, if any.
        digest: the first 12 hexadecimal digits of the file's SHA-256.
    """

    config: Config
    steps: int
    family: str
    method: str
    iteration: int
    training_pictures: frozenset[str]
    validation_pictures: frozenset[str]
    validation: dict[str, float]
    digest: str
    path: Path


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
    """Write weights that need nothing but themselves to be used; whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in denoiser.network.state_dict().items()}
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


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write training state (tensors and plain values only), whole or not at all; errors as above."""
    _write(path, lambda temporary: torch.save(state, temporary))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write_atomic(path, write)
    except (OSError, SafetensorError, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        # safetensors and torch report a short write without an errno.
        full = full or any(text in str(error) for text in ("No space", "quota", "inline_container"))
        remedy = "free some space and run again" if full else str(error).partition("\n")[0]
        raise UserError(
            f"cannot write the checkpoint {path}: {remedy}; earlier checkpoints are whole"
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with warnings.catch_warnings():  # of the format: the error says all there is to do
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
    except Exception as error:
        raise UserError(
            f"the training state {path} is damaged: remove it to start the run anew, "
            f"or --resume another ({type(error).__name__})"
        ) from error


def read_info(path: str | Path) -> CheckpointInfo:
    """Read what a checkpoint says of itself, without its weights.

    Raises:
        UserError: the file is missing, damaged, or not a checkpoint of this framework.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}: train one, or name another with --weights or --teacher")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a safetensors file or is truncated: {error}") from error
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} holds no {FORMAT} checkpoint: was it written by another program?")
    return CheckpointInfo(
        config=resolve_config(upgrade(json.loads(metadata["config"])), source=str(path)),
        steps=int(metadata["steps"]),
        family=metadata["family"],
        method=metadata["method"],
        iteration=int(metadata["iteration"]),
        training_pictures=frozenset(metadata["training_pictures"].split()),
        validation_pictures=frozenset(metadata.get("validation_pictures", "").split()),
        validation=json.loads(metadata["validation"]),
        digest=hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        path=path,
    )


def load_denoiser(path: str | Path) -> tuple[Denoiser, CheckpointInfo]:
    """Rebuild the denoiser of a checkpoint, in evaluation mode on the processor.

    Raises:
        UserError: as `read_info`, or the weights do not fit the configuration they came with.
    """
    info = read_info(path)
    denoiser = build_denoiser(info.config)
    load_weights(denoiser, info.path)
    return denoiser.eval(), info


def load_weights(denoiser: Denoiser, path: Path) -> None:
    """Load weights into a network of the same shape.

    Raises:
        UserError: names or shapes differ.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    wanted = denoiser.network.state_dict()
    wrong = sorted(tensors.keys() ^ wanted.keys()) or sorted(
        k for k in wanted if tensors[k].shape != wanted[k].shape
    )
    if wrong:
        raise UserError(
            f"{path} does not fit the configured network: {len(wrong)} tensors differ, first {wrong[0]}; "
            "use the configuration it was trained with"
        )
    denoiser.network.load_state_dict(tensors)
