"""What commands wrote: weights and scores that are no numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file

Faults = list[tuple[str, str]]
SCORED = ["evaluate", "--dataset", "lolv1", "--metrics", "psnr", "--quiet", "--json", "s.json"]
"""A command that scores the test pictures."""


def weights_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.safetensors"):
        if path.is_file() and os.access(path, os.R_OK):
            yield path


def weights_not_finite(
    folder: Path, besides: Path | None = None, before: dict[Path, bytes] | None = None
) -> Faults:
    """Weights that a command wrote, with values that are not finite.

    Args:
        besides: a folder of inputs.
        before: files as they were; those that did not change are inputs, too.
    """
    faults = []
    for path in weights_in(folder):
        if (besides and path.is_relative_to(besides)) or (before and before.get(path) == path.read_bytes()):
            continue
        try:
            broken = [name for name, tensor in load_file(path).items() if not tensor.isfinite().all()]
        except Exception:  # an input
            continue
        if broken and path.stat().st_mtime > (folder / "started").stat().st_mtime:
            faults.append(("NaN", f"{path.relative_to(folder)} has {broken[0]}"))
    return faults


def not_finite(path: Path) -> Faults:
    """Scores that are no numbers."""
    text = path.read_text()
    return [("NaN", f"scores: {text[:300]}")] if "NaN" in text else []
