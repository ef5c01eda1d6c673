"""Names of runs (which are folder names), of shipped configurations, devices, engines and precisions."""

from __future__ import annotations

from pathlib import Path

DEVICES = ("auto", "cpu", "cuda", "mps")
ENGINES = ("auto", "torch", "onnx")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
LONGEST_NAME = 200
"""Most bytes of a run's name: file systems allow 255, and suffixes are appended."""
CONFIG_FOLDERS = (Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs")
"""Folders of the shipped configurations: in an installed package, and in the repository."""


def check_name(name: str) -> str:
    """Return the name of a run if it is valid.

    Raises:
        ValueError: it is empty, too long, a path outside the folder of runs, or has control characters.
    """
    if not name.isprintable():
        raise ValueError("contains control characters; choose a plain name")
    if not name.strip() or not Path(name).parts:
        raise ValueError("is empty; choose a name with letters or digits")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("is outside the folder of runs; choose a name, or set runs=FOLDER")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"is longer than {LONGEST_NAME} bytes; choose a shorter name")
    return name


def shipped_configs() -> dict[str, Path]:
    """The shipped configurations by name, such as `lolv1`."""
    return {path.stem: path for folder in CONFIG_FOLDERS for path in sorted(folder.glob("*.yaml"))}


def shipped_config(named: str) -> Path | None:
    """The shipped configuration of a name such as `lolv1` or `configs/lolv1.yaml`; None if there is none."""
    path = Path(named)
    return (
        shipped_configs().get(path.name.removesuffix(".yaml"))
        if str(path.parent) in (".", "configs")
        else None
    )
