"""Tiny runs that tests of training share, in this process and in others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tiny_set import NETWORK, write
from torch import Tensor

from reddit.checkpoint.format import load_state, read_info, save_weights
from reddit.config import Config, DataConfig, ReDDiTConfig, TrainConfig
from reddit.data import Batch, Pair, TrainingCrops, training_loader
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.methods import Method, ReDDiT, Teacher
from reddit.models import ConditionalUNet
from reddit.training.loop import Trainer
from reddit.training.state import Progress
from reddit.training.stopping import StopRequest, only_process
from reddit.training.validation import Validation
from reddit.utils.errors import UserError

SETTINGS = TrainConfig(
    iterations=12, batch_size=2, lr=1e-3, warmup=2, decay_from=0.5, lr_end=1e-5, log_every=1,
    validate_every=3, checkpoint_every=2,
)  # fmt: skip


def settings(**changes: object) -> TrainConfig:
    return SETTINGS.model_copy(update=changes)


def tiny_denoiser(seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    network = ConditionalUNet(width=8, multipliers=[1, 2], blocks=1, attention_levels=[1], groups=4)
    return Denoiser(network, NoiseSchedule(zero_terminal_snr=True), "v")


def teacher() -> Method:
    return Teacher(tiny_denoiser(), 16, p_terminal=0.2)


def student() -> Method:
    distill = ReDDiTConfig(w_per=0.0, p_rollout=0.5, p_terminal=0.2)
    return ReDDiT(tiny_denoiser(), tiny_denoiser(1), 2, distill)


class Run:
    """A run in a folder: held by one process, resumed by itself, as the scripts do it."""

    def __init__(
        self,
        folder: Path,
        make: Callable[[], Method] = teacher,
        settings: TrainConfig = SETTINGS,
        workers: int = 0,
    ) -> None:
        self.folder, self.method, self.settings = folder, make(), settings
        rng = np.random.default_rng(0)
        pairs = [Pair(str(i), *rng.integers(0, 256, (2, 14, 12, 3), np.uint8)) for i in range(3)]
        self.crops = TrainingCrops(pairs, DataConfig(crop=8, vertical_flip=True, workers=workers), seed=4)
        self.validated: list[int] = []
        """The iterations of whole validations."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def state(self) -> Path:
        return self.checkpoints / "state.pt"

    def go(
        self,
        resume: Path | None = None,
        validate: bool = True,
        precision: str = "fp32",
    ) -> Progress:
        with only_process(self.folder):
            return Trainer(
                self.method,
                self.loader,
                self.settings,
                self.folder,
                seed=11,
                precision=precision,
                write_weights=self.save,
                validate=self.validate if validate else None,
                quiet=True,
            ).train(resume or (self.state if self.state.exists() else None))

    def loader(self, done: int, batch_indices: range, grad_accum_steps: int) -> Iterable[Batch | UserError]:
        return training_loader(
            self.crops,
            self.settings.batch_size,
            0,
            done,
            batch_indices=batch_indices,
            grad_accum_steps=grad_accum_steps,
        )

    def save(self, path: Path, denoiser: Denoiser, *, iteration: int, validation: dict[str, float]) -> None:
        named = {"steps": 1, "family": "tiny", "method": self.method.name, "iteration": iteration}
        save_weights(path, denoiser, Config(), **named, validation=validation)  # type: ignore[arg-type]

    def validate(
        self, denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None
    ) -> Validation | None:
        """The further the weights have moved, the better: rises with every iteration."""
        now, first = denoiser.network.state_dict(), tiny_denoiser().network.state_dict()
        moved = sum((now[name] - first[name]).abs().sum().item() for name in now)
        for picture in range(3):
            if stop:
                return None
            self.look(picture)
        return Validation({"psnr": moved}, (torch.zeros(3, 4, 4),) * 3)

    def look(self, picture: int) -> None:
        """Called at each of the three pictures of a validation."""

    def saved_iteration(self) -> int | None:
        """Where the newest state stands; None if there is none."""
        return load_state(self.state)["progress"]["iteration"] if self.state.exists() else None


def left_by(folder: Path) -> dict[str, object]:
    """What a run leaves, but for how long it took and which the newest state is called."""
    checkpoints = folder / "checkpoints"
    state = load_state(checkpoints / "state.pt")
    del state["progress"]["seconds"]
    weights = {}
    for name in ("best", "last"):
        path = checkpoints / f"{name}.safetensors"
        info = read_info(path)
        weights[name] = (load_file(path), info.iteration, info.validation)
    return {"state": state, "weights": weights}


def same(a: object, b: object) -> bool:
    """Equal bit for bit, through dictionaries and lists."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def write_lol(folder: Path, pairs: int = 6) -> Path:
    """A tiny LOL-v1 tree without a test set; the configuration of a run on it, `folder/tiny.yaml`."""
    return write(folder, tiny_settings(folder), train=pairs, test=0)


def tiny_settings(folder: Path) -> dict[str, dict[str, object] | str]:
    train = SETTINGS.model_dump() | {"batch_size": 4, "decay_from": 1.0}
    return {
        "name": "tiny",
        "runs": str(folder / "runs"),
        "device": "cpu",
        "precision": "fp32",
        "data": {"root": str(folder / "data"), "crop": 16, "validation": 0.3},
        "model": NETWORK | {"attention_levels": [1]},
        "diffusion": {"zero_terminal_snr": True, "teacher_steps": 2},
        "train": train,
        "distill": {"reddit": {"w_per": 0.0, "denoiser": "gaussian"}, "train": train},
    }  # fmt: skip
