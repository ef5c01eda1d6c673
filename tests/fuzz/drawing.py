"""What the tests of random inputs share: how many cases, damaged bytes, values of the wrong kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from reddit.utils.errors import UserError

T = TypeVar("T")
CASES = int(os.environ.get("REDDIT_FUZZ", "60"))


def drawing(share: int = 1) -> settings:
    """`REDDIT_FUZZ` cases, or a share of them where each takes long; a few by default, always the same."""
    return settings(
        max_examples=max(CASES // share, 10),
        deadline=10_000,  # milliseconds a case
        derandomize="REDDIT_FUZZ" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


drawn = drawing()
junk = st.one_of(
    st.sampled_from(
        [None, True, "", "x", "../up", "/etc", "\x1b[31m", "\0", "nan", "-1", "1e400", "x" * 3000]
    ),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 9),
    st.floats(allow_subnormal=False),  # libraries compiled with -ffast-math, once loaded, make them zero
    st.lists(st.integers(-1, 5), max_size=4),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.text(max_size=20),
)
"""Values of any JSON type."""


@st.composite
def mutated_bytes(draw: Any, whole: bytes) -> bytes:
    """A file cut short, lengthened, or with some bytes replaced."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        # Most structure lies at the beginning.
        start = draw(st.one_of(st.integers(0, min(len(data), 3000)), st.integers(0, len(data))))
        kind = draw(st.sampled_from(["replace", "cut", "remove", "insert"]))
        piece = draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"\xff" * 8, b"\0" * 8, b'"', b"}", b"9" * 30]))
        )
        if kind == "replace":
            data[start : start + len(piece)] = piece
        elif kind == "insert":
            data[start:start] = piece
        elif kind == "remove":
            del data[start : start + draw(st.integers(1, 200))]
        else:
            del data[start:]
    return bytes(data)


def refused(call: Callable[[], T], lines: int = 11) -> T | None:
    """The result of a call, None where it ends in an error of a few printable lines."""
    try:
        return call()
    except UserError as error:
        told = str(error).split("\n")
        assert len(told) <= lines, told
        assert all(10 < len(line) < 1000 for line in told), told
        return None
