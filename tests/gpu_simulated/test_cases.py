"""What a GPU would be asked to do, on a simulated one: no host waits, no mixed devices, the right types.

The cases run in one other process, because the simulation changes PyTorch for good. The same cases run on a
real GPU in `tests/training/test_gpu.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from simulated_gpu.cases import tiny
from simulated_gpu.names import METHODS, NETWORKS
from simulated_gpu.runtime import missing, run_python

from reddit.training.counted_step import count_step

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

TYPES = {"fp32": "float32", "tf32": "tf32", "bf16": "bfloat16", "fp16": "float16"}
TRAINING = [
    *(f"{method}/sr3/bf16" for method in METHODS),
    *(f"{method}/sr3/{precision}" for method in ("teacher", "reddit") for precision in ("fp32", "fp16")),
    "teacher/sr3/tf32",
    *(f"teacher/{network}/bf16" for network in NETWORKS if network != "sr3"),
]
WAITS = {"enhance": 2, "batch": 2, "folder": 2, "tiles": 2}
"""How often the host may wait: for the check and the result of a picture, batch, or folder of equally large
pictures; for each of two tiles."""
ENHANCING = [
    "enhance/sr3/bf16",
    "enhance/light/fp16",
    "batch/light/bf16",
    "folder/light/bf16",
    "tiles/light/bf16",
    "tiles/compact/fp32",
]
SCORING = ["score/light/bf16"]
PAPER = {
    "teacher/paper/bf16": 700,
    "teacher/paper/fp32": 700,
    "reddit/paper/bf16": 1600,
    "reddit/paper/fp32": 1600,
}
"""The largest number of launches of a step with the paper's network, 16 crops of 96×96, uncompiled."""
IN_SINGLE = ("methods/losses.py", "metrics/", "backward")
"""Where products are of single precision whatever the networks have."""


@pytest.fixture(scope="module")
def records() -> dict[str, Any]:
    """The records of the faults and of all cases, by name."""
    script = Path(__file__).with_name("faults.py")
    return json.loads(run_python(str(script), *TRAINING, *ENHANCING, *SCORING, *PAPER))  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", [*TRAINING, *ENHANCING, *SCORING, *PAPER])
def test_it_runs_with_the_right_types(records: dict[str, Any], case: str) -> None:
    record, precision = records[case], case.rpartition("/")[2]
    assert record["error"] is None, record["error"]
    assert sum(record["launches"].values()) > 50
    assert record["mixed"] == {}
    wrong = {line: kinds for line, kinds in record["products"].items() if TYPES[precision] not in kinds}
    assert {line: kinds for line, kinds in wrong.items() if not line.startswith(IN_SINGLE)} == {}
    assert any(TYPES[precision] in kinds for line, kinds in record["products"].items() if "models" in line)


@pytest.mark.parametrize("case", [*TRAINING, *PAPER])
def test_a_training_step_never_waits(records: dict[str, Any], case: str) -> None:
    assert records[case]["syncs"] == {}


@pytest.mark.parametrize("case", [*TRAINING, *ENHANCING])
def test_nothing_is_of_double_precision(records: dict[str, Any], case: str) -> None:
    scaler = 2 if case.endswith("fp16") else 0  # PyTorch's scaler of gradients takes two operations
    assert sum(records[case]["doubles"].values()) <= scaler, records[case]["doubles"]


@pytest.mark.parametrize("case", ENHANCING)
def test_enhancing_waits_only_for_results(records: dict[str, Any], case: str) -> None:
    assert sum(records[case]["syncs"].values()) <= WAITS[case.partition("/")[0]], records[case]["syncs"]


@pytest.mark.parametrize("case", PAPER)
def test_the_papers_steps_are_lean(records: dict[str, Any], case: str) -> None:
    record = records[case]
    assert sum(record["launches"].values()) <= PAPER[case], record["lines"]
    assert record["casts"] <= 20


@pytest.mark.parametrize("case", ["teacher/sr3/bf16", "reddit/sr3/bf16"])
def test_the_estimate_counts_alike(records: dict[str, Any], case: str) -> None:
    method = case.partition("/")[0]
    found = count_step(tiny("sr3", "bf16", method), *([2, 4] if method == "reddit" else []))
    record = records[case]
    assert found.launches == pytest.approx(sum(record["launches"].values()), rel=0.05)
    assert found.flops == pytest.approx(record["flops"], rel=0.01)
    assert found.traffic == pytest.approx(record["traffic"], rel=0.03)
    assert found.peak == pytest.approx(record["peak"], rel=0.2)


@pytest.mark.parametrize("method", ["teacher", "reddit"])
def test_half_precision_halves_the_traffic(records: dict[str, Any], method: str) -> None:
    half, single = (records[f"{method}/paper/{precision}"]["traffic"] for precision in ("bf16", "fp32"))
    assert half <= 0.6 * single


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("reading a number", "syncs"),
        ("deciding by a number", "syncs"),
        ("looking for indices", "syncs"),
        ("a copy from pageable memory", "syncs"),
        ("a copy that waits", "syncs"),
        ("a tensor of numbers", "syncs"),
        ("a copy back", "syncs"),
        ("two devices", "mixed"),
        ("two types", "mixed"),
        ("double precision", "doubles"),
        ("nothing", None),
        ("a copy that does not wait", None),
    ],
)
def test_a_fault_is_found(records: dict[str, Any], fault: str, found: str | None) -> None:
    record = records[fault]
    assert [name for name in ("syncs", "mixed", "doubles") if record[name]] == ([found] if found else [])
    assert (record["error"] is None) == (fault != "two devices")
