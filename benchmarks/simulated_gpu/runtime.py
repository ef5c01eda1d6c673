"""The simulated CUDA runtime: building it, and running Python with it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = (2, 14)
"""The oldest PyTorch that this was tried with: it relies on internals."""


def missing() -> str | None:
    """Why the simulation cannot run here, or None. PyTorch is not imported."""
    if sys.platform != "linux":
        return "the simulated GPU needs Linux"
    if absent := [tool for tool in ("cc", "nm") if shutil.which(tool) is None]:
        return f"the simulated GPU needs {' and '.join(absent)}: install a C compiler"
    version = importlib.metadata.version("torch")
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return f"the simulated GPU needs PyTorch {OLDEST[0]}.{OLDEST[1]} or newer, found {version}"
    if not (_libraries() / "libtorch_cuda.so").exists():
        return "the simulated GPU needs a PyTorch that is built for CUDA"
    return None


def build(folder: Path) -> Path:
    """Compile the runtime into `folder`; returns the library, which also stands for the driver."""
    source = (HERE / "runtime.c").read_text()
    written = set(re.findall(r"\b(cu\w+)\(", source)) | {"cudaGetErrorString", "cudaGetErrorName"}
    names = _imported(r"cuda[A-Z]\w*", "libtorch_cuda.so", "libc10_cuda.so", "libtorch_python.so")
    names |= _imported(r"cu[A-Z]\w*", "libcaffe2_nvrtc.so")
    others = "".join(f"int {name}() {{ return 0; }}\n" for name in sorted(names - written))
    library = folder / "libcuda.so.1"
    complete = folder / "runtime.c"
    complete.write_text(source + others)
    subprocess.run(["cc", "-w", "-shared", "-fPIC", "-o", str(library), str(complete)], check=True)
    return library


def run_python(*arguments: str) -> str:
    """The output of `python ARGUMENTS` with a simulated GPU.

    Raises:
        RuntimeError: it failed; the message is the end of what it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        paths = [str(HERE.parent), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "LD_PRELOAD": str(library),
            "LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            "PYTHONPATH": ":".join(filter(None, paths)),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-4000:]}")
    return done.stdout


def _libraries() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "lib"


def _imported(pattern: str, *libraries: str) -> set[str]:
    """The functions of that name that the libraries expect from others."""
    paths = [str(path) for name in libraries if (path := _libraries() / name).exists()]
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", *paths], capture_output=True, text=True, check=True
    )
    return set(re.findall(rf" U ({pattern})(?:@|$)", listed.stdout, re.MULTILINE))
