"""Which engine `enhance` takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from repository import call

from reddit.checkpoint.shipped import FOLDER
from reddit.cli import engine
from reddit.cli.enhance import parser
from reddit.inference.files import Plan
from reddit.utils.errors import UserError

GRAPH = FOLDER / "light-1.onnx"


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a small and a large picture, on a processor with ONNX Runtime."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((9, 12, 3), 20, np.uint8)).save("small.png")
    Image.new("RGB", (1501, 1000)).save("large.png")
    Path("odd.png").write_bytes(b"no picture")
    monkeypatch.setattr(engine, "gpu_in_sight", lambda: False)
    monkeypatch.setattr(engine, "version", lambda name: "1.20.1")


def graph_for(*flags: str, picture: str = "small.png", single: bool = True) -> Path | None:
    arguments = parser().parse_args(["-i", picture, "-o", "out", *flags])
    return engine._graph(arguments, Plan({Path(picture): Path("out")}, [], single))


@pytest.mark.parametrize(
    "flags", ["", "--steps 1", "--weights light", "--weights light-1", "--device cpu", "--strength 0.5"]
)
def test_a_small_picture_goes_without_pytorch(flags: str) -> None:
    assert graph_for(*flags.split()) == GRAPH
    assert graph_for(*flags.split(), "--engine", "torch") is None


@pytest.mark.parametrize(
    "flags",
    ["--precision bf16", "--ensemble 2", "--steps 4", "--weights light-4", "--weights light-lol", "--watch",
     "--device cuda", "--weights small.png"],
)  # fmt: skip
def test_other_settings_take_pytorch(flags: str) -> None:
    assert graph_for(*flags.split()) is None


def test_other_pictures_and_machines_take_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert graph_for(picture="large.png") is graph_for(picture="odd.png") is graph_for(single=False) is None
    with monkeypatch.context() as patch:
        patch.setattr(engine, "gpu_in_sight", lambda: True)
        assert graph_for() is None and graph_for("--device", "cpu") == GRAPH
    for old in ("1.17.3", "unknown"):
        monkeypatch.setattr(engine, "version", lambda name, old=old: old)
        assert graph_for() is None


def test_a_run_of_the_name_takes_pytorch() -> None:
    Path("runs/light").mkdir(parents=True)
    assert graph_for("--weights", "light") is None
    assert graph_for("--weights", "light-1") == GRAPH


def test_onnx_runtime_can_be_asked_for() -> None:
    assert graph_for("--engine", "onnx", "--ensemble", "2", picture="large.png", single=False) == GRAPH
    for flags in ("--weights light-4", "--steps 4", "--weights small.png"):
        with pytest.raises(
            UserError, match="--engine onnx: these weights and steps have no graph; write one"
        ):
            graph_for("--engine", "onnx", *flags.split())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--engine torch --weights some.onnx", r"--engine torch: some\.onnx is for ONNX Runtime"),
        ("--engine onnx --precision bf16", "--precision bf16: light-1 in ONNX Runtime has fp32; leave"),
        (
            "--engine onnx --device cuda",
            "--device cuda: light-1 in ONNX Runtime has cpu; leave --device out",
        ),
    ],
)
def test_what_an_engine_cannot_do_is_an_error(flags: str, message: str) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match=message):
        call("enhance", "-i", "small.png", "-o", "out", *flags.split())


def test_a_graph_of_other_weights_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    for name in ("light-1.onnx", "light-1.safetensors"):
        Path(name).write_bytes((FOLDER / name).read_bytes())
    with Path("light-1.safetensors").open("ab") as file:
        file.write(b" ")
    monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", Path().resolve())
    with pytest.raises(UserError, match=r"made of other weights than .* beside it; or use --engine torch"):
        call("enhance", "-i", "small.png", "-o", "out")


def test_the_command_names_its_engine() -> None:
    pytest.importorskip("onnxruntime")
    code = """
import sys
from reddit.cli.main import main
assert main(["enhance", "-i", "small.png", "-o", "bright.png", "--device", "cpu"]) == 0
assert not {"torch", "pydantic", "tqdm", "scipy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 picture in bright.png (light-1, 1 step, ONNX Runtime)\n"
    assert Image.open("bright.png").size == (12, 9)
