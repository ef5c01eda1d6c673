"""Run folders: `runs/NAME/{config.yaml, log.jsonl, tb/, checkpoints/}`."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from reddit.checkpoint.format import CHOSEN, NEWEST, STATE, CheckpointInfo, read_info
from reddit.checkpoint.upgrade import upgrade
from reddit.config import Config, is_read
from reddit.config.yaml_files import NOT_YAML, load_yaml, read_yaml
from reddit.training.data_record import RECORD
from reddit.training.stopping import LOCK
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.text import counted

TEACHER_RECORD, ORIGIN = "teacher.json", "origin.json"
_WRITTEN = ("config.yaml", "log.jsonl", RECORD, TEACHER_RECORD, ORIGIN)


def run_folder(config: Config, name: str) -> Path:
    """The folder of a run.

    Raises:
        UserError: the name is outside the folder of runs.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(
            f"the run's name {name!r} is outside {config.runs}: choose another, or set runs=FOLDER"
        )
    return config.runs_folder() / name


def open_run(folder: Path, config: Config, resume: str = "auto") -> Path | None:
    """Create or reopen a run folder and write its resolved configuration, unless the run is finished.

    Arguments, result and errors as in `state_to_resume`.
    """
    state = state_to_resume(folder, resume)
    if state is not None and not is_inside(state, folder):
        write_bytes(folder / ORIGIN, json.dumps({"resumed_from": str(state.resolve())}).encode())
    if state is None or not is_finished(folder, config):
        write_bytes(folder / "config.yaml", config.to_yaml().encode())
    return state


def is_finished(folder: Path, config: Config) -> bool:
    """Whether a run folder holds a run of at least as many iterations as are configured."""
    try:
        return read_info(folder / "checkpoints" / NEWEST).iteration >= config.train.iterations
    except UserError:  # there are no weights, or they are damaged
        return False


def state_to_resume(folder: Path, resume: str = "auto") -> Path | None:
    """The training state from which a run in this folder resumes; None to start at iteration 0.

    Args:
        resume: `auto` resumes an existing run, `none` requires a folder without a run, otherwise the path of
            a saved state.

    Raises:
        UserError: `none` but there is a run; `auto` but there are weights without a state, which a new start
            would replace; the named state does not exist, or is that of another run and would replace this
            one. The run that was started from it is continued.
    """
    state = own = folder / "checkpoints" / STATE
    weights = next((path for name in (CHOSEN, NEWEST) if (path := state.with_name(name)).exists()), None)
    if resume not in ("auto", "none"):
        state = Path(resume)
        if state.is_dir():
            state = state / "checkpoints" / STATE
        if not state.is_file():
            raise UserError(
                f"no training state at {state} to resume from; expected a state.pt or a run folder"
            )
        if (weights or own.exists()) and not is_inside(state, folder):
            if own.exists() and _origin(folder) == str(state.resolve()):
                return own
            remedy = "leave --resume out to continue it" if own.exists() else "move the folder away"
            raise UserError(
                f"{folder} holds a run that the state {state} of another one would replace: choose another "
                f"--name, or {remedy}"
            )
    elif resume == "none" and (weights or state.exists()):
        remedy = ", or resume it with --resume auto" if state.exists() else ", or move the folder away"
        raise UserError(f"{folder} already holds a run: choose another --name{remedy}")
    elif weights and not state.exists():
        raise UserError(
            f"{weights} would be replaced: its run has no {STATE} to resume from; choose another --name, "
            "--resume from a saved state, or move the folder away to start from the beginning"
        )
    return state if state.exists() else None


def is_inside(state: Path, folder: Path) -> bool:
    """Whether a state is that of the run in this folder."""
    return folder.resolve() in state.resolve().parents


def _origin(folder: Path) -> str | None:
    """The state of another run that this one was started from; None if it is unknown."""
    path = folder / ORIGIN
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["resumed_from"]) if path.is_file() else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def check_kind(folder: Path, method: str, steps: int, *, student: bool) -> None:
    """Check that a run folder is new, or holds a run of this method and, for a student, of these steps.

    Raises:
        UserError: it holds another run, which this one would replace.
    """
    checkpoints = folder / "checkpoints"
    there = [folder / name for name in _WRITTEN if os.path.lexists(folder / name)]
    there += sorted(checkpoints.glob(f"{'[0-9]' * 8}.*"))
    if there and not _is_run(folder):
        raise UserError(
            f"{folder} is no run folder, but holds {there[0].relative_to(folder)}, which would be replaced: "
            "choose another --name"
        )
    held = None
    for path in (checkpoints / NEWEST, checkpoints / CHOSEN):
        try:
            info = read_info(path)
        except UserError:  # there is none, or it is damaged
            continue
        if info.method == method and (info.steps == steps or not student):
            return
        held = f"{info.method}, {counted(info.steps, 'step')}"
        break
    if held is None and (checkpoints / STATE).exists() and (folder / TEACHER_RECORD).exists() != student:
        held = "a teacher" if student else "a student"
    if held is not None:
        raise UserError(
            f"{folder} holds another run ({held}), which {method}, {counted(steps, 'step')}, would replace: "
            "choose another --name"
        )


def _is_run(folder: Path) -> bool:
    """Whether this program has written a folder: it has the lock, the weights or the settings of a run."""
    if (folder / LOCK).exists():
        return True
    with suppress(UserError):
        return bool(read_info(folder / "checkpoints" / NEWEST))
    with suppress(UserError):
        return bool(read_info(folder / "checkpoints" / CHOSEN))
    with suppress(UserError):
        return read_yaml(folder / "config.yaml").keys() >= {"model", "diffusion", "train"}
    return False


def changed_settings(folder: Path, config: Config, *, student: bool = False) -> list[str]:
    """The dotted keys in which a configuration differs from that in a run folder.

    Settings that no method of the run reads are ignored. A teacher's run also keeps settings of its students.
    """
    path = folder / "config.yaml"
    if not path.exists():
        return []
    if not path.is_file():  # a pipe would be waited for
        return [str(path)]
    try:
        before = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, *NOT_YAML):  # unreadable
        return [str(path)]
    # A setting that an older version did not have had its default.
    before = _flat(Config().model_dump()) | (_flat(upgrade(before)) if isinstance(before, dict) else {})
    methods = [config.distill.method] if student else [config.distill.method, "teacher"]
    now = {key: value for key, value in _flat(config.model_dump()).items() if is_read(key, methods)}
    return sorted(key for key, value in now.items() if before[key] != value)


def _flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def remember_teacher(folder: Path, teacher: CheckpointInfo) -> None:
    """Record the teacher of a student in its run folder.

    Raises:
        UserError: the folder holds a student of another teacher.
    """
    known = known_teacher(folder)
    if known and known != teacher.digest and (folder / "checkpoints").exists():
        raise UserError(
            f"{folder} holds a student of another teacher ({known}; now {teacher.path}, {teacher.digest}): "
            "choose another --name, or move the folder away to distil again"
        )
    text = json.dumps({"path": str(teacher.path), "digest": teacher.digest, "steps": teacher.steps})
    write_bytes(folder / TEACHER_RECORD, text.encode())


def known_teacher(folder: Path) -> str | None:
    """The digest of the teacher in a student's run folder; None without a record.

    Raises:
        UserError: the record is damaged.
    """
    record = folder / TEACHER_RECORD
    if not record.exists():
        return None
    try:
        if not record.is_file():  # a pipe would be waited for
            raise ValueError
        return str(json.loads(record.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{record} is damaged, so the teacher of this student is unknown: remove it if it is the same "
            "teacher, or choose another --name"
        ) from error
