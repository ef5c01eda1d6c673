"""Print the installed versions as constraints for pip; `make lock` writes them to requirements/locked.txt.

A compiled package is pinned on the platform at hand alone, as another one may have no wheel of that version.
A package whose version needs a newer Python than the project does is pinned from that Python on.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import Distribution, distributions

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

LEFT_OUT = {"pip", "reddit-llie"}
OLDEST_PYTHON, NEWEST_PYTHON = 10, 30
"""Minor versions of Python 3."""


def main() -> None:
    print("# The versions that `make setup` installs: tested together. Renew with `make lock`.")
    found = {canonicalize_name(d.metadata["Name"]): d for d in distributions()}
    for name in sorted(found.keys() - LEFT_OUT):
        version = found[name].version.partition("+")[0]  # the part after + names a build
        conditions = [*_python(found[name]), *_platform(found[name])]
        print(f"{name}=={version}" + (f"; {' and '.join(conditions)}" if conditions else ""))


def _python(distribution: Distribution) -> list[str]:
    allowed = SpecifierSet(distribution.metadata.get("Requires-Python") or "")
    minor = next(m for m in range(OLDEST_PYTHON, NEWEST_PYTHON) if allowed.contains(f"3.{m}.99"))
    return [f'python_version >= "3.{minor}"'] if minor > OLDEST_PYTHON else []


def _platform(distribution: Distribution) -> list[str]:
    tags = [line for line in (distribution.read_text("WHEEL") or "").splitlines() if line.startswith("Tag:")]
    if tags and all(tag.endswith("-any") for tag in tags):
        return []
    return [f'sys_platform == "{sys.platform}"', f'platform_machine == "{platform.machine()}"']


if __name__ == "__main__":
    main()
