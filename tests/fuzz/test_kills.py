"""Training and a chain that are killed at random moments; `make fuzz` kills each fifty times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 50


@pytest.mark.skipif("REDDIT_FUZZ" not in os.environ, reason="takes minutes: make fuzz")
def test_kills_at_random_moments_change_no_weight(tmp_path: Path) -> None:
    program = Path(__file__).with_name("kills.py")
    subprocess.run([sys.executable, str(program), str(tmp_path), str(KILLS)], check=True)
    results = json.loads((tmp_path / "results.json").read_text())
    print(results)
    for kind in ("teacher", "chain"):
        assert results[kind]["kills"] >= KILLS and results[kind]["different"] == 0
