#!/usr/bin/env python3
"""Write docs/configuration.md from the settings in reddit/config and their docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reddit.config import RENAMED, Config, TrainConfig

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """\
<!-- Written by `python docs/configuration.py` from the docstrings in reddit/config: change those. -->

# Configuration

A configuration is a YAML file. `-c` takes a file or the name of a shipped one (`configs/`),
`--set KEY=VALUE …` changes single settings, and `-n` prints the result:

```bash
reddit-llie train -c lolv1_light --set train.lr=2e-4 data.crop=96 -n
```

- Keys are dotted: `train.lr` is `lr` in the section `train`. Values are YAML.
- `base: OTHER.yaml` in a file inherits another file's settings.
- Later wins: defaults, `base`, the file, in a distillation stage `distill.train` over `train`, and at last
  `--set`.
- An unknown key is an error that names the nearest known one. All errors are reported at once.
- A file may hold the settings of all methods (`teacher`, `distill.reddit`, `distill.consistency`, …). In
  `--set` a setting that the method of the run does not read is an error that names the method that does.
- `null` in `distill.train` means: as in `train`.
- The defaults are the paper's. Where the paper is silent, they are those of its predecessors (GSAD, SR3).
"""


def page() -> str:
    """The whole document."""
    parts = [INTRODUCTION, *_sections(Config, "")]
    rows = [f"| `{old}` | `{new}` |" for old, new in RENAMED.items()]
    parts.append(
        "## Renamed settings\n\nOld run folders and checkpoints are still read. In files and in `--set` the "
        "old names are errors that name the new ones.\n\n"
        + "\n".join(["| earlier versions | now |", "|---|---|", *rows])
        + "\n"
    )
    return "\n".join(parts)


def _sections(model: type[BaseModel], prefix: str) -> list[str]:
    """A table of a model's own settings, then the sections of the models inside it, without repetition."""
    meanings = attribute_docs(model)
    rows, inner = [], []
    for name, field in model.model_fields.items():
        child = _model_in(field.annotation)
        if child is not None:
            inner.append((child, prefix + name))
        if child is None or not _is_model(field.annotation):
            cells = (f"`{prefix}{name}`", _type(field), _default(field), meanings.get(name, ""))
            rows.append("| " + " | ".join(cells) + " |")
    title = f"## `{prefix.rstrip('.')}`" if prefix else "## The run"
    text = _one_line(inspect.getdoc(model) or "")
    found = []
    if rows:
        header = ["| setting | type | default | meaning |", "|---|---|---|---|"]
        found.append("\n".join([title, "", text, "", *header, *rows, ""]))
    for child, name in inner:
        found += _sections(child, f"{name}.")
    return found


def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field → the string below it in the source, inherited fields included, on one line."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not (issubclass(owner, BaseModel) and owner is not BaseModel):
            continue
        if owner.__name__ == "StageConfig":  # made of TrainConfig's fields
            found |= attribute_docs(TrainConfig)
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[field.target.id] = _one_line(text).replace("|", "\\|")
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_model(annotation: Any) -> bool:
    if typing.get_origin(annotation) is not None:  # in Python 3.10 list[X] passes for a class
        return False
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or holds as in `list[Model]` and `Model | None`."""
    if _is_model(annotation):
        return annotation  # type: ignore[no-any-return]
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)


def _type(field: FieldInfo) -> str:
    bounds = _bounds(field.metadata)
    return f"{_name(field.annotation)} {bounds}".strip().replace("|", "\\|")


def _name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is typing.Annotated:
        inner = [m for a in arguments[1:] for m in getattr(a, "metadata", [a])]
        return f"{_name(arguments[0])} {_bounds(inner)}".strip()
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_name(a) for a in arguments)
    if annotation is type(None):
        return "`null`"
    if origin is list:
        return "list; see below" if _is_model(arguments[0]) else f"list of {_name(arguments[0])}"
    if origin is dict:
        return "mapping"
    names = {int: "integer", float: "number", str: "text", bool: "`true`, `false`"}
    return names.get(
        annotation, "section" if _is_model(annotation) else getattr(annotation, "__name__", "any")
    )


def _bounds(metadata: list[Any]) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return ", ".join(
        f"{sign} {_number(getattr(one, key))}"
        for one in metadata
        for key, sign in signs.items()
        if getattr(one, key, None) is not None
    )


def _number(value: float) -> str:
    return f"2^{value.bit_length() - 1}" if isinstance(value, int) and value > 2**20 else f"{value:g}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, dict):
        return ", ".join(f"`{key}: {_plain(one)}`" for key, one in value.items()) or "`{}`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """As YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
