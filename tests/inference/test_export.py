from __future__ import annotations

import contextlib
import io
import itertools
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from repository import call
from torch.export import ExportedProgram

import reddit
from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import CheckpointInfo, load_denoiser, read_info, save_weights
from reddit.config import resolve_config
from reddit.diffusion import Denoiser
from reddit.inference import export, exported
from reddit.inference.exported_enhancer import ExportedEnhancer
from reddit.inference.loading import load
from reddit.utils.errors import UserError
from reddit.utils.text import counted

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 12),  # type: ignore[operator]
    reason="exporting a graph needs torch 2.12",
)
LIGHT = {
    "model": {
        "width": 4,
        "multipliers": [1],
        "blocks": 1,
        "attention_levels": [],
        "groups": 1,
        "unshuffle": 2,
        "block": "light",
        "context": True,
        "log_condition": True,
        "prediction": "v",
    },
    "diffusion": {"zero_terminal_snr": True, "mask_x_T": True},
}
COMPACT = {
    "model": {
        "architecture": "compact",
        "width": 4,
        "multipliers": [1, 2],
        "blocks": 1,
        "unshuffle": 2,
        "detail": 4,
        "prediction": "v",
    },
    "diffusion": {"zero_terminal_snr": True, "mask_x_T": True},
}
SR3 = {"model": {"width": 4, "multipliers": [1, 2], "blocks": 1, "attention_levels": [], "groups": 2}}
STEPS = {"light": 2, "sr3": 1, "compact": 1}
PT2, ONNX = ("light", "compact"), ("sr3", "compact")
OTHER_SIZES = [(37, 70), (64, 49), (3, 2), (1, 1), (1, 6)]  # odd ones, and smaller than a cell of the network


def call_export(*arguments: str) -> str:
    """Call `reddit-llie export` in this process; returns what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        call("export", *arguments)
    return said.getvalue()


def tiny(settings: dict[str, Any], path: Path, steps: int) -> tuple[Denoiser, CheckpointInfo]:
    """A denoiser with arbitrary weights, none of them zero, and the checkpoint that holds it."""
    config = resolve_config(settings, source="test")
    torch.manual_seed(0)
    denoiser = build_denoiser(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in denoiser.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    save_weights(path, denoiser, config, steps=steps, family="tiny", method="teacher", iteration=0)
    return load_denoiser(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("export")
    for name, settings in (("light", LIGHT), ("sr3", SR3), ("compact", COMPACT)):
        tiny(settings, where / f"{name}.safetensors", STEPS[name])
    return where


@pytest.fixture(scope="module")
def graphs(folder: Path) -> dict[str, ExportedProgram]:
    """What the script traced, and wrote as pt2."""
    found, trace = {}, export._trace
    for name in PT2:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(export, "_trace", lambda s, tiles, name=name: found.setdefault(name, trace(s)))
            files = str(folder / f"{name}.safetensors"), str(folder / f"{name}.pt2")
            said = call_export("--weights", files[0], "-o", files[1], "--quiet")
        assert f"pt2, {counted(STEPS[name], 'step')} of tiny" in said
    return found


@pytest.fixture(scope="module")
def onnx(folder: Path) -> dict[str, Path]:
    """Written and checked by the script."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'reddit-llie[onnx]'")
    files = {name: folder / f"{name}.onnx" for name in ONNX}
    for name, path in files.items():
        weights = str(folder / f"{name}.safetensors")
        said = call_export("--weights", weights, "-o", str(path), "--check", "--quiet")
        assert f"onnx, opset {export.OPSET}, {counted(STEPS[name], 'step')} of tiny" in said
        assert "131×75: largest difference" in said
    return files


# The files


