"""The commands as a user calls them, and files of the repository as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from reddit.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def load(path: str) -> ModuleType:
    """A file of the repository as a module, `benchmarks/inference.py` say."""
    name = path.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def call(name: str, *arguments: str) -> int:
    """Call a subcommand of `reddit-llie` in this process; returns its exit code."""
    return main([name, *arguments]) or 0
