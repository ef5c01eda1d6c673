"""Configurations that may be shared: without the folders of the machine they were used on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

Settings = TypeVar("Settings", bound=BaseModel)


def public(settings: Settings) -> Settings:
    """The same settings, with the last part in place of each absolute path: /home/me/night → night."""
    changes = {name: _public_value(value) for name, value in settings}
    return settings.model_copy(update=changes)


def _public_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return public(value)
    if isinstance(value, list):
        return [_public_value(part) for part in value]
    if isinstance(value, str | Path) and Path(value).is_absolute():
        return type(value)(Path(value).name)
    return value
