"""One line for each mistake of a configuration: where it stands, what is wrong, what was meant."""

from __future__ import annotations

import difflib
import re
from typing import Any, get_origin

from pydantic import BaseModel

from reddit.config.settings import RENAMED
from reddit.utils.text import LONGEST_SHOWN, short, shown


def explain(error: Any, model: type[BaseModel], source: str, prefix: str = "") -> str:
    """The line for one of pydantic's errors in `model`; `prefix` goes before its key."""
    location = [str(part) for part in error["loc"]]
    key = prefix + ".".join(location)
    if error["type"] == "value_error":
        return f"{source}: {short(key)}: {shown(error['input'])} {error['ctx']['error']}"
    if error["type"] != "extra_forbidden":
        message = error["msg"].replace("Input should be", "should be")
        message = re.sub("a valid dictionary or instance of .*", "a section of settings", message)
        return f"{source}: {short(key)}: {message}, not {shown(error['input'])}"
    if key in RENAMED:
        return f"{source}: {key}: this setting is now called {RENAMED[key]}"
    known = [prefix + name for name in _known_keys(model)]
    above = ".".join(location[:-1])
    if above in known and not any(name.startswith(f"{above}.") for name in known):
        return f"{source}: {short(key)}: unknown key; {above} has no settings"
    near = [name for name in known if name.split(".")[-1] == location[-1]]  # only the section is wrong
    near = near or difflib.get_close_matches(key[:LONGEST_SHOWN], known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(k for k in known if '.' not in k)}"
    return f"{source}: {short(key)}: unknown key; {hint}"


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        kind = field.annotation
        if get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _known_keys(kind, f"{prefix}{name}.")
    return keys
