from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import save_weights
from reddit.config import resolve_config

sys.path.insert(0, str(Path(__file__).parent))  # `browser`, `repository` and `tiny_set`

from browser import PROGRAM, Tab, browser
from tiny_set import NETWORK

TINY = {
    "precision": "fp32",
    "model": NETWORK | {"unshuffle": 2, "log_condition": True},
    "diffusion": {"zero_terminal_snr": True},
}


def _save(path: Path, block: str, context: bool) -> Path:
    model = TINY["model"] | {"block": block, "context": context}  # type: ignore[operator]
    config = resolve_config(TINY | {"model": model}, source="test")
    torch.manual_seed(0)
    denoiser = build_denoiser(config)
    for parameter in denoiser.parameters():  # fresh light blocks do nothing
        if parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=0.6 / parameter[0].numel() ** 0.5)
    save_weights(path, denoiser, config, steps=2, family="tiny", method="reddit", iteration=1)
    return path


@pytest.fixture(scope="session")
def light_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of light blocks with a context, tiny and untrained."""
    return _save(tmp_path_factory.mktemp("weights") / "light.safetensors", "light", True)


@pytest.fixture(scope="session")
def sr3_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the paper's blocks, tiny and untrained."""
    return _save(tmp_path_factory.mktemp("weights") / "sr3.safetensors", "sr3", False)


@pytest.fixture
def listening() -> Iterator[None]:
    """Signals are heard, even by tests that a shell runs in the background, or under nohup."""
    wanted: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        wanted[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser."""
    if PROGRAM is None:
        pytest.skip("needs Chromium: the Debian package chromium, or Chrome")
    with browser(tmp_path_factory.mktemp("browser")) as one:
        yield one
