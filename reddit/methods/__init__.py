"""Training methods: each owns the network it trains and returns the losses of a batch."""

import difflib
from typing import Any

from reddit.methods.consistency import ConsistencyDistillation
from reddit.methods.ctm import ConsistencyTrajectory
from reddit.methods.distillation import Distillation
from reddit.methods.method import Method, StepRNG
from reddit.methods.progressive import ProgressiveDistillation
from reddit.methods.reddit import ReDDiT
from reddit.methods.reflow import Reflow
from reddit.methods.regression import Regression
from reddit.methods.shortcut import Shortcut
from reddit.methods.teacher import Teacher
from reddit.utils.errors import UserError

# Importing a distillation above registers it by its name.
DISTILLATIONS: dict[str, type[Distillation[Any]]] = {
    kind.name: kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Distillation) and kind is not Distillation
}


def distillation_named(name: str) -> type[Distillation[Any]]:
    """The method of a name, as in `distill.method`.

    Raises:
        UserError: unknown name.
    """
    if name not in DISTILLATIONS:
        near = difflib.get_close_matches(name, DISTILLATIONS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(DISTILLATIONS)}"
        raise UserError(f"distill.method: no method is named {name!r}; {hint}")
    return DISTILLATIONS[name]


__all__ = [
    "DISTILLATIONS",
    "ConsistencyDistillation",
    "ConsistencyTrajectory",
    "Distillation",
    "Method",
    "ProgressiveDistillation",
    "ReDDiT",
    "Reflow",
    "Regression",
    "Shortcut",
    "StepRNG",
    "Teacher",
    "distillation_named",
]
