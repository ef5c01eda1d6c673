"""Names of runs, which are names of folders, and of configurations."""

from __future__ import annotations

from pathlib import Path

LONGEST_NAME = 200
"""Bytes of a run's name: file systems take 255, and suffixes follow."""
CONFIG_FOLDERS = (Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs")
"""Where the shipped configurations lie: in an installed package, and in the repository."""


def check_name(name: str) -> str:
    """A run's name, if a folder under the runs can have it.

    Raises:
        ValueError: it is empty, too long, leads elsewhere, or holds characters that a terminal would obey.
    """
    if not name.isprintable():
        raise ValueError("holds control characters; choose a plain name")
    if not name.strip() or not Path(name).parts:
        raise ValueError("an empty name; choose one with letters or digits")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("leads out of the folder of runs; choose a name, or set runs=FOLDER")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"longer than {LONGEST_NAME} bytes; choose a shorter one")
    return name


def shipped_configs() -> dict[str, Path]:
    """The configurations that come along, by name: `lolv1` and so on."""
    return {path.stem: path for folder in CONFIG_FOLDERS for path in sorted(folder.glob("*.yaml"))}


def shipped_config(named: str) -> Path | None:
    """The shipped configuration that `lolv1`, `lolv1.yaml` or `configs/lolv1.yaml` names, if there is one."""
    path = Path(named)
    return (
        shipped_configs().get(path.name.removesuffix(".yaml"))
        if str(path.parent) in (".", "configs")
        else None
    )
