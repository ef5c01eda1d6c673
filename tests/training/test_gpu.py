"""What only a GPU can show: run with `pytest -m gpu` where there is one.

The first two tests run the cases of `tests/gpu_simulated`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from reddit.config import DataConfig, ReDDiTConfig, TrainConfig
from reddit.data import Batch, Pair, TrainingCrops, training_loader
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.inference.sampling import restore
from reddit.methods import ReDDiT, Teacher
from reddit.models import ConditionalUNet
from reddit.training.logging import read_log
from reddit.training.loop import Trainer
from reddit.training.state import TrainingState
from reddit.utils.device import autocast
from reddit.utils.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from simulated_gpu.cases import denoiser as case_denoiser
from simulated_gpu.cases import make, random_lpips, tiny
from simulated_gpu.names import METHODS, NETWORKS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU"),
]
SETTINGS = TrainConfig(iterations=30, batch_size=4, lr=1e-3, log_every=10, checkpoint_every=10)


def denoiser(block: str = "sr3") -> Denoiser:
    torch.manual_seed(0)
    light = block == "light"
    network = ConditionalUNet(
        16,
        [1, 2],
        1,
        [] if light else [1],
        groups=4,
        block=block,
        context=light,  # type: ignore[arg-type]
    )
    return Denoiser(network, NoiseSchedule(zero_terminal_snr=True), "v")


def train(
    folder: Path,
    precision: str,
    settings: TrainConfig = SETTINGS,
    resume: Path | None = None,
    kind: str = "teacher",
) -> list[float]:
    """The losses of a run on the GPU."""
    network = denoiser().cuda()
    method = (
        Teacher(network, 16)
        if kind == "teacher"
        else ReDDiT(network, denoiser().cuda(), 2, ReDDiTConfig(w_per=0.0, p_rollout=0.3))
    )
    rng = np.random.default_rng(0)
    pairs = [Pair(str(i), *rng.integers(0, 256, (2, 40, 36, 3), np.uint8)) for i in range(3)]
    crops = TrainingCrops(pairs, DataConfig(crop=32, workers=1), 0)

    def loader(done: int, batch_indices: range, grad_accum_steps: int) -> Iterable[Batch | UserError]:
        return training_loader(
            crops,
            settings.batch_size,
            0,
            done,
            batch_indices=batch_indices,
            grad_accum_steps=grad_accum_steps,
            pin_memory=True,
        )

    Trainer(
        method,
        loader,
        settings,
        folder,
        seed=0,
        precision=precision,
        write_weights=lambda *_, **__: None,
        quiet=True,
    ).train(resume)
    return [float(line["loss"]) for line in read_log(folder) if line["kind"] == "train"]


@pytest.fixture(scope="module", autouse=True)
def _lpips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable, path in random_lpips(tmp_path_factory.mktemp("lpips")).items():
            patch.setenv(variable, str(path))
        yield


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_every_method_never_waits(method: str, precision: str) -> None:
    step = make(f"{method}/sr3/{precision}", torch.device("cuda", 0))
    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert isinstance(losses, dict)
    assert losses["loss"].isfinite()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("work", ["teacher", "enhance", "batch", "folder", "tiles", "score"])
def test_every_network_trains_enhances_and_is_scored(work: str, network: str, precision: str) -> None:
    make(f"{work}/{network}/{precision}", torch.device("cuda", 0))()


@pytest.mark.parametrize("kind", ["teacher", "distillation"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_like_single(precision: str, kind: str, tmp_path: Path) -> None:
    half, single = (train(tmp_path / p, p, kind=kind) for p in (precision, "fp32"))
    assert single[-1] < single[0]
    assert half == pytest.approx(single, rel=0.05)


@pytest.mark.parametrize("kind", ["teacher", "distillation"])
@pytest.mark.parametrize("mode", [True, "max"])
def test_compiled_networks_train_like_eager_ones(mode: bool | str, kind: str, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"compile": mode})
    compiled = train(tmp_path / "a", "bf16", settings, kind=kind)
    assert compiled == pytest.approx(train(tmp_path / "b", "bf16", kind=kind), rel=0.05)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_network_restores_pictures_of_many_sizes(mode: str, network: str) -> None:
    config, device = tiny(network, "bf16"), torch.device("cuda", 0)
    ours, theirs = (case_denoiser(config, device) for _ in range(2))
    ours.network.compile(mode=mode)
    for size in ((32, 32), (33, 47), (40, 52), (90, 30)):
        low = torch.rand(1, 3, *size, device=device)
        restored, expected = (restore(model, low, 2, [0], precision="bf16") for model in (ours, theirs))
        assert torch.allclose(restored, expected, atol=0.05), size


def test_a_run_is_resumed(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", "fp16")
    train(tmp_path / "cut", "fp16", SETTINGS.model_copy(update={"iterations": 20}))
    state = tmp_path / "cut" / "checkpoints" / "state.pt"
    assert train(tmp_path / "cut", "fp16", resume=state) == pytest.approx(whole, rel=1e-2)


def test_an_overflow_of_fp16_skips_the_step_and_lowers_the_scale() -> None:
    network = denoiser().cuda()
    state = TrainingState(network, SETTINGS, "fp16")
    before = [p.clone() for p in network.parameters()]
    scale = state.scaler.get_scale()
    weight = next(network.parameters())
    torch.autograd.backward(state.scaler.scale(weight.sum() * float("inf")))
    state.scaler.unscale_(state.optimizer)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert state.scaler.get_scale() < scale


@pytest.mark.parametrize("block", ["sr3", "light"])
def test_a_seed_gives_the_same_picture_as_on_the_cpu(block: str) -> None:
    model = denoiser(block).eval()
    low = torch.rand(1, 3, 33, 47)
    ours = restore(model, low, 4, [7])
    theirs = restore(model.cuda(), low.cuda(), 4, [7]).cpu()
    assert torch.allclose(ours, theirs, atol=2e-3)


def test_schedule_tables_are_double_on_the_device() -> None:
    schedule = NoiseSchedule()
    t = torch.linspace(0, 512, 1025, dtype=torch.float64)
    assert torch.allclose(schedule.alpha(t.cuda()).cpu(), schedule.alpha(t), atol=1e-12)
    assert schedule.alpha(t.cuda()).dtype == torch.float64


def test_autocast_is_the_devices() -> None:
    with autocast(torch.device("cuda"), "fp16"):
        product = torch.ones(4, 4, device="cuda") @ torch.ones(4, 4, device="cuda")
    assert product.dtype == torch.float16
