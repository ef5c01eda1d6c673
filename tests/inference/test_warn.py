"""Warnings name the line outside the package, whatever lies between."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import numpy as np

import reddit
from reddit.inference import warn as warn_module


def line_of(mark: str) -> int:
    return next(k for k, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(mark))


def test_every_way_of_enhancing_names_the_users_line() -> None:
    model = reddit.load("light-lol")
    day = np.full((32, 32, 3), 200, np.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.enhance(day)  # 1
        model.enhance_array(day)  # 2
        model.enhance_arrays([day, day])  # 3
    places = [(Path(warning.filename).name, warning.lineno) for warning in caught]
    assert places == [(Path(__file__).name, line_of(f"# {k}")) for k in (1, 2, 3, 3)]


def test_a_call_from_nowhere_else_warns_too() -> None:
    """The outermost function is ours, as in the command."""
    code = compile("warn('a line')", "outermost", "exec")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(code, {"warn": warn_module.warn, "__name__": "reddit.cli.main"})
    (warning,) = caught
    assert warning.category is reddit.EnhanceWarning and str(warning.message) == "a line"
    assert Path(warning.filename) == Path(inspect.getfile(test_a_call_from_nowhere_else_warns_too))
