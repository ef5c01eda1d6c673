"""One line for each mistake of a configuration: its place, what is wrong, and what may be meant."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeGuard, get_origin

from pydantic import BaseModel

from reddit.config.settings import RENAMED
from reddit.utils.text import LONGEST_SHOWN, short, shown


def explain(error: Any, model: type[BaseModel], source: str, prefix: str = "") -> str:
    """The line for one of pydantic's errors in `model`; `prefix` goes before its key."""
    location = [str(part) for part in error["loc"]]
    key = prefix + ".".join(location) or "a key"
    if error["type"] == "value_error":
        return f"{source}: {short(key)}: {shown(error['input'])} {error['ctx']['error']}"
    if error["type"] != "extra_forbidden":
        message = error["msg"].replace("Input should be", "should be")
        message = re.sub("valid dictionary or instance of .*", "section of settings", message)
        return f"{source}: {short(key)}: {message}, not {shown(error['input'])}"
    if key in RENAMED:
        return f"{source}: {key}: this setting is now called {RENAMED[key]}"
    known = [prefix + name for name in _known_keys(model)]
    above = ".".join(location[:-1])
    if above in known and not any(name.startswith(f"{above}.") for name in known):
        return f"{source}: {short(key)}: unknown key; {above} has no settings"
    near = [name for name in known if name.split(".")[-1] == location[-1]]  # only the section is wrong
    near = near or _nearest(key[:LONGEST_SHOWN], known)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(k for k in known if '.' not in k)}"
    return f"{source}: {short(key)}: unknown key; {hint}"


def _nearest(key: str, known: list[str]) -> list[str]:
    """The known key that is most like one: among those with nearly the same last part, or else of all."""
    last = {name.split(".")[-1] for name in known}
    similar = difflib.get_close_matches(key.split(".")[-1], sorted(last), 1, cutoff=0.8)
    alike = [name for name in known if name.split(".")[-1] in similar]
    found = difflib.get_close_matches(key, alike, 1, cutoff=0.5)
    return found or difflib.get_close_matches(key, known, 1, cutoff=0.5)


def one_a_value(errors: list[Any], model: type[BaseModel]) -> list[Any]:
    """Pydantic's errors in `model`, those of the alternatives of one value as one."""
    merged: dict[tuple[Any, ...], Any] = {}
    for error in errors:
        place = _place(error["loc"], model)
        if place in merged and place != error["loc"]:
            merged[place]["msg"] += error["msg"].replace("Input should be", " or")
        else:
            merged.setdefault(place, error | {"loc": place})
    return list(merged.values())


def _place(location: tuple[Any, ...], model: type[BaseModel]) -> tuple[Any, ...]:
    """A location without the name of an alternative, with which pydantic ends it: `data.workers.int`."""
    section: Any = model
    for depth, part in enumerate(location):
        if section is None:  # inside a value: the index in a list, and what follows it, are kept
            return location if isinstance(part, int) else location[:depth]
        field = section.model_fields.get(part)
        kind = None if field is None else field.annotation
        section = kind if _is_section(kind) else None
    return location


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    # In Python 3.10 list[X] passes for a class.
    return get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel)


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        kind = field.annotation
        if _is_section(kind):
            keys += _known_keys(kind, f"{prefix}{name}.")
    return keys
