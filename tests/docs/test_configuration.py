"""docs/configuration.md is what docs/configuration.py writes."""

from __future__ import annotations

import re
from typing import get_origin

from pydantic import BaseModel, Field
from repository import ROOT, load

from reddit.config import Config, TrainConfig

GENERATOR = load("docs/configuration.py")
PAGE = ROOT / "docs" / "configuration.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == GENERATOR.page(), "renew it: python docs/configuration.py"


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys(field.annotation, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def test_every_setting_has_a_row() -> None:
    listed = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert keys(Config) <= set(listed)
    assert len([key for key in listed if key in keys(Config)]) == len(keys(Config))


def test_rows_hold_type_bounds_default_and_meaning() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "| `train.lr` | number > 0, ≤ 1000 | `0.0001` |" in text
    assert "| `distill.reddit.omega` | number ≥ 0 | `0.2` | Strength of" in text


class Base(BaseModel):
    """A base."""

    inherited: int = 1
    """What comes
    from below."""


class Child(Base):
    plain: list[int] = []
    documented: float | None = Field(0.5, ge=0, lt=1)
    """With | a bar."""


def test_docstrings_of_attributes_are_found() -> None:
    assert GENERATOR.attribute_docs(Child) == {
        "inherited": "What comes from below.",
        "documented": "With \\| a bar.",
    }
    assert set(GENERATOR.attribute_docs(TrainConfig)) <= set(TrainConfig.model_fields)
