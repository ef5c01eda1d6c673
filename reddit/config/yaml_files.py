"""YAML files and values: YAML 1.2 numbers, repeated keys refused, `base` inherited, sizes limited."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from reddit.utils.errors import UserError
from reddit.utils.files import is_file
from reddit.utils.names import shipped_config
from reddit.utils.text import short

LARGEST_FILE = 1_000_000
"""Bytes of a YAML file."""
MOST_VALUES = 100_000
NOT_YAML = (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError, OverflowError, KeyError)
"""What PyYAML raises on text that is no YAML, and on YAML that stands for no value."""


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

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge keys (`<<`) can grow without end, and `base` does the same."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "merge keys (<<) are not read: use base", key.start_mark
                )


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$|^[-+]?\.\d[\d_]*([eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


def load_yaml(text: str) -> Any:
    """YAML as plain values; aliases that stand for more than `MOST_VALUES` of them are refused."""
    value = yaml.load(text, Loader)
    stack, count = [value], 0
    while stack:
        one, count = stack.pop(), count + 1
        if count > MOST_VALUES:
            raise yaml.YAMLError(f"it stands for more than {MOST_VALUES} values")
        if isinstance(one, dict):
            stack += one.values()
        elif isinstance(one, list | tuple | set):
            stack += one
    return value


def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with the settings of `top` in place of its own, section by section; neither is changed."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"cannot read the configuration {path}: not a file")
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path} is larger than {LARGEST_FILE} bytes: is it a configuration?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        known = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, known, 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        named = str(path) if len(str(path)) <= 300 else short(str(path))
        raise UserError(f"cannot read the configuration {named}: {reason}{hint}") from error
    try:
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or short(str(error)) or "cannot be parsed"
        raise UserError(f"{path}{line}: not valid YAML: {problem}") from error
    except NOT_YAML as error:
        deep = isinstance(error, RecursionError)
        problem = "nested too deeply" if deep else short(str(error))
        raise UserError(f"{path}: not valid YAML: {problem}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected a mapping of settings, found {type(raw).__name__}")
    base = raw.pop("base", None)
    if base is None:
        return raw
    if not isinstance(base, str) or not base.isprintable():
        raise UserError(f"{path}: base: should be a file or the name of a shipped configuration")
    below = path.parent / base
    if not is_file(below):
        below = shipped_config(base) or below
    below = below.resolve()
    if below in (*seen, path.resolve()):
        raise UserError(f"{path}: base {short(base)} leads back to itself")
    return merge(read_yaml(below, (*seen, path.resolve())), raw)
