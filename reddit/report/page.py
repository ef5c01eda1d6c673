"""HTML from the templates: every value is escaped, style and script are embedded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """Fill a template of `reddit/report/templates`.

    Args:
        values: the variables of the template. Strings are escaped; only `markupsafe.Markup` is not.

    Raises:
        jinja2.UndefinedError: a variable is missing.
    """
    return _environment().get_template(template).render(values)


def stream(template: str, **values: Any) -> Iterator[str]:
    """As `render`, piece by piece, for pages that are larger than memory should hold."""
    return _environment().get_template(template).generate(values)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
