"""Which training methods read a setting; every run reads the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reddit.config.methods import READ_PERCEPTUAL, DistillConfig

TEACHER = "teacher"
"""The training of a teacher, among the names of the distillation methods."""
METHODS = tuple(name for name in DistillConfig.model_fields if name not in ("method", "train"))
"""The methods that have a section in `distill`."""


def readers(key: str) -> tuple[str, ...] | None:
    """The methods that read a dotted key; None: every run does."""
    section, _, rest = key.partition(".")
    own = rest.partition(".")[0]
    if section == "distill" and own in METHODS:
        return (own,)
    return {"teacher": (TEACHER,), "perceptual": READ_PERCEPTUAL}.get(section)


def is_read(key: str, methods: Collection[str]) -> bool:
    """Whether every run or one of these methods reads a dotted key; an unknown one may read `perceptual`."""
    reading = readers(key)
    if reading is None or any(method in reading for method in methods):
        return True
    return key.startswith("perceptual") and any(method not in (*METHODS, TEACHER) for method in methods)


def settings_for(overrides: Sequence[str], *methods: str) -> list[str]:
    """Those of the overrides `key=value` that runs of these methods read."""
    return [override for override in overrides if is_read(override.partition("=")[0], methods)]


def unread(overrides: Mapping[str, Any], method: str, stage: bool) -> list[str]:
    """A line for each override that no method of the run reads.

    Args:
        overrides: the overrides as a tree. (A file may hold the settings of several methods.)
        method: the distillation method.
        stage: a distillation stage; else a teacher's training, which keeps the settings of its students.
    """
    running = (method,) if stage else (method, TEACHER)
    found = []
    for key in _leaves(overrides):
        if is_read(key, running):
            continue
        students = " or ".join(name for name in readers(key) or () if name != TEACHER)
        found.append(
            f"{key}: only distill.method={students} reads it, and the method is {method}"
            if students
            else f"{key}: only the training of a teacher reads it, and this is a distillation"
        )
    return found


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all values."""
    found = []
    for key, value in tree.items():
        inner = _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else []
        found += inner or [f"{prefix}{key}"]
    return found
