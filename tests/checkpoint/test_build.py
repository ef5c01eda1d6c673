from __future__ import annotations

import pytest

from reddit.checkpoint.build import build_schedule
from reddit.config import DiffusionConfig
from reddit.utils.errors import UserError


def test_settings_that_make_no_schedule() -> None:
    with pytest.raises(
        UserError, match=r"^diffusion: alpha must fall .*steps 512, beta_start 0\.9, beta_end"
    ):
        build_schedule(DiffusionConfig(beta_start=0.9, beta_end=0.999))
