"""Fetch and make what the page needs into `docs/demo/vendor`: ONNX Runtime Web, the model and the style.

    python docs/demo/build.py
    python -m http.server -d docs/demo

It needs npm, a network, and the extra `onnx`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import onnx

HERE = Path(__file__).parent
VENDOR = HERE / "vendor"
STYLE = HERE.parents[1] / "reddit" / "report" / "templates" / "style.css"
RUNTIME = "onnxruntime-web@1.30.0"
FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)


def main() -> None:
    VENDOR.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["npm", "pack", "--silent", RUNTIME], cwd=scratch, check=True)
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for name in FILES:
                source = packed.extractfile(f"package/dist/{name}")
                assert source is not None
                with source, (VENDOR / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    shutil.copy(STYLE, VENDOR)
    model = VENDOR / "light-1.onnx"
    export = [sys.executable, "-m", "reddit", "export", "--weights", "light-1", "-o", str(model)]
    model.unlink(missing_ok=True)
    subprocess.run(export, check=True)
    _require_thumbnail(model)


def _require_thumbnail(path: Path) -> None:
    """Make the input `thumbnail` a required one: ONNX Runtime Web takes no optional inputs."""
    model = onnx.load(path)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "thumbnail"]
    assert len(kept) == len(model.graph.initializer) - 1
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, path)


if __name__ == "__main__":
    main()
