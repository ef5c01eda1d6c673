"""What a GPU has to do: training steps of every method, enhancing, scoring."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import CheckpointInfo
from reddit.config import Config, load_config, resolve_config
from reddit.data import Batch
from reddit.diffusion import Denoiser
from reddit.evaluation.evaluate import predict_with
from reddit.image.read import Photo
from reddit.image.write import write_photo
from reddit.inference.enhancer import Enhancer
from reddit.inference.files import enhance_files, plan_outputs
from reddit.inference.sampling import restore
from reddit.methods import DISTILLATIONS, Method
from reddit.metrics import Scorer, perceptual
from reddit.training.build import build_distillation, build_teacher, student_config
from reddit.training.loop import Trainer
from simulated_gpu.names import METHODS, NETWORKS

Step = Callable[[], object]
"""One step; the same work at each call."""

assert {name.split()[0] for name in METHODS} == {"teacher", *DISTILLATIONS}


def make(name: str, device: torch.device) -> Step:
    """The step of a case.

    A case is METHOD/NETWORK/PRECISION, as `reddit/sr3/bf16`. The method may also be `enhance`, `batch`,
    `folder`, `tiles` or `score`, or, with HEIGHTxWIDTH behind, `pass`. The network is a tiny one, or that of
    a shipped configuration. `paper` is `lolv1` with 16 crops.
    """
    method, network, precision, *size = name.split("/")
    if method == "pass":
        height, width = map(int, size[0].split("x"))
        return one_pass(shipped(network, precision), device, (height, width))
    if network not in NETWORKS:
        return training(shipped(network, precision, distillation=method != "teacher"), method, device)
    if method in METHODS:
        return training(tiny(network, precision, method), method, device)
    config = tiny(network, precision)
    if method == "score":
        return scoring(config, device)
    if method == "batch":
        return enhancing_a_batch(config, device)
    if method == "folder":
        return enhancing_a_folder(config, device)
    return enhancing(config, device, tile=64 if method == "tiles" else 0)


def tiny(network: str, precision: str, method: str = "teacher") -> Config:
    """A tiny configuration, with the settings of one of `METHODS`."""
    plain: dict[str, Any] = {
        "precision": precision,
        "model": NETWORKS[network] | {"prediction": "v"},
        "diffusion": {"zero_terminal_snr": True, "teacher_steps": 4},
        "train": {"batch_size": 2, "iterations": 10},
        "data": {"crop": 32},
        "perceptual": {"backbone": "alex"},
    }
    settings = list(METHODS[method])
    if not method.startswith("teacher"):
        settings.append(f"distill.method={method.split()[0]}")
    return resolve_config(plain, settings, source="a case")


def shipped(name: str, precision: str, distillation: bool = False) -> Config:
    """A shipped configuration, or the paper's network and settings with 16 crops of 96×96."""
    settings = [f"precision={precision}"]
    if name == "paper":
        name, settings = "lolv1", [*settings, "train.batch_size=16", "distill.train.batch_size=16"]
    return load_config(
        str(Path(__file__).parents[2] / "configs" / f"{name}.yaml"), settings, stage=distillation
    )


def training(config: Config, method: str, device: torch.device) -> Step:
    """A training step of a method, from a batch in pinned memory to the averaged weights and the meter."""
    batch = _batch(config, device)
    trainer = Trainer(
        build_method(config, method.split()[0], device),
        _no_loader,
        config.train,
        Path("unused"),
        seed=config.seed,
        precision=config.precision,
        write_weights=lambda *_, **__: None,
        quiet=True,
    )

    for parameter in trainer.method.denoiser.parameters():  # the moments, which only the first step makes
        parameter.grad = torch.zeros_like(parameter)
    trainer.state.optimizer.step()

    def forever() -> Iterator[Batch]:
        while True:
            yield batch

    batches = forever()

    def step() -> dict[str, torch.Tensor]:
        losses = trainer.train_step(batches)
        trainer.meter.add(trainer.progress.iteration, losses)
        return losses

    return step


