"""One line for each mistake of a configuration: where it stands, what is wrong, what was meant."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel

from reddit.config.settings import RENAMED


def explain(error: Any, model: type[BaseModel], source: str, prefix: str = "") -> str:
    """The line for one of pydantic's errors in `model`; `prefix` goes before its key."""
    location = [str(part) for part in error["loc"]]
    key = prefix + ".".join(location)
    if error["type"] != "extra_forbidden":
        message = error["msg"].replace("Input should be", "should be")
        return f"{source}: {key}: {message}, not {error['input']!r}"
    if key in RENAMED:
        return f"{source}: {key}: this setting is now called {RENAMED[key]}"
    known = [prefix + name for name in _known_keys(model)]
    near = [name for name in known if name.split(".")[-1] == location[-1]]  # only the section is wrong
    near = near or difflib.get_close_matches(key, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(k for k in known if '.' not in k)}"
    return f"{source}: {key}: unknown key; {hint}"


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _known_keys(field.annotation, f"{prefix}{name}.")
    return keys
