"""`reddit-llie doctor`: what is installed, and what the programs find."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import get_args

from reddit import __version__
from reddit.cli.flags import parser_of
from reddit.utils.errors import UserError, install
from reddit.utils.files import is_file
from reddit.utils.progress import print_out
from reddit.utils.text import counted, reason, short

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "opencv-python-headless", "safetensors")
"""Those whose versions explain most errors."""
Line = tuple[str, str]


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "doctor",
        "Print versions, device, data sets, weights, LPIPS networks and free disk space: what a bug report\n"
        "needs. Nothing is downloaded or written.",
        "",
        "--data-root /data",
    )
    parser.add_argument(
        "--data-root", metavar="DIR", help="folder of the data sets; default: $REDDIT_DATA, else data"
    )
    parser.add_argument("--runs", metavar="DIR", default="runs", help="folder of the runs; default runs")
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    root = Path(arguments.data_root or os.environ.get("REDDIT_DATA") or "data")
    runs = Path(arguments.runs)
    sections = {
        "versions": _versions(),
        "device": _devices(),
        "data sets": _data(root),
        "weights": _weights(runs),
        "LPIPS": _lpips(),
        "disk": _disk(root, runs),
    }
    lines = [line for name, section in sections.items() for line in _survived(name, section)]
    width = max(len(label) for label, _ in lines)
    print_out("\n".join(f"{label:<{width}}  {text}".rstrip() for label, text in lines))


def _survived(name: str, lines: Iterator[Line]) -> Iterator[Line]:
    """The lines of a section; of a broken installation at least the reason."""
    try:
        yield from lines
    except (ImportError, OSError) as error:
        yield name, f"not known: {reason(error)}"


def _versions() -> Iterator[Line]:
    yield "reddit-llie", f"{__version__} in {Path(__file__).parents[1]}"
    yield (
        "Python",
        f"{platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}",
    )
    for name in PACKAGES:
        yield name, _version(name) or "missing"
    for extra, names in _extras().items():
        versions = {name: _version(name) for name in names}
        missing = [name for name in names if not versions[name]]
        found = ", ".join(f"{name} {versions[name]}" for name in names)
        yield f"extra {extra}", f"no {', '.join(missing)}: {install(extra)}" if missing else found


def _extras() -> dict[str, list[str]]:
    """The packages of each extra that users install, from the metadata of the package."""
    try:
        lines = requires("reddit-llie") or []
    except PackageNotFoundError:  # run from a source tree
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        parts = re.match(r"([\w.-]+).*extra == ['\"](\w+)", line)
        if parts and parts[2] != "dev" and parts[1] not in ("torch", "reddit-llie"):
            found.setdefault(parts[2], []).append(parts[1])
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> Iterator[Line]:
    import torch

    from reddit.evaluation.evaluate import device_name
    from reddit.utils.device import choose_device, precision_on

    chosen = choose_device("auto")
    yield "device", f"{chosen.type}: {device_name(chosen)}"
    yield "precision", f"auto is {precision_on(chosen, 'auto')} here"
    if torch.version.cuda or torch.cuda.is_available():
        count = torch.cuda.device_count()
        yield "CUDA", f"{torch.version.cuda}, {counted(count, 'GPU') if count else 'no usable GPU'}"


def _data(root: Path) -> Iterator[Line]:
    from reddit.data.layouts import LAYOUTS, Split, locate

    yield "data root", f"{root.absolute()}{'' if root.is_dir() else ' (does not exist)'}"
    found = []
    for name, layout in LAYOUTS.items():
        splits = [split for split in get_args(Split) if locate(layout, root, split)]
        if splits:
            found.append(f"{name} ({', '.join(splits)})")
    photos = [path.name for path in sorted(root.glob("photos/*")) if path.is_dir()]
    found += [f"photos/{name}" for name in photos]
    yield "data sets", ", ".join(found) or "none; docs/datasets.md says where to get them"


def _weights(runs: Path) -> Iterator[Line]:
    from reddit.checkpoint.format import read_info
    from reddit.checkpoint.registry import all_models, name_of
    from reddit.checkpoint.shipped import shipped

    for name, path in shipped().items():
        try:
            yield f"weights {name}", f"{counted(read_info(path).steps, 'step')}, {read_info(path).digest}"
        except UserError as error:
            yield f"weights {name}", str(error)
    if not shipped():
        yield "weights", "none are shipped: reinstall the package"
    damaged: list[str] = []
    models = all_models(runs, log=lambda line: damaged.append(str(line)))
    shown = ", ".join(name_of(model) for model in models[:8]) + (", …" if len(models) > 8 else "")
    yield f"runs in {short(str(runs))}", f"{len(models)}{': ' + shown if models else ''}"
    for line in damaged:
        yield "", line


def _lpips() -> Iterator[Line]:
    from reddit.metrics.perceptual import ENVIRONMENT, downloaded

    for backbone, variable in ENVIRONMENT.items():
        named = os.environ.get(variable)
        if named:
            state = f"{named} ({variable}){'' if is_file(named) else ': no such file'}"
        elif is_file(path := downloaded(backbone)):
            state = str(path)
        else:
            state = f"not here: downloaded when first used, or set {variable} to a .safetensors file"
        yield f"LPIPS {backbone}", state


def _disk(*folders: Path) -> Iterator[Line]:
    """The free space of each disk that holds, or would hold, the current folder, the data and the runs."""
    disks: dict[int, tuple[Path, list[str]]] = {}
    for folder in (Path(), *folders):
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        _, names = disks.setdefault(there.stat().st_dev, (there, []))
        names.append(short(str(folder)))
    for there, names in disks.values():
        yield "disk", f"{shutil.disk_usage(there).free / 1e9:.1f} GB free ({', '.join(dict.fromkeys(names))})"
