#!/usr/bin/env python3
"""Milliseconds and memory a picture, eager fp32 against the fast settings and ONNX Runtime, in one run.

    python benchmarks/inference.py            # everything; --quick for a subset

Fresh weights, which cost as much as trained ones; random pictures; DDIM with clipping, one picture at a
time. Every case runs in a process of its own, so that its peak memory is its own; `loaded` is what that
process held before its first picture: Python, the libraries, the weights. Milliseconds are a median. Where
the steps would take longer than --limit, one step is timed and multiplied, and the table says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import load_denoiser, save_weights
from reddit.cli.errors import run
from reddit.config import Config, load_config
from reddit.diffusion import clipped, sample_ddim
from reddit.evaluation.evaluate import device_name
from reddit.evaluation.timing import seconds_a_call
from reddit.inference.export import export_sampler, require
from reddit.inference.exported import load_sampler
from reddit.report.tables import Cell, render
from reddit.utils.device import autocast, choose_device
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.progress import progress

CONFIGS = ("configs/lolv1.yaml", "configs/lolv1_light.yaml")
SIZES = ((600, 400), (1920, 1080))
STEPS = (16, 8, 4, 2, 1)
REPEATS = 5


@dataclass(frozen=True)
class Settings:
    """What a case runs with; `fast` is channels_last and inference mode instead of neither."""

    runtime: str = "PyTorch"
    precision: str = "fp32"
    fast: bool = True

    def __str__(self) -> str:
        if self.runtime != "PyTorch":
            return f"{self.runtime}, {self.precision}"
        return f"{self.precision}, {'channels_last, inference mode' if self.fast else 'eager'}"


BASELINE = Settings(fast=False)
ONNX = Settings("ONNX Runtime")


@dataclass(frozen=True)
class Case:
    """What one process measures. `graph` is the exported file, for ONNX Runtime."""

    config: str
    size: tuple[int, int]  # width, height
    steps: int
    settings: Settings
    device: str
    limit: float
    graph: str = ""


@dataclass(frozen=True)
class Measured:
    """Milliseconds a picture and megabytes, and how they were found; None where a process failed."""

    ms: float | None
    peak_mb: float | None
    loaded_mb: float | None
    how: str


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.case:
        print(json.dumps(dataclasses.asdict(measure(_case(json.loads(arguments.case))))))
        return 0
    configs = {
        path: load_config(path) for path in arguments.configs or CONFIGS[-1 if arguments.quick else 0 :]
    }
    sizes = arguments.sizes or SIZES[: 1 if arguments.quick else None]
    steps = arguments.steps or STEPS[-2 if arguments.quick else 0 :]
    device = choose_device(arguments.device)
    precisions = arguments.precision or (["bf16", "fp16"] if device.type == "cuda" else ["bf16"])
    for name in precisions:
        autocast(device, name)  # refuses here what every process would
    settings = [BASELINE, Settings(), *(Settings(precision=name) for name in precisions)]
    with tempfile.TemporaryDirectory() as folder:
        graphs = {} if arguments.no_onnx else _graphs(configs, device, Path(folder))
        cases = plan(configs, sizes, steps, settings, device.type, arguments.limit, graphs)
        found = _measure_all(cases, arguments.limit, arguments.quiet)
    rows = table({case: found[case] for case in cases if case.steps in steps}, configs)
    print(f"{device_name(device)}, PyTorch {torch.__version__}; the baseline is PyTorch, {BASELINE}\n")
    print(render(rows, "md"), end="")
    if arguments.json:
        said = {
            "device": device_name(device),
            "torch": str(torch.__version__),
            "baseline": str(BASELINE),
            "cases": [dataclasses.asdict(c) | dataclasses.asdict(m) for c, m in found.items()],
        }
        write_bytes(arguments.json, (json.dumps(said, indent=1) + "\n").encode())
    return 1 if any(measured.ms is None for measured in found.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configs", nargs="+", metavar="FILE", help=f"default: {' '.join(CONFIGS)}")
    parser.add_argument("--sizes", nargs="+", type=size, metavar="WxH", help="default: 600x400 1920x1080")
    parser.add_argument("--steps", nargs="+", type=int, metavar="N", help="default: 16 8 4 2 1")
    parser.add_argument(
        "--precision", nargs="+", choices=["bf16", "fp16"], help="of the fast settings; fp16 needs a GPU"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--no-onnx", action="store_true", help="leave ONNX Runtime out")
    parser.add_argument(
        "--limit", type=float, default=60.0, metavar="SECONDS", help="of timed pictures a case; default 60"
    )
    parser.add_argument("--quick", action="store_true", help="light configuration, 600x400, 2 steps and 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # what a child process measures
    return parser


def size(text: str) -> tuple[int, int]:
    """`600x400` → (600, 400), width and height.

    Raises:
        UserError: it is written otherwise, or a side is below 1.
    """
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UserError(f"--sizes {text}: write width x height in pixels, e.g. 600x400")
    return int(sides[0]), int(sides[1])


def plan(
    configs: Iterable[str],
    sizes: Sequence[tuple[int, int]],
    steps: Sequence[int],
    settings: Sequence[Settings],
    device: str,
    limit: float,
    graphs: dict[str, str],
) -> list[Case]:
    """The cases in their order: rivals side by side, one step always and first, as others may follow from it.

    Args:
        graphs: exported files of one step, by configuration.

    Raises:
        UserError: a step count below 1.
    """
    if min(steps) < 1:
        raise UserError(f"--steps {min(steps)}: sampling takes at least 1 step")
    cases = []
    for config in configs:
        for picture in sizes:
            for count in sorted({1, *steps}):
                cases += [Case(config, picture, count, each, device, limit) for each in settings]
                if count == 1 and config in graphs:
                    cases.append(Case(config, picture, count, ONNX, device, limit, graphs[config]))
    return cases


def multiplied(one: Measured, steps: int, limit: float) -> Measured | None:
    """What `steps` cost if each costs what `one` did; None where there is time to measure them."""
    if one.ms is None:
        return Measured(None, None, None, "one step failed")
    if steps * one.ms <= 1000 * limit:
        return None
    return Measured(steps * one.ms, one.peak_mb, one.loaded_mb, f"computed: {steps} × one step")


def table(found: dict[Case, Measured], configs: dict[str, Config]) -> list[dict[str, Cell]]:
    """One row a case, most steps first, each beside the baseline of its configuration, size and steps."""
    rows: list[dict[str, Cell]] = []
    for case, measured in sorted(found.items(), key=lambda pair: _place(pair[0], list(found))):
        baseline = found[dataclasses.replace(case, settings=BASELINE, graph="")].ms
        ratio = baseline / measured.ms if baseline and measured.ms else None
        rows.append(
            {
                "configuration": configs[case.config].name,
                "picture": f"{case.size[0]}×{case.size[1]}",
                "steps": case.steps,
                "settings": str(case.settings),
                "ms": measured.ms,
                "times as fast": None if ratio is None else f"{ratio:.2f}",
                "peak MB": None if measured.peak_mb is None else round(measured.peak_mb),
                "loaded MB": None if measured.loaded_mb is None else round(measured.loaded_mb),
                "how": measured.how,
            }
        )
    return rows


def _place(case: Case, cases: list[Case]) -> tuple[int, int, int]:
    """Configurations and sizes stay where they are; steps fall."""
    group = next(i for i, other in enumerate(cases) if (other.config, other.size) == (case.config, case.size))
    return group, -case.steps, cases.index(case)


def _measure_all(cases: list[Case], limit: float, quiet: bool) -> dict[Case, Measured]:
    found: dict[Case, Measured] = {}
    for case in progress(cases, "cases", "case", quiet=quiet):
        one = found.get(dataclasses.replace(case, steps=1))
        found[case] = (one and multiplied(one, case.steps, limit)) or _in_a_process(case)
    return found


def _in_a_process(case: Case) -> Measured:
    command = [sys.executable, __file__, "--case", json.dumps(dataclasses.asdict(case))]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode == 0:
        return Measured(**json.loads(child.stdout.splitlines()[-1]))
    said = (child.stderr.strip().splitlines() or ["no message"])[-1]
    why = "killed, probably for memory" if child.returncode == -9 else said
    print(
        f"error: {case.settings}, {case.size[0]}×{case.size[1]}, {case.steps} steps: {why}", file=sys.stderr
    )
    return Measured(None, None, None, "failed")


def _case(values: dict[str, object]) -> Case:
    settings, picture = values.pop("settings"), values.pop("size")
    return Case(**values, settings=Settings(**settings), size=tuple(picture))  # type: ignore[arg-type]


def measure(case: Case) -> Measured:
    """Time and memory of one case, in this process."""
    device = choose_device(case.device)
    work = _onnx_work(case) if case.settings.runtime == ONNX.runtime else _torch_work(case, device)
    loaded = memory_mb(device)
    first = seconds_a_call(work, device, repeats=1, warm_up=0)
    turns = min(REPEATS, int(case.limit / first))
    times = [seconds_a_call(work, device, repeats=1, warm_up=0) for _ in range(turns)] or [first]
    how = f"median of {turns}" if turns > 1 else "once" if turns else "once, not warmed up"
    peak = max(loaded, memory_mb(device))  # Linux counts lazily, and can fall short by some pages
    return Measured(1000 * statistics.median(times), peak, loaded, how)


def _torch_work(case: Case, device: torch.device) -> Callable[[], object]:
    """Sampling one picture. The baseline goes without what `restore` does to be fast."""
    config = load_config(case.config)
    order = torch.channels_last if case.settings.fast else torch.contiguous_format
    denoiser = build_denoiser(config).eval().to(device)
    denoiser.network.to(memory_format=order)  # type: ignore[call-overload]
    y, x_T = (image.to(device).contiguous(memory_format=order) for image in _picture(case))  # noqa: N806
    schedule = denoiser.schedule
    mode: Callable[[], AbstractContextManager[object]]
    mode = torch.inference_mode if case.settings.fast else torch.no_grad

    def work() -> None:
        with mode(), autocast(device, case.settings.precision):
            sample_ddim(clipped(denoiser, schedule), schedule, x_T, y, schedule.grid(case.steps))

    return work


def _onnx_work(case: Case) -> Callable[[], object]:
    restored = load_sampler(Path(case.graph), "onnx", case.steps, clip=True)
    y, noise = _picture(case)
    low = (y + 1) / 2
    return lambda: restored(low, noise)


def _picture(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """A dark image in [-1, 1] and noise, both (1, 3, H, W)."""
    width, height = case.size
    generator = torch.Generator().manual_seed(0)
    y = 0.4 * torch.rand(1, 3, height, width, generator=generator) - 1
    return y, torch.randn(y.shape, generator=generator)


def memory_mb(device: torch.device) -> float:
    """The most memory that this process has held so far: of the GPU where it uses one, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` would count what the parent held when it started this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _graphs(configs: dict[str, Config], device: torch.device, folder: Path) -> dict[str, str]:
    """One-step ONNX files of the networks without attention, which a processor can run at any size."""
    if device.type != "cpu":
        print("ONNX Runtime is left out: it is compared on the processor", file=sys.stderr)
        return {}
    require("onnxruntime")
    graphs = {}
    for number, (path, config) in enumerate(configs.items()):
        if config.model.block != "light":
            continue
        weights, graph = folder / f"{number}.safetensors", folder / f"{number}.onnx"
        save_weights(
            weights,
            build_denoiser(config),
            config,
            steps=1,
            family=config.name,
            method="teacher",
            iteration=0,
        )
        started = time.perf_counter()
        export_sampler(graph, "onnx", *load_denoiser(weights), steps=1)
        print(f"{config.name}: exported in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        graphs[path] = str(graph)
    return graphs


if __name__ == "__main__":
    run(main)
