"""YAML files and values: numbers as YAML 1.2 has them, repeated keys refused, `base` inherited."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from reddit.utils.errors import UserError


class Loader(yaml.SafeLoader):
    """YAML 1.2 floats: PyYAML reads `1e-4` as a string. Repeated keys are mistakes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$|^[-+]?\.\d[\d_]*([eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with the settings of `top` laid over it, section by section; neither is changed."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The settings of a file over those of its `base`.

    Raises:
        UserError: if one of them cannot be read, is not a mapping, or inherits from itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        known = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, known, 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise UserError(f"cannot read the configuration {path}: {reason}{hint}") from error
    try:
        raw = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise UserError(f"{path}{line}: not valid YAML: {problem}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected a mapping of settings, found {type(raw).__name__}")
    base = raw.pop("base", None)
    if base is None:
        return raw
    below = (path.parent / str(base)).resolve()
    if below in (*seen, path.resolve()):
        raise UserError(f"{path}: base {base} leads back to itself")
    return merge(read_yaml(below, (*seen, path.resolve())), raw)
