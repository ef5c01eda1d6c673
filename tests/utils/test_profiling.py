from __future__ import annotations

import pytest
import torch

from reddit.utils.profiling import Stopwatch, phase


def test_an_inner_phase_is_not_its_outer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 4.0, 10.0, 20.0, 22.0])
    monkeypatch.setattr(Stopwatch, "_now", lambda self: next(ticks))
    with Stopwatch(torch.device("cpu")) as watch:
        with phase("outer"), phase("inner"):  # 0 … (1 … 4) … 10
            pass
        with phase("inner"):  # 20 … 22
            pass
    assert watch.seconds == {"outer": 7.0, "inner": 5.0}


def test_unwatched_phases_cost_nothing_and_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stopwatch(torch.device("cpu")) as watch:
        with pytest.raises(ValueError, match="inside"), phase("broken"):
            raise ValueError("inside")
        assert set(watch.seconds) == {"broken"}
    with phase("later"):
        pass
    assert set(watch.seconds) == {"broken"}
