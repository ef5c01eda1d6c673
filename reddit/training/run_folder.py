"""Run folders: `runs/NAME/{config.yaml, log.jsonl, tb/, checkpoints/}`."""

from __future__ import annotations

from pathlib import Path

import yaml

from reddit.checkpoint.format import STATE
from reddit.checkpoint.upgrade import upgrade
from reddit.config import Config
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes


def run_folder(config: Config, name: str) -> Path:
    """The folder of a run.

    Raises:
        UserError: its name leads out of the folder of runs.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(
            f"the run's name {name!r} leads out of {config.runs}: choose another, or set runs=FOLDER"
        )
    return config.runs_folder() / name


def open_run(folder: Path, config: Config, resume: str = "auto") -> Path | None:
    """Make or reopen a run folder, write its resolved configuration, and say where to resume from.

    Args:
        resume: `auto` continues what is there, `none` wants an empty folder, else a saved state.

    Returns:
        The training state to resume from; None to start at iteration 0.

    Raises:
        UserError: `none` where a run is; the named state does not exist.
    """
    state = folder / "checkpoints" / STATE
    if resume not in ("auto", "none"):
        state = Path(resume)
        if state.is_dir():
            state = state / "checkpoints" / STATE
        if not state.is_file():
            raise UserError(
                f"no training state at {state} to resume from; expected a state.pt or a run folder"
            )
    elif resume == "none" and state.exists():
        raise UserError(
            f"{folder} already holds a run: choose another --name, or continue it with --resume auto"
        )
    write_bytes(folder / "config.yaml", config.to_yaml().encode())
    return state if state.exists() else None


def changed_settings(folder: Path, config: Config) -> list[str]:
    """Settings in which a configuration differs from the one that a run folder holds, dotted."""
    path = folder / "config.yaml"
    if not path.exists():
        return []
    try:
        before = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return [str(path)]
    before = _flat(upgrade(before)) if isinstance(before, dict) else {}
    return sorted(k for k, v in _flat(config.model_dump()).items() if before.get(k, v) != v)


def _flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
