"""The repository's scripts and benchmarks, as modules and as a user calls them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load(path: str) -> ModuleType:
    """A file of the repository as a module, `scripts/enhance.py` say."""
    name = path.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def script(name: str, *arguments: str) -> int:
    """Call a script's main in this process."""
    return load(f"scripts/{name}.py").main(list(arguments)) or 0
