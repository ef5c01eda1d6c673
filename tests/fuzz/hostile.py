"""Values that nobody expects, and trees with them."""

from __future__ import annotations

import math
import os
import random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

HOSTILE: list[Any] = [
    None,
    True,
    "",
    "x",
    "../up",
    "/etc",
    "\x1b[31m",
    "nan",
    "-1",
    "1e400",
    "x" * 3000,
    "\u202e",
]
HOSTILE += [
    0,
    -1,
    2**31,
    2**63,
    2**70,
    1e308,
    1e-320,
    math.nan,
    math.inf,
    -0.5,
    [],
    {},
    [1, 2],
    {"a": 1},
    [[[]]],
]
HOSTILE += [
    "1_000",
    "0x10",
    "!!python/object/apply:os.system ['true']",
    "yes",
    "2020-01-01",
    "💡",
    "%s%n",
    "${HOME}",
]


class Payload:
    """Unpickled without care, it runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def changed_value(rng: random.Random, value: Any) -> Any:
    """Another value: hostile, near the one at hand, or nested."""
    way = rng.random()
    if way < 0.5 or isinstance(value, (bool, str, type(None))):
        return rng.choice(HOSTILE)
    if isinstance(value, (int, float)):
        return rng.choice([value + 1, -value, value * 1000, value / 3, float(value), str(value), [value]])
    if isinstance(value, dict):
        return {**value, rng.choice(["", "x", "a.b", "__class__"]): rng.choice(HOSTILE)}
    return [*value, rng.choice(HOSTILE)] if isinstance(value, list) else [value]


def change_tree(rng: random.Random, tree: Any) -> None:
    """Change, remove or add an entry anywhere in nested dictionaries and lists."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(tree[key], (dict, list)) or not tree[key] or rng.random() < 0.2:
            break
        tree = tree[key]
    change = rng.random()
    if change < 0.15:
        del tree[key]
    elif change < 0.3 and isinstance(tree, dict):
        tree[rng.choice(["x", "", "lr", "steps", "1", "__init__", "k" * 300])] = rng.choice(HOSTILE)
    else:
        tree[key] = changed_value(rng, tree[key])


def examples(strategy: st.SearchStrategy[Any], number: int, count: int) -> list[Any]:
    """Values of a strategy of hypothesis, for a seed."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found
