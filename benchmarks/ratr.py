#!/usr/bin/env python3
"""Where the refinement (RATR, eq. 7 to 9) brings a student's target nearer to the ground truth.

    python benchmarks/ratr.py --teacher runs/lolv1-light --plot docs/reports/ratr.png

The target is `x̂ + omega m`, with x̂ that of the teacher alone (eq. 5) and m the refinement, so its squared
error is a parabola in omega. Its three coefficients are measured on training crops, for each number of steps
N of the student, each interval, and groups of pixels; the teacher takes two steps of 2N. No student is
trained. Below 0 is better: the change of the squared error, in per cent of that of the teacher's target.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reddit.checkpoint.format import load_denoiser
from reddit.checkpoint.registry import find_checkpoint
from reddit.config import Config, ReDDiTConfig
from reddit.data import Batch, TrainingCrops, load_pairs, training_loader
from reddit.data.denoised import make_denoiser
from reddit.diffusion import Denoiser, target_gain
from reddit.methods import ReDDiT, StepRNG
from reddit.methods.method import context_of, to_minus_one_one
from reddit.methods.reddit import Times
from reddit.methods.retinex import illumination, noise_map, reflectance
from reddit.report.charts import DASHES, MARKERS, style
from reddit.report.tables import Cell, render
from reddit.utils.files import write_bytes

STEPS = (8, 4, 2, 1)
OMEGAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
OMEGA = 0.2
"""The paper's."""
LIGHT = (0.0, 0.02, 0.05, 0.1, 0.2, 1.01)
"""Limits of groups by illumination h."""
NOISE = (0.0, 0.5, 1.5, 3.5, 256.0)
"""Limits of groups by the noise |y - D(y)|, mean of channels, in 8-bit levels."""
CENTRED = "trajectory, mean of a crop removed"
"""Errors and refinement without what changes the brightness or colour of a whole crop."""
KINDS = ("magnitude", "signed")


class Parabola(NamedTuple):
    """Sums over pixels of e², e·m and m², with e the error of the teacher's target."""

    ee: float
    em: float
    mm: float

    def change(self, omega: float) -> float:
        """The change of the squared error in per cent."""
        return 100 * (2 * omega * self.em + omega**2 * self.mm) / self.ee

    def best(self) -> float:
        """The omega of the least error."""
        return max(0.0, -self.em / self.mm)


class Measured(NamedTuple):
    """What one interval of one student shows: sums by group of pixels, (groups of light, of noise, 3)."""

    steps: int
    interval: int
    kind: str
    space: str
    sums: np.ndarray


