"""One line for each mistake of a configuration: where it stands, what is wrong, what was meant."""

from __future__ import annotations

import difflib
from typing import Any, get_origin

from pydantic import BaseModel

from reddit.config.settings import RENAMED

LONGEST_SHOWN = 80
"""Characters of a value or key that a message shows."""


def explain(error: Any, model: type[BaseModel], source: str, prefix: str = "") -> str:
    """The line for one of pydantic's errors in `model`; `prefix` goes before its key."""
    location = [str(part) for part in error["loc"]]
    key = prefix + ".".join(location)
    if error["type"] != "extra_forbidden":
        message = error["msg"].replace("Input should be", "should be")
        return f"{source}: {short(key)}: {message}, not {short(repr(error['input']))}"
    if key in RENAMED:
        return f"{source}: {key}: this setting is now called {RENAMED[key]}"
    known = [prefix + name for name in _known_keys(model)]
    near = [name for name in known if name.split(".")[-1] == location[-1]]  # only the section is wrong
    near = near or difflib.get_close_matches(key[:LONGEST_SHOWN], known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(k for k in known if '.' not in k)}"
    return f"{source}: {short(key)}: unknown key; {hint}"


def short(text: str) -> str:
    """One line that fits on a screen, whatever a file holds."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        kind = field.annotation
        if get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _known_keys(kind, f"{prefix}{name}.")
    return keys