def test_pt2_restores_pictures_of_other_sizes(folder: Path, graphs: dict[str, ExportedProgram]) -> None:
    for name in PT2:
        steps = STEPS[name]
        denoiser, info = load_denoiser(folder / f"{name}.safetensors")
        extra = {export.METADATA_FILE: ""}
        program = torch.export.load(folder / f"{name}.pt2", extra_files=extra)
        pictures = ["low"] if name == "compact" else ["low", "noise"]
        assert list(program.graph_signature.user_inputs) == pictures
        run = exported.load_sampler(folder / f"{name}.pt2", "pt2", steps, clip=True)
        exported.check_sampler(run, denoiser, steps, clip=True, tolerated=(1e-4, 1e-5), sizes=OTHER_SIZES)
        assert not program.module()(*(torch.rand(1, 3, 8, 8) for _ in pictures)).requires_grad
        said = json.loads(extra[export.METADATA_FILE])
        assert (said["steps"], said["source_digest"]) == (str(steps), info.digest)


def test_onnx_restores_pictures_of_other_sizes(folder: Path, onnx: dict[str, Path]) -> None:
    for name, path in onnx.items():
        denoiser, _ = load_denoiser(folder / f"{name}.safetensors")
        run = exported.load_sampler(path, "onnx", STEPS[name], clip=True)
        exported.check_sampler(
            run, denoiser, STEPS[name], clip=True, tolerated=(1e-4, 1e-5), sizes=OTHER_SIZES
        )


def test_an_onnx_file_has_metadata(folder: Path, onnx: dict[str, Path]) -> None:
    models = {name: pytest.importorskip("onnx").load(path) for name, path in onnx.items()}
    model = models["compact"]
    said = {entry.key: entry.value for entry in model.metadata_props}
    info = read_info(folder / "compact.safetensors")
    assert said["steps"] == "1" and said["family"] == "tiny" and said["source_digest"] == info.digest
    assert "[0, 1]" in said["normalisation"] and said["sampler"] == "ddim, clipped"
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", export.OPSET)]
    sides = [1, 3, "height", "width"]
    expected = {"low": sides, "thumbnail": [1, 3, 64, 64], "restored": sides}
    assert shapes(model.graph) == expected  # x_T masked, one step
    assert shapes(models["sr3"].graph) == expected | {"noise": sides}
    assert "thumbnail" in [value.name for value in model.graph.initializer]  # so that it may be left out


def shapes(graph: Any) -> dict[str, list[str | int]]:
    """Of the inputs and outputs of an ONNX graph."""
    return {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in itertools.chain(graph.input, graph.output)
    }


def test_files_contain_no_local_paths(folder: Path, onnx: dict[str, Path]) -> None:
    here = [str(Path(module.__file__ or "").parents[1]).encode() for module in (reddit, torch)]
    for path in onnx.values():
        assert not any(folder in path.read_bytes() for folder in here)
    for name in PT2:
        with zipfile.ZipFile(folder / f"{name}.pt2") as archive:
            parts = [archive.read(name) for name in archive.namelist()]
        assert not any(folder in part for part in parts for folder in here)


def test_half_precision_is_checked_too(folder: Path) -> None:
    output = folder / "half.safetensors"
    said = call_export("--weights", str(folder / "light.safetensors"), "-o", str(output), "--check")
    differences = [float(line.split("difference ")[1].split(",")[0]) for line in said.splitlines()[1:]]
    assert len(differences) == len(exported.CHECKED)
    assert 0 < max(differences) < exported.TOLERATED["safetensors"][0]


# Enhancing with them


@pytest.mark.filterwarnings("ignore:.*tiles may differ")
@pytest.mark.parametrize("name", ONNX)
@pytest.mark.parametrize(
    "settings",
    [{}, {"ensemble": 3}, {"tile": 64}, {"strength": 0.4}, {"tile": 64, "ensemble": 5, "seed": 3}],
)
def test_a_file_enhances_as_its_model_does(
    folder: Path, onnx: dict[str, Path], name: str, settings: dict[str, Any]
) -> None:
    model = load(str(folder / f"{name}.safetensors"), device="cpu", precision="fp32")
    low = (np.random.default_rng(0).random((70, 131, 3)) * 0.2).astype(np.float32)
    theirs = ExportedEnhancer(onnx[name]).enhance_array(low, **settings)
    assert np.abs(theirs - model.enhance(low, **settings)).max() < 1e-4