def build_method(config: Config, name: str, device: torch.device) -> Method:
    """The teacher's training, or a distillation of a student of half as many steps."""
    torch.manual_seed(0)
    if name == "teacher":
        return build_teacher(config, build_denoiser(config).to(device))
    student, teacher = (build_denoiser(each).to(device) for each in (student_config(config), config))
    count = config.diffusion.teacher_steps
    return build_distillation(config, student, teacher, steps=count // 2, teacher_steps=count, device=device)


def enhancing(config: Config, device: torch.device, *, tile: int = 0) -> Step:
    """Enhancing a picture of 60×110, in tiles of a side (two of 64) or as a whole (0)."""
    model = Enhancer(denoiser(config, device), _info(config), 2, config.precision)
    picture = np.random.default_rng(0).integers(0, 40, (60, 110, 3), np.uint8)
    return lambda: model.enhance(picture, tile=tile, guard=False)


def enhancing_a_batch(config: Config, device: torch.device) -> Step:
    """Enhancing three pictures of 60×110, given as a tensor."""
    model = Enhancer(denoiser(config, device), _info(config), 2, config.precision)
    pictures = 0.15 * torch.rand(3, 3, 60, 110, generator=torch.Generator().manual_seed(0))
    return lambda: model.enhance(pictures, guard=False)


def enhancing_a_folder(config: Config, device: torch.device) -> Step:
    """Enhancing a folder with three pictures of 60×110."""
    model = Enhancer(denoiser(config, device), _info(config), 2, config.precision)
    pictures = np.random.default_rng(0).integers(0, 40, (3, 60, 110, 3), np.uint8)

    def step() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for number, picture in enumerate(pictures):
                write_photo(folder / f"{number}.png", Photo(picture))
            done = enhance_files(plan_outputs([folder], folder / "out"), model, guard=False, quiet=True)
        assert len(done.written) == 3, done.failed

    return step


def scoring(config: Config, device: torch.device) -> Step:
    """Restoring a test picture and scoring it."""
    predict = predict_with(denoiser(config, device), 2, precision=config.precision)
    scorer = Scorer(device=device)
    rng = np.random.default_rng(0)
    low, high = rng.integers(0, 40, (48, 64, 3), np.uint8), torch.rand(3, 48, 64)
    return lambda: scorer.score(predict("a", low, 0), high)


def one_pass(config: Config, device: torch.device, size: tuple[int, int]) -> Step:
    """Restoring a picture of (height, width), which is on the device, in one step."""
    model = denoiser(config, device)
    low = torch.zeros(1, 3, *size, device=device)
    return lambda: restore(model, low, 1, [0], precision=config.precision)


def denoiser(config: Config, device: torch.device) -> Denoiser:
    torch.manual_seed(0)
    return build_denoiser(config).to(device).eval()


def random_lpips(folder: Path) -> dict[str, Path]:
    """Files with random convolutions for LPIPS, by the environment variable that names them."""
    files = {}
    for backbone, variable in (("vgg", "REDDIT_VGG16"), ("alex", "REDDIT_ALEXNET")):
        path = folder / f"{backbone}.safetensors"
        with torch.device("meta"):
            network = perceptual._vgg16() if backbone == "vgg" else perceptual._alexnet()
        save_file(
            {f"features.{name}": 0.03 * torch.randn(p.shape) for name, p in network.named_parameters()}, path
        )
        files[variable] = path
    return files


def _batch(config: Config, device: torch.device) -> Batch:
    count, crop = config.train.batch_size, config.data.crop
    sides = {"low": crop, "high": crop, "denoised": crop, "context": 64}
    generator = torch.Generator().manual_seed(0)
    batch = {name: torch.rand(count, 3, side, side, generator=generator) for name, side in sides.items()}
    if device.type == "cuda":
        batch = {name: image.pin_memory() for name, image in batch.items()}
    return batch  # type: ignore[return-value]


def _no_loader(*_: object, **__: object) -> Iterator[Batch]:
    raise AssertionError("the cases bring their own batches")


def _info(config: Config) -> CheckpointInfo:
    nothing: frozenset[str] = frozenset()
    return CheckpointInfo(config, 2, "case", "teacher", 1, nothing, nothing, {}, Path("unused"))
