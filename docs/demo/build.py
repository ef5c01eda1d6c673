#!/usr/bin/env python3
"""Fetch and make what this page needs, in `vendor/`: ONNX Runtime Web, the network, the examples.

Needs npm and the extra `onnx`. Serve the folder afterwards: `python -m http.server -d docs/demo`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from reddit.checkpoint.format import load_denoiser
from reddit.checkpoint.registry import find_checkpoint
from reddit.cli.errors import run
from reddit.image.write import encode
from reddit.inference.export import export_sampler, require
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes

HERE = Path(__file__).resolve().parent
VENDOR = HERE / "vendor"
RUNTIME = "onnxruntime-web@1.30.0"
WASM, WEBGPU = "ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"
RUNTIME_FILES = (
    "ort.wasm.min.mjs", "ort.webgpu.min.mjs",
    *(f"{name}.{kind}" for name in (WASM, WEBGPU) for kind in ("mjs", "wasm")),
)  # fmt: skip
WEIGHTS = "light-1"
EXAMPLES = {
    "launch_pad": "A launch pad at dusk",
    "window": "A table beside a window",
    "garage": "A motorcycle under a lamp",
    "cat": "A cat in a dark room",
}
"""Functions of docs/before_after.py → titles."""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runtime", type=Path, help=f"an archive of {RUNTIME}; default: fetched with npm")
    arguments = parser.parse_args(argv)
    require("onnx")  # before anything is fetched
    VENDOR.mkdir(exist_ok=True)
    style = HERE.parents[1] / "reddit" / "report" / "templates" / "style.css"
    write_bytes(VENDOR / "report.css", style.read_bytes())
    runtime(arguments.runtime)
    network(VENDOR / f"{WEIGHTS}.onnx")
    examples()


def runtime(archive: Path | None) -> None:
    """The files of ONNX Runtime Web."""
    with tempfile.TemporaryDirectory() as folder:
        if archive is None:
            archive = fetched(Path(folder))
        try:
            with tarfile.open(archive) as files:
                for name in RUNTIME_FILES:
                    file = files.extractfile(f"package/dist/{name}")
                    assert file is not None
                    write_bytes(VENDOR / name, file.read())
        except (OSError, tarfile.TarError, KeyError) as error:
            raise UserError(f"--runtime {archive} is no archive of {RUNTIME}") from error


def fetched(folder: Path) -> Path:
    """The archive of ONNX Runtime Web, fetched into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"npm is missing: install Node.js, or name an archive of {RUNTIME} with --runtime")
    command = [npm, "pack", "--silent", RUNTIME]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if answer.returncode or not answer.stdout.strip():
        said = (answer.stderr or answer.stdout).strip().splitlines()
        why = f": {said[0]}" if said else ""
        raise UserError(f"npm cannot fetch {RUNTIME}{why}; name an archive of it with --runtime")
    return folder / answer.stdout.split()[-1]


def network(path: Path) -> None:
    """The network with its one step, for tiles."""
    (onnx,) = require("onnx")
    denoiser, info = load_denoiser(find_checkpoint(WEIGHTS, Path("runs"), None).path)
    export_sampler(path, "onnx", denoiser, info, info.steps)
    model = onnx.load(path)
    graph = model.graph
    for default in [one for one in graph.initializer if one.name == "thumbnail"]:
        graph.initializer.remove(default)  # ONNX Runtime Web takes no input that may be left out
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def examples() -> None:
    sys.path.insert(0, str(HERE.parent))
    import before_after

    for name in EXAMPLES:
        write_bytes(VENDOR / f"{name}.jpg", encode(getattr(before_after, name)(), ".jpg", quality=92))
    named = [{"file": f"{name}.jpg", "title": title} for name, title in EXAMPLES.items()]
    write_bytes(VENDOR / "examples.json", json.dumps(named).encode())


if __name__ == "__main__":
    run(main)
