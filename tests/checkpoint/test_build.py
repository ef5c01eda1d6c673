from __future__ import annotations

import pytest

from reddit.checkpoint.build import build_denoiser, build_schedule
from reddit.config import Config, DiffusionConfig, ModelConfig
from reddit.utils.errors import UserError


def test_settings_that_make_no_schedule() -> None:
    with pytest.raises(
        UserError, match=r"^diffusion: alpha must fall .*steps 512, beta_start 0\.9, beta_end"
    ):
        build_schedule(DiffusionConfig(beta_start=0.9, beta_end=0.999))


def test_the_size_of_a_network_has_a_limit_that_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found before memory is taken: this one would need 280 GB."""
    large = Config(model=ModelConfig(width=4096))
    with pytest.raises(
        UserError, match=r"69947 million parameters, more than 300: .*REDDIT_MAX_MILLION_PARAM"
    ):
        build_denoiser(large)
    small = Config(model=ModelConfig(width=32))
    monkeypatch.setenv("REDDIT_MAX_MILLION_PARAMETERS", "0.1")
    with pytest.raises(UserError, match=r"more than 0\.1"):
        build_denoiser(small)
    monkeypatch.setenv("REDDIT_MAX_MILLION_PARAMETERS", "20")
    build_denoiser(small)
