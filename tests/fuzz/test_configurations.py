"""Random configurations: each is read, or refused in a few short lines; what is read can be built and run.

`make fuzz` draws ten thousand cases a test instead of a few.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import drawn, refused
from hypothesis import given
from hypothesis import strategies as st
from repository import ROOT

from reddit.checkpoint.build import build_network, build_schedule
from reddit.config import Config, ModelConfig, load_config
from reddit.config.messages import _known_keys
from reddit.utils.errors import UserError

FILES = sorted((ROOT / "configs").glob("*.yaml"))
KEYS = _known_keys(Config)

numbers = st.one_of(
    st.integers(-3, 70).map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_subnormal=False).map(repr),
    st.sampled_from(
        [
            "0",
            "-1",
            "1e12",
            "1e400",
            "-1e-400",
            ".inf",
            "-.inf",
            ".nan",
            "1_000",
            "010",
            "0x10",
            "0o7",
            "1:30",
            "9" * 5000,
        ]
    ),
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "~", "null", "yes", "no", "auto", "=", "<<", "2020-01-01", "x" * 3000, "../up", "/", "."]
    ),
    st.sampled_from(
        ['"\\0"', '"\\e[31m"', '"\\ud800"', '"\\UFFFFFFFF"', '"\\x85"', "'\u202e'", "💡", "'1e5'"]
    ),
)
tagged = st.builds(
    "!!{} {}".format,
    st.sampled_from(
        [
            "int",
            "float",
            "bool",
            "null",
            "str",
            "timestamp",
            "binary",
            "set",
            "omap",
            "pairs",
            "seq",
            "map",
            "merge",
            "value",
            "python/object:os.system",
            "python/tuple",
        ]
    ),
    st.sampled_from(["", "foo", "1", "[1]", "{a: 1}", "2020-99-99", "====", "'x'"]),
)
plain = st.one_of(numbers, texts, tagged)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=9).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(plain, inner), max_size=4).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        ),
    ),
    max_leaves=12,
)
keys = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(KEYS).map(lambda key: key.partition(".")[2] or key),
    st.text(max_size=12),
    st.sampled_from(["a." * 3000 + "a", "train.", ".lr", "..", "base", "distill.train.lr.x"]),
)
overrides = st.lists(st.builds("{}={}".format, keys, values), min_size=1, max_size=4)


def read(path: Path | None, laid: list[str], stage: bool) -> Config | None:
    """The configuration, or None where it is refused as it should be."""
    return refused(lambda: load_config(path, laid, stage=stage))


@lru_cache
def check_network(settings: str) -> None:
    """See that a network of these settings takes a picture; nothing is computed."""
    with torch.device("meta"):
        network = build_network(ModelConfig.model_validate_json(settings))
        image, alpha = torch.empty(1, 3, 40, 24), torch.empty(1)
        assert network(image, image, alpha).shape == image.shape


def check(config: Config | None, folder: Path) -> None:
    """See that an accepted configuration survives its file, and that its network and schedule can be made."""
    if config is None:
        return
    path = folder / "again.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(path) == config
    try:
        schedule = build_schedule(config.diffusion)
    except UserError:
        return
    alphas = schedule.alpha(torch.arange(config.diffusion.steps + 1))
    assert alphas.isfinite().all() and (alphas.diff() < 0).all() and alphas[0] == 1
    check_network(config.model.model_dump_json())


@drawn
@given(laid=overrides, stage=st.booleans(), file=st.sampled_from([None, *FILES]))
def test_overrides(laid: list[str], stage: bool, file: Path | None, tmp_path: Path) -> None:
    check(read(file, laid, stage), tmp_path)


NUMERIC = [key for key in KEYS if key.startswith(("model.", "diffusion."))]
small = st.one_of(
    st.integers(-1, 70).map(str),
    st.sampled_from(
        ["1e-300", "1e-17", "1e-9", "0.5", "0.999", "100000", "2", "cosine", "x0", "true", "light", "compact"]
    ),
    st.lists(st.integers(0, 9).map(str), max_size=4).map(lambda items: f"[{', '.join(items)}]"),
)


@drawn
@given(laid=st.lists(st.builds("{}={}".format, st.sampled_from(NUMERIC), small), max_size=5))
def test_settings_of_the_network_and_the_noise(laid: list[str], tmp_path: Path) -> None:
    """Mostly accepted, so that what is accepted is built."""
    base = ["model.width=16", "model.groups=1", "model.blocks=1", "model.prediction=v"]
    check(read(None, [*base, *laid], False), tmp_path)


pieces = st.one_of(plain, values, st.sampled_from(["AGAINAGAIN", "", "\t", "\n", "\nAGAIN", " "]))


@st.composite
def mutated(draw: Any) -> str:
    """A shipped file with pieces removed, doubled or replaced."""
    text = draw(st.sampled_from(FILES)).read_text(encoding="utf-8")
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + draw(pieces).replace("AGAIN", text[start:end]) + text[end:]
    return text


@drawn
@given(text=st.one_of(mutated(), values, st.text(max_size=200)), stage=st.booleans())
def test_files(text: str, stage: bool, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    check(read(path, [], stage), tmp_path)


@drawn
@given(data=st.binary(max_size=200))
def test_bytes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    check(read(path, [], False), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "train: {" + ", ".join(f"k{i}: 1" for i in range(20_000)) + "}",
        "".join(f"k{i}: 1\n" for i in range(20_000)),
        "train:\n" + "".join(f"  {'k' * 300}{i}: 1\n" for i in range(2000)),
        "mix: [" + "x, " * 50_000 + "x]",
        "data: {mix: [" + "{weight: -1}, " * 5000 + "]}",
        "? " * 3000 + "x",
        "a: " + "{a: " * 900 + "1" + "}" * 900,
        "- " * 20_000 + "x",
        "'" + "x" * 500_000,
        "# " * 400_000,
        "&a [*a]",
        "name: &a {b: *a}",
        "name: &a [*a, *a]",
    ],
    ids=lambda text: text[:20],
)
def test_large_and_deep_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    start = time.perf_counter()
    assert read(path, [], False) in (None, Config())
    assert time.perf_counter() - start < 10
