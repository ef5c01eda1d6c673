"""benchmarks/ratr.py measures what ReDDiT's targets are."""

from __future__ import annotations

import pytest
import torch
from known import pictures, tiny_denoiser
from repository import load

from reddit.config import ReDDiTConfig
from reddit.methods import ReDDiT, StepRNG
from reddit.methods.reddit import Times

RATR = load("benchmarks/ratr.py")


def test_the_parabola_by_hand() -> None:
    curve = RATR.Parabola(ee=4.0, em=-2.0, mm=4.0)  # e = -1 and m = 0.5, four times, …
    assert curve.best() == 0.5 and curve.change(0.5) == -25.0 and curve.change(0.0) == 0.0
    assert RATR.Parabola(1.0, 0.3, 1.0).best() == 0.0


@pytest.mark.parametrize("space", ["trajectory", "clean"])
@pytest.mark.parametrize(("steps", "interval"), [(4, 1), (4, 3), (1, 1)])
def test_it_is_that_of_the_targets(space: str, steps: int, interval: int) -> None:
    teacher, batch = tiny_denoiser(3), pictures(3, dtype=torch.float32)
    found = RATR.measure(teacher, batch, steps, interval, True)
    curve = RATR.parabola(RATR.together(found, kind="magnitude", space=space))

    settings = ReDDiTConfig(omega=0.3, omega_space=space, w_per=0.0)  # type: ignore[arg-type]
    method, x_0, y = ReDDiT(teacher, teacher, steps, settings), 2 * batch["high"] - 1, 2 * batch["low"] - 1
    spacing = 512 / (2 * steps)
    times = Times(*(torch.full((3,), (2 * interval - j) * spacing, dtype=torch.float64) for j in range(3)))
    x_t = teacher.schedule.add_noise(x_0, StepRNG(0, interval, range(3)).noise(x_0), times.t)
    context = 2 * batch["context"] - 1
    target = method.target(x_t, y, times, method._reflectance(batch), context).x_0
    error = (target - x_0).square().sum().item()
    assert error == pytest.approx(curve.ee * (1 + curve.change(0.3) / 100), rel=1e-3)


def test_groups_add_up() -> None:
    found = RATR.measure(tiny_denoiser(3), pictures(3, dtype=torch.float32), 2, 1, True)
    whole = RATR.parabola(RATR.together(found, kind="magnitude", space="trajectory"))
    for axis in (0, 1):
        assert sum(part.ee for part in RATR.by_group(found, axis)) == pytest.approx(whole.ee)
    names = ["below 0.02", "0.02 to 0.05", "0.05 to 0.1", "0.1 to 0.2", "above 0.2"]
    assert RATR._names(RATR.LIGHT) == names
