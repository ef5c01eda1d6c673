"""The lists in requirements/ agree with pyproject.toml."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from repository import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def pinned(name: str) -> dict[str, Requirement]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def version(requirement: Requirement) -> Version:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


def asked(*extras: str) -> list[Requirement]:
    """What the project asks for with these extras, without the project itself."""
    lists = [project()["dependencies"], *(project()["optional-dependencies"][extra] for extra in extras)]
    found = [Requirement(text) for texts in lists for text in texts]
    return [requirement for requirement in found if requirement.name != project()["name"]]


def test_the_oldest_versions_are_those_that_the_project_allows() -> None:
    oldest = pinned("oldest.txt")
    assert {canonicalize_name(requirement.name) for requirement in asked()} <= oldest.keys()
    for requirement in asked("heic", "raw", "hub", "dev"):
        name = canonicalize_name(requirement.name)
        if name in oldest:
            (floor,) = requirement.specifier
            assert floor.operator == ">=", requirement
            assert version(oldest[name]) in Requirement(f"{name}~={floor.version}.0").specifier, requirement


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_locked_versions_are_allowed(platform: str) -> None:
    locked = pinned("locked.txt")
    for requirement in asked("onnx", "heic", "raw", "hub", "video", "dev"):
        pin = locked[canonicalize_name(requirement.name)]
        assert version(pin) in requirement.specifier, requirement
    here = {"sys_platform": platform, "platform_machine": "x86_64", "python_version": "3.11"}
    torch = locked["torch"]
    assert torch.marker is not None and torch.marker.evaluate(here) == (platform == "linux")


def test_the_locked_versions_contain_no_urls() -> None:
    text = (ROOT / "requirements" / "locked.txt").read_text()
    assert not any(word in text for word in ("://", "--", " @ "))
