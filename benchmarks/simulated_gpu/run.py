"""`python -m simulated_gpu.run CASE…` inside `runtime.run_python` prints the records of cases as JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reddit.training.device_mode import fake_parameters
from simulated_gpu import cases
from simulated_gpu.device import DEVICE, SimulatedGPU


def record(make: Callable[[], cases.Step]) -> dict[str, Any]:
    """The record of a step as plain data; `error` has the traceback if it failed."""
    began = time.perf_counter()
    kept, error = None, None
    with SimulatedGPU() as gpu, fake_parameters():
        try:
            step = make()
            gpu.restart()
            kept = step()
        except Exception:
            error = traceback.format_exc()
    del kept
    found = dict(vars(gpu.record))
    found["products"] = {line: sorted(kinds) for line, kinds in gpu.record.products.items()}
    return found | {"error": error, "seconds": time.perf_counter() - began}


def print_records(steps: dict[str, Callable[[], cases.Step]]) -> None:
    """Print the records of steps by name, and end the process."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({name: str(path) for name, path in cases.random_lpips(Path(folder)).items()})
        print(json.dumps({name: record(make) for name, make in steps.items()}))
    sys.stdout.flush()
    os._exit(0)  # the threads of the simulated device are never joined


if __name__ == "__main__":
    print_records({name: lambda name=name: cases.make(name, DEVICE) for name in sys.argv[1:]})  # type: ignore[misc]
