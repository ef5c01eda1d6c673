"""Converting the settings of earlier versions."""

from __future__ import annotations

import copy
from typing import Any

from reddit.config import RENAMED

Tree = dict[str, Any]


def upgrade(settings: Tree) -> Tree:
    """Convert the settings of a checkpoint or run folder of any version to the present names.

    Args:
        settings: the whole configuration, as nested dictionaries; not modified.
    """
    settings = copy.deepcopy(settings)
    for old, new in RENAMED.items():
        section, key = _section(settings, old)
        if section is not None and key in section:
            value = section.pop(key)
            target, name = _section(settings, new, make=True)
            if target is not None:
                target.setdefault(name, value)
    if settings.get("distill") == {}:
        del settings["distill"]
    distill, _ = _section(settings, "distill.")
    if distill is not None and distill.get("method") == "progressive" and "reddit" in distill:
        rule = distill["reddit"].get("lambda_rule")  # both methods read it in earlier versions
        if rule is not None:
            distill.setdefault("progressive", {}).setdefault("lambda_rule", rule)
    data, _ = _section(settings, "data.")
    if data is not None:
        data.pop("in_memory", None)  # a setting of the first version
        if "seed" in settings:
            data.setdefault("split_seed", settings["seed"])  # it also decided the split in earlier versions
    return settings


def _section(settings: Tree, key: str, make: bool = False) -> tuple[Tree | None, str]:
    """The dictionary that contains a dotted key (None if there is none), and the last part of the key."""
    *sections, name = key.split(".")
    found: Any = settings
    for section in sections:
        found = found.setdefault(section, {}) if make else found.get(section)
        if not isinstance(found, dict):
            return None, name
    return found, name