def main(argv: list[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    info = find_checkpoint(arguments.teacher, Path("runs"))
    teacher = load_denoiser(info.path)[0]
    batch = crops(info.config, arguments.crops, arguments.crop, arguments.cache)
    measured = [
        one
        for steps in STEPS
        for interval in range(1, steps + 1)
        for one in measure(teacher, batch, steps, interval, info.config.diffusion.clip)
    ]
    print(f"{info.path} ({info.digest}), {arguments.crops} crops of {arguments.crop}\n")
    for title, rows in tables(measured).items():
        print(f"{title}\n\n{render(rows, 'md')}")
    if arguments.plot:
        write_bytes(arguments.plot, plot(measured))


def crops(config: Config, count: int, side: int, cache: Path) -> Batch:
    """Crops of the pairs that the teacher was trained on."""
    data = config.data.model_copy(update={"crop": side, "gain": 0.0})
    pairs = load_pairs(data, config.data_root(), "train")
    order = np.random.default_rng(0).permutation(len(pairs))[:count]
    settings = ReDDiTConfig()
    denoise = make_denoiser(settings.denoiser, settings.nlm_strength, cache)
    found = next(iter(training_loader(TrainingCrops([pairs[i] for i in order], data, 0, denoise), count, 0)))
    if not isinstance(found, dict):
        raise found
    return found


def measure(teacher: Denoiser, batch: Batch, steps: int, interval: int, clip: bool) -> list[Measured]:
    """The sums of an interval, for both kinds of noise and both spaces."""
    method = ReDDiT(teacher, teacher, steps, ReDDiTConfig(omega=0.0, w_per=0.0), clip)
    x_0, y, count = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"]), len(batch["low"])
    spacing = teacher.schedule.steps / (2 * steps)
    times = Times(
        *(torch.full((count,), (2 * interval - j) * spacing, dtype=torch.float64) for j in range(3))
    )
    x_t = teacher.schedule.add_noise(x_0, StepRNG(0, interval, range(count)).noise(x_0), times.t)
    context = context_of(batch, teacher)
    with torch.inference_mode():
        target = method.target(x_t, y, times, x_0, context).x_0
        light = illumination(batch["low"])
        level = 255 * noise_map(batch["low"], batch["denoised"]).mean(dim=1, keepdim=True)
        refined = ReDDiT(teacher, teacher, steps, ReDDiTConfig(omega=1.0, w_per=0.0), clip)
        gain = float(target_gain(teacher.schedule, times.t, times.s)[0])
        found = []
        for kind in KINDS:
            r = to_minus_one_one(
                reflectance(batch["low"], light, noise_map(batch["low"], batch["denoised"], kind))
            )
            move = refined.target(x_t, y, times, r, context).x_0 - target
            error = target - x_0
            for space, e, m in (
                ("trajectory", error, move),
                ("clean", error, move / gain),
                (CENTRED, _centred(error), _centred(move)),
            ):
                found.append(Measured(steps, interval, kind, space, _sums(e, m, light, level)))
    return found


def _centred(image: Tensor) -> Tensor:
    """Without the mean of each crop and channel."""
    return image - image.mean(dim=(-2, -1), keepdim=True)


def _sums(error: Tensor, move: Tensor, light: Tensor, level: Tensor) -> np.ndarray:
    groups = [
        np.digitize(values.expand_as(error).numpy(), limits[1:-1])
        for values, limits in ((light, LIGHT), (level, NOISE))
    ]
    shape = (len(LIGHT) - 1, len(NOISE) - 1)
    index = (groups[0] * shape[1] + groups[1]).ravel()
    products = (error * error, error * move, move * move)
    sums = [
        np.bincount(index, product.double().numpy().ravel(), shape[0] * shape[1]).reshape(shape)
        for product in products
    ]
    return np.stack(sums, axis=-1)


def together(measured: Sequence[Measured], **chosen: object) -> np.ndarray:
    """The sums of those with the chosen attributes, each interval with equal weight."""
    kept = [one.sums for one in measured if all(getattr(one, key) == value for key, value in chosen.items())]
    return np.sum(kept, axis=0)


def parabola(sums: np.ndarray) -> Parabola:
    return Parabola(*sums.reshape(-1, 3).sum(axis=0))


def tables(measured: Sequence[Measured]) -> dict[str, list[dict[str, Cell]]]:
    """The change of the squared error in per cent, by omega, interval, light and noise."""
    found: dict[str, list[dict[str, Cell]]] = {"By omega": []}
    for space in ("trajectory", "clean", CENTRED):
        for kind in KINDS:
            for steps in STEPS:
                curve = parabola(together(measured, steps=steps, kind=kind, space=space))
                row: dict[str, Cell] = {"space": space, "noise": kind, "steps": steps}
                row |= {f"{omega:g}": f"{curve.change(omega):+.1f}" for omega in OMEGAS[1::2]}
                found["By omega"].append(row | {"best": f"{curve.best():.2f}"})
    at = f"omega {OMEGA:g}, trajectory, magnitude"
    found[f"By interval, {at}"] = [
        {"steps": steps}
        | {
            f"interval {k}": _shown(parabola(together(measured, steps=steps, interval=k, kind="magnitude",
                                                      space="trajectory"))) if k <= steps else ""
            for k in range(1, max(STEPS) + 1)
        }
        for steps in STEPS
    ]  # fmt: skip
    for name, limits, axis in (("illumination", LIGHT, 0), ("noise", NOISE, 1)):
        rows: list[dict[str, Cell]] = []
        for steps in STEPS:
            changes = map(_shown, by_group(measured, axis, steps=steps))
            rows.append({"steps": steps} | dict(zip(_names(limits), changes, strict=True)))
        found[f"By {name}, {at}"] = rows
    return found


def by_group(measured: Sequence[Measured], axis: int, **chosen: object) -> list[Parabola]:
    sums = together(measured, kind="magnitude", space="trajectory", **chosen)
    return [parabola(part) for part in np.moveaxis(sums, axis, 0)]


def _shown(curve: Parabola) -> str:
    return f"{curve.change(OMEGA):+.1f}" if curve.ee > 0 else "–"


def _names(limits: Sequence[float]) -> list[str]:
    inner = [f"{a:g} to {b:g}" for a, b in pairwise(limits[1:-1])]
    return [f"below {limits[1]:g}", *inner, f"above {limits[-2]:g}"]


def plot(measured: Sequence[Measured]) -> bytes:
    """By omega, by interval, by light and by noise, as PNG."""
    import io

    from matplotlib.figure import Figure

    with style("ratr", page=False):
        figure = Figure(figsize=(11, 7.5), layout="constrained")
        axes = figure.subplots(2, 2)
        for number, steps in enumerate(STEPS):
            line = {"color": f"C{number}", "marker": MARKERS[number], "markersize": 4, "linewidth": 1}
            name = f"{steps} step{'s' if steps > 1 else ''}"
            for space, dash in (("trajectory", DASHES[0]), ("clean", DASHES[1])):
                curve = parabola(together(measured, steps=steps, kind="magnitude", space=space))
                changes = [curve.change(omega) for omega in OMEGAS]
                axes[0, 0].plot(OMEGAS, changes, label=f"{name}, {space}", linestyle=dash, **line)
            for kind, dash in zip(KINDS, DASHES, strict=False):
                points = _by_interval(measured, steps, kind)
                axes[0, 1].plot(*points, label=f"{name}, {kind}", linestyle=dash, **line)
            for place, (axis, limits) in enumerate(((0, LIGHT), (1, NOISE))):
                changes = [curve.change(OMEGA) for curve in by_group(measured, axis, steps=steps)]
                axes[1, place].plot(range(len(changes)), changes, label=name, **line)
                axes[1, place].set_xticks(range(len(changes)), _names(limits), fontsize=8)
        _name_axes(axes)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=120)
        return stream.getvalue()


def _by_interval(measured: Sequence[Measured], steps: int, kind: str) -> tuple[list[float], list[float]]:
    intervals = range(1, steps + 1)
    chosen: Mapping[str, object] = {"steps": steps, "kind": kind, "space": "trajectory"}
    changes = [parabola(together(measured, interval=k, **chosen)).change(OMEGA) for k in intervals]
    return [k / steps for k in intervals], changes


def _name_axes(axes: np.ndarray) -> None:
    labels = ("omega", "t / T of the interval's noisy end", "illumination h", "noise |y - D(y)|, levels")
    titles = ("", f", omega {OMEGA:g}", f", omega {OMEGA:g}", f", omega {OMEGA:g}")
    for one, label, title in zip(axes.flat, labels, titles, strict=True):
        one.axhline(0, color="black", linewidth=0.8)
        one.set_xlabel(label)
        one.set_title(f"squared error of the target, change in %{title}", fontsize=9)
        one.set_yscale("symlog", linthresh=10)
        one.yaxis.set_major_formatter("{x:+g}")
        one.legend(fontsize=7)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True, help="a run or weights")
    parser.add_argument("--crops", type=int, default=48, help="number of training crops")
    parser.add_argument("--crop", type=int, default=128, help="their side in pixels")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache/denoised"), help="denoised pictures")
    parser.add_argument("--plot", type=Path, help="a PNG to write")
    return parser


if __name__ == "__main__":
    main()
