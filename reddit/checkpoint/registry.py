"""Models by name: the weights that come with the package, runs, and files."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from reddit.ablations import ABLATIONS
from reddit.checkpoint.format import CHOSEN, NEWEST, CheckpointInfo, read_info
from reddit.checkpoint.shapes import check_shapes
from reddit.checkpoint.sharing import PREFIX, fetch_named
from reddit.checkpoint.shipped import DEFAULT, find_shipped, shipped
from reddit.utils.errors import UserError
from reddit.utils.files import is_file, is_folder, modified
from reddit.utils.progress import Log
from reddit.utils.text import short


def shipped_models() -> list[CheckpointInfo]:
    """The metadata of the shipped weights, the default first."""
    first = find_shipped(DEFAULT)
    return [read_info(path) for path in sorted(shipped().values(), key=lambda path: path != first)]


def find_checkpoint(named: str, runs: Path, steps: int | None = None) -> CheckpointInfo:
    """A checkpoint by path, run folder, run name, name of shipped weights, or hf://USER/MODEL.

    Args:
        steps: chooses among the shipped weights of one name; see `find_shipped`.

    Raises:
        UserError: there is none, or a run and shipped weights have the same name.
    """
    if named.startswith(PREFIX):
        return read_info(fetch_named(named))
    path = Path(named)
    if is_file(path):
        return read_info(path)
    folders = [folder for folder in (path, runs / named) if is_folder(folder)]
    trained = next(filter(None, map(chosen_checkpoint, folders)), None)
    ours = find_shipped(named, steps)
    if trained and ours:
        raise UserError(f"{named!r} is both a run and shipped weights: use the path {trained} or {ours}")
    if found := trained or ours:
        return read_info(found)
    if folders:
        raise UserError(f"the run {folders[0]} has no checkpoint yet: train it further, or choose another")
    known = ", ".join(m.path.parent.parent.name for m in all_models(runs)[:8]) or "none"
    raise UserError(
        f"no checkpoint file, run or shipped weights named '{short(named)}'; "
        f"shipped: {', '.join(shipped()) or 'none'}; runs in {runs}: {known}"
    )


def sampling_steps(model: CheckpointInfo, asked: int | None) -> int:
    """The requested steps, or by default those that the model was trained for.

    Raises:
        UserError: fewer than 1, or more than the noise schedule has.
    """
    most = model.config.diffusion.steps
    if asked is not None and not 1 <= asked <= most:
        raise UserError(f"--steps {asked}: must be between 1 and {most}, the steps of the noise schedule")
    return asked or model.steps


def name_of(model: CheckpointInfo) -> str:
    """The name of a model's run, or of its file if it is not in a run folder."""
    folder = model.path.resolve().parent
    return folder.parent.name if folder.name == "checkpoints" else model.path.stem


def student_name(family: str, steps: int, method: str = "reddit") -> str:
    """The name of a student's run: `NAME-8`, or `NAME-progressive-8` for another method."""
    return f"{family}-{steps}" if method == "reddit" else f"{family}-{method}-{steps}"


def chosen_checkpoint(folder: Path) -> Path | None:
    """The best weights of a run, or else the newest, or else None."""
    for name in (CHOSEN, NEWEST):
        path = folder / "checkpoints" / name
        if is_file(path):
            return path
    return None


def all_models(runs: Path, log: Log | None = None) -> list[CheckpointInfo]:
    """The model of every run, newest first; reads only file headers.

    Damaged files, and those whose tensors do not fit their configuration, are skipped and logged.
    """
    paths = [p for folder in runs.glob("*/") if (p := chosen_checkpoint(folder))]
    models = []
    for path in sorted(paths, key=modified, reverse=True):
        try:
            info = read_info(path)
            check_shapes(path, info.config.model)
        except UserError as error:
            if log is not None:
                log(f"skipped: {error}")
        else:
            models.append(info)
    return models


def find_model(
    runs: Path,
    steps: int,
    family: str | None = None,
    methods: Collection[str] | None = None,
    ablation: str | None = None,
    log: Log | None = None,
) -> CheckpointInfo | None:
    """A model with these steps, and optionally of one family and of certain methods.

    Runs of ablations are not considered, except those of `ablation`, which are preferred. A run with its
    family's name (`NAME`, `NAME-8`, then `NAME-progressive-8`) is preferred to one with another name; of
    equals, the newest is returned.
    """
    fitting = [
        m
        for m in all_models(runs, log)
        if m.steps == steps
        and family in (None, m.family)
        and (methods is None or m.method in methods)
        and ablation_of(m) in (None, ablation)
    ]
    return min(fitting, key=lambda m: (ablation_of(m) != ablation, _name_rank(m)), default=None)


def ablation_of(model: CheckpointInfo) -> str | None:
    """The ablation of a model; that of an older one is read from the name of its run."""
    if model.config.ablation is not None:
        return model.config.ablation
    variant = re.fullmatch(re.escape(model.family) + r"-(.+?)(-[1-9]\d*)?", model.path.parent.parent.name)
    return variant[1] if variant and variant[1] in ABLATIONS else None


def _name_rank(model: CheckpointInfo) -> int:
    """0 for a run with its family's name, more for other names."""
    names = [model.family, student_name(model.family, model.steps)]
    names += [student_name(model.family, model.steps, model.method)]
    run = model.path.parent.parent.name
    return names.index(run) if run in names else len(names)
