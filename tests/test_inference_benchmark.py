from __future__ import annotations

import dataclasses
import json
import resource
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from repository import load

from reddit.config import Config
from reddit.utils.errors import UserError

TINY = """
name: tiny
model: {width: 4, multipliers: [1], blocks: 1, attention_levels: [], groups: 1, block: light, context: true}
"""


@pytest.fixture(scope="module")
def inference() -> ModuleType:
    return load("benchmarks/inference.py")


def test_sizes(inference: ModuleType) -> None:
    assert inference.size("600x400") == (600, 400)
    for wrong in ("600", "600x", "0x400", "600x-1", "6x4x3"):
        with pytest.raises(UserError, match="write width x height"):
            inference.size(wrong)


def test_cases_are_ordered_by_steps_with_alternatives_adjacent(inference: ModuleType) -> None:
    settings = [inference.BASELINE, inference.Settings()]
    cases = inference.plan(["a", "b"], [(3, 2)], [4, 2], settings, "cpu", 9.0, {"b": "b.onnx"})
    assert [(case.config, case.steps, case.settings.fast) for case in cases if not case.graph] == [
        (config, steps, fast) for config in "ab" for steps in (1, 2, 4) for fast in (False, True)
    ]
    (onnx,) = [case for case in cases if case.graph]
    assert (onnx.config, onnx.steps, onnx.settings) == ("b", 1, inference.ONNX)
    with pytest.raises(UserError, match="--steps 0"):
        inference.plan(["a"], [(3, 2)], [0, 2], settings, "cpu", 9.0, {})


def test_long_cases_are_extrapolated(inference: ModuleType) -> None:
    one = inference.Measured(1500.0, 700.0, 500.0, "median of 5")
    assert inference.multiplied(one, 4, limit=6.0) is None
    found = inference.multiplied(one, 5, limit=6.0)
    assert found == inference.Measured(7500.0, 700.0, 500.0, "computed: 5 × one step")
    assert inference.multiplied(inference.Measured(None, None, None, "failed"), 5, 6.0).ms is None


def test_only_short_cases_are_run(inference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def run(case: object) -> object:
        ran.append(case.steps)
        return inference.Measured(1000.0, 1.0, 1.0, "once")

    monkeypatch.setattr(inference, "_in_a_process", run)
    cases = inference.plan(["a"], [(3, 2)], [16, 4, 2], [inference.BASELINE], "cpu", 4.0, {})
    found = inference._measure_all(cases, 4.0, quiet=True)
    assert ran == [1, 2, 4]
    assert {case.steps: measured.ms for case, measured in found.items()} == {1: 1e3, 2: 1e3, 4: 1e3, 16: 16e3}


def test_ratios_are_to_the_baseline_of_the_same_steps(inference: ModuleType) -> None:
    cases = inference.plan(
        ["a"], [(600, 400)], [2, 1], [inference.BASELINE, inference.Settings()], "cpu", 9.0, {"a": "a.onnx"}
    )
    ms = dict(zip(cases, [100.0, 50.0, 40.0, 240.0, 80.0], strict=True))  # 1 step, ONNX the third; 2 steps
    found = {case: inference.Measured(value, 700.4, 500.0, "once") for case, value in ms.items()}
    rows = inference.table(found, {"a": Config(name="known")})
    assert [(row["steps"], row["ms"], row["times as fast"]) for row in rows] == [
        (2, 240.0, "1.00"),
        (2, 80.0, "3.00"),
        (1, 100.0, "1.00"),
        (1, 50.0, "2.00"),
        (1, 40.0, "2.50"),
    ]
    assert {(row["configuration"], row["picture"], row["peak MB"]) for row in rows} == {
        ("known", "600×400", 700)
    }


def test_a_failed_process_leaves_a_gap(inference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    case = inference.Case("a", (3, 2), 1, inference.BASELINE, "cpu", 1.0)
    measured = inference._in_a_process(case)
    assert measured.ms is None and measured.how == "failed"
    assert inference.table({case: measured}, {"a": Config()})[0]["times as fast"] is None


@pytest.mark.parametrize("fast", [True, False])
def test_a_case_is_measured_in_its_own_process(inference: ModuleType, tmp_path: Path, fast: bool) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    settings = inference.Settings(fast=fast)
    case = inference.Case(str(tmp_path / "tiny.yaml"), (9, 7), 2, settings, "cpu", 1.0)
    assert inference._case(json.loads(json.dumps(dataclasses.asdict(case)))) == case
    measured = inference.measure(case)
    assert measured.ms > 0 and measured.peak_mb >= measured.loaded_mb > 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system's own figures are in /proc")
def test_peak_memory_is_at_least_the_present_one(inference: ModuleType) -> None:
    held = torch.ones(25_000_000)  # 100 MB
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    assert 100 < now - 1 <= inference.memory_mb(held.device) <= most + 1
