"""Run folders: `runs/NAME/{config.yaml, log.jsonl, tb/, checkpoints/}`, and finding models in them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import yaml

from reddit.config import Config
from reddit.engine.checkpoint import CheckpointInfo, read_info
from reddit.errors import UserError
from reddit.images import write_bytes

CHOSEN, NEWEST, STATE = "best.safetensors", "last.safetensors", "state.pt"


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


def student_name(family: str, steps: int, method: str = "reddit") -> str:
    """The run of a family's N-step student: `NAME-8`, or `NAME-progressive-8` by another method."""
    return f"{family}-{steps}" if method == "reddit" else f"{family}-{method}-{steps}"


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
    return sorted(k for k, v in _flat(config.model_dump()).items() if _flat(before or {}).get(k, v) != v)


def _flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def chosen_checkpoint(folder: Path) -> Path | None:
    """The best weights of a run, else the newest, else None."""
    for name in (CHOSEN, NEWEST):
        path = folder / "checkpoints" / name
        if path.is_file():
            return path
    return None


def all_models(runs: Path) -> list[CheckpointInfo]:
    """The chosen model of every run, newest first; damaged ones are left out."""
    paths = [p for folder in runs.glob("*/") if (p := chosen_checkpoint(folder))]
    models = []
    for path in sorted(paths, key=lambda p: p.stat().st_mtime, reverse=True):
        try:
            models.append(read_info(path))
        except UserError:
            continue
    return models


def find_model(
    runs: Path, steps: int, family: str | None = None, methods: Collection[str] | None = None
) -> CheckpointInfo | None:
    """A model of a step count, of one family and of certain methods if named.

    A run that bears its family's name (`NAME`, `NAME-8`, then `NAME-progressive-8`) goes before variants of
    other names; among equals the newest.
    """
    fitting = [
        m
        for m in all_models(runs)
        if m.steps == steps and family in (None, m.family) and (methods is None or m.method in methods)
    ]
    return min(fitting, key=_strangeness, default=None)


def _strangeness(model: CheckpointInfo) -> int:
    """How far a run's name is from its family's."""
    names = [model.family, student_name(model.family, model.steps)]
    names += [student_name(model.family, model.steps, model.method)]
    run = model.path.parent.parent.name
    return names.index(run) if run in names else len(names)
