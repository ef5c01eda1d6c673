"""YAML files and values: YAML 1.2 numbers, repeated keys refused, `base` inherited, sizes limited."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from reddit.utils.errors import UserError
from reddit.utils.files import is_file
from reddit.utils.names import shipped_config
from reddit.utils.text import short

LARGEST_FILE = 1_000_000
"""Bytes of a YAML file."""
MOST_VALUES, MOST_DIGITS = 100_000, 30
NOT_YAML = (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError, OverflowError, KeyError)
"""What PyYAML raises on text that is not YAML, and on YAML without a valid value."""


class Loader(yaml.SafeLoader):
    """Reads YAML with the numbers of YAML 1.2; dates are text, and repeated keys are errors.

    PyYAML alone reads `1e-4` as text, `010` as 8 and `1:30` as 90.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in keys.most_common(1):
            if count > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {short(repr(key))} is repeated", node.start_mark
                )
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge keys (`<<`) can grow without end, and `base` does the same."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "merge keys (<<) are not read: use base", key.start_mark
                )


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back as it was: text that it would take for a number is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _whole(loader: Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    if not re.fullmatch(rf"[-+]?\d{{1,{MOST_DIGITS}}}", text, re.ASCII):
        what = (
            "not an integer" if len(text) <= MOST_DIGITS else f"an integer of more than {MOST_DIGITS} digits"
        )
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
    return int(text)


def _number(loader: Loader, node: yaml.ScalarNode) -> float | int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    if whole := re.fullmatch(r"([-+]?\d+)e\+?(\d{1,2})", text, re.ASCII):  # 1e6: an integer
        return int(whole[1]) * 10 ** int(whole[2])
    try:
        return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text))
    except ValueError:
        raise yaml.constructor.ConstructorError(None, None, "not a number", node.start_mark) from None


_TAG = "tag:yaml.org,2002:"
_NUMBERS = {
    "int": r"[-+]?\d[\d_]*",
    "float": r"[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?|[-+]?\d[\d_]*[eE][-+]?\d+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
_OTHERWISE = {_TAG + kind for kind in (*_NUMBERS, "timestamp", "value")}
Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in found if tag not in _OTHERWISE]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _form in _NUMBERS.items():
    for _class in (Loader, Dumper):  # the latter quotes what either version of YAML takes for a number
        _class.add_implicit_resolver(
            _TAG + _kind, re.compile(f"^(?:{_form})$", re.ASCII), list("-+.0123456789")
        )
Loader.add_constructor(_TAG + "int", _whole)
Loader.add_constructor(_TAG + "float", _number)


def load_yaml(text: str) -> Any:
    """YAML as plain values; aliases that expand to more than `MOST_VALUES` of them are refused."""
    value = yaml.load(text, Loader)
    stack, count = [value], 0
    while stack:
        one, count = stack.pop(), count + 1
        if count > MOST_VALUES:
            raise yaml.YAMLError(f"it expands to more than {MOST_VALUES} values")
        if isinstance(one, dict):
            stack += one.values()
        elif isinstance(one, list | tuple | set):
            stack += one
    return value


def dump_yaml(tree: dict[str, Any]) -> str:
    """YAML that `load_yaml` reads back as it was."""
    return yaml.dump(tree, Dumper=Dumper, sort_keys=False)


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
        problem = short(getattr(error, "problem", None) or str(error) or "cannot be parsed")
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