def test_large_pictures_have_the_brightness_of_their_small_copy(onnx: dict[str, Path], folder: Path) -> None:
    low = (np.random.default_rng(0).random((30, 700, 3)) * 0.2).astype(np.float32)
    ours = load(str(folder / "compact.safetensors"), device="cpu", precision="fp32").enhance(low)
    assert np.abs(ExportedEnhancer(onnx["compact"]).enhance_array(low) - ours).max() < 1e-5


@pytest.mark.parametrize("settings", ["[1]", "{}", "[" * 9999, '{"guarded": {}}'], ids=lambda text: text[:20])
def test_damaged_settings_of_an_onnx_file(settings: str, onnx: dict[str, Path], tmp_path: Path) -> None:
    import onnx as library

    model = library.load(onnx["compact"])
    for entry in model.metadata_props:
        if entry.key == "picture_settings":
            entry.value = settings
    library.save(model, tmp_path / "odd.onnx")
    with pytest.raises(UserError, match=r"odd.onnx is damaged .*: export it again"):
        ExportedEnhancer(tmp_path / "odd.onnx")


def test_enhancing_does_not_import_torch(onnx: dict[str, Path], tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from PIL import Image
from reddit.cli.main import main
Image.fromarray(np.full((9, 9, 3), 20, np.uint8)).save("dark.png")
assert main(["enhance", "-i", "dark.png", "-o", "bright.png", "--weights", sys.argv[1]]) == 0
assert not {"torch", "pydantic", "tqdm", "scipy"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code, str(onnx["compact"])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bright.png").exists() and "compact, 1 step" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "4"], "--steps 4: .*compact.onnx has 1; leave --steps out"),
        (["--precision", "bf16"], "--precision bf16: .* has fp32"),
        (["--device", "cuda"], "--device cuda: .* has cpu"),
        (["--weights", "other.onnx"], "no file other.onnx: write it with reddit-llie export"),
        (["--weights", "empty.onnx"], "empty.onnx cannot be loaded: .*export it again"),
    ],
)
def test_enhancing_refuses(
    onnx: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.onnx").write_bytes(b"no graph")
    Image.new("RGB", (9, 9)).save("dark.png")
    weights = [] if "--weights" in arguments else ["--weights", str(onnx["compact"])]
    with pytest.raises(UserError, match=message):
        call("enhance", "-i", "dark.png", "-o", "bright.png", *weights, *arguments)


# What is refused


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r"pip install 'reddit-llie\[onnx\]'") as caught:
        call_export("--weights", str(folder / "sr3.safetensors"), "-o", str(folder / "no.onnx"), "--check")
    assert missing in str(caught.value) and "\n" not in str(caught.value)
    assert not (folder / "no.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "model.onnx", "--format", "pt2"], r"model.onnx: a file of --format pt2 must end in .pt2"),
        (["-o", "model.pt"], r"model.pt: end it in .safetensors, .onnx or .pt2"),
        (["-o", "model.pt2", "--steps", "0"], "must be between 1 and 512"),
        (["-o", "other.safetensors", "--steps", "4"], "trained for 1 step, .*leave --steps out"),
    ],
)
def test_mistakes(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        call_export("--weights", "sr3.safetensors", "--quiet", *arguments)


def test_a_stochastic_sampler_is_not_exported(folder: Path) -> None:
    denoiser, info = load_denoiser(folder / "sr3.safetensors")
    diffusion = info.config.diffusion.model_copy(update={"sampler": "ddpm"})
    other = replace(info, config=info.config.model_copy(update={"diffusion": diffusion}))
    with pytest.raises(UserError, match="samples with ddpm: only ddim"):
        export.export_sampler(folder / "no.pt2", "pt2", denoiser, other, 1)
