"""The weights that come with the package, by name; without PyTorch, whose import takes seconds."""

from __future__ import annotations

import math
import re
from pathlib import Path

from reddit.utils.files import is_file, is_folder

FOLDER = Path(__file__).resolve().parent / "weights"
"""`NAME-STEPS.safetensors`: students of one name differ only in their sampling steps."""
DEFAULT, DEFAULT_STEPS = "light", 1


def shipped() -> dict[str, Path]:
    """The weights that come with the package, by file name without extension."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def find_shipped(name: str, steps: int | None = None) -> Path | None:
    """The shipped weights of a name; None if there are none.

    `light-4` is that file. `light` is the file for `steps` (default 1), or else the one whose steps are
    closest by ratio; of two, the one with more steps.
    """
    files = shipped()
    if name in files:
        return files[name]
    matches = ((re.fullmatch(re.escape(name) + r"-([1-9]\d*)", stem), path) for stem, path in files.items())
    by_steps = {int(match[1]): path for match, path in matches if match}
    if not by_steps:
        return None
    wanted = steps or DEFAULT_STEPS
    return by_steps[min(by_steps, key=lambda n: (abs(math.log2(n / wanted)), -n))]


def find_graph(name: str | None, steps: int | None, runs: Path) -> Path | None:
    """The ONNX graph of shipped weights (None: the default), if they have one.

    It holds the sampler with the steps of its weights: there is none for other `steps`. Nor is there one
    for a name that is also a file or a run.
    """
    if name is not None and any(is_file(path) or is_folder(path) for path in (Path(name), runs / name)):
        return None
    weights = find_shipped(name or DEFAULT, steps)
    if weights is None or (steps is not None and not weights.stem.endswith(f"-{steps}")):
        return None
    graph = weights.with_suffix(".onnx")
    return graph if graph.is_file() else None
