"""What `pip install` of the wheel gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from repository import ROOT

from reddit.cli.engine import onnxruntime_is_installed

ENGINE = "ONNX Runtime" if onnxruntime_is_installed() else "PyTorch"


def run(*arguments: str | Path, cwd: Path, packages: Path | None = None) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package and no other of ours."""
    pytest.importorskip("setuptools")
    where = tmp_path_factory.mktemp("wheel")
    source = where / "source"
    source.mkdir()
    kept = ["reddit", "configs", "pyproject.toml", "README.md", "LICENSE"]
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in kept), str(source)], check=True)
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(*pip, "--target", where / "site", source, cwd=where)
    return where / "site"


def test_one_command_enhances_a_photograph(packages: Path, tmp_path: Path) -> None:
    dark = np.random.default_rng(0).integers(0, 40, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), dark)
    command = packages / "bin" / "reddit-llie"
    assert command.is_file()
    flags = ["-i", "photo.jpg", "-o", "out.jpg", "--device", "cpu"]
    said = run(command, "enhance", *flags, cwd=tmp_path, packages=packages)
    assert f"1 picture in out.jpg (light-1, 1 step, {ENGINE})" in said
    assert cv2.imread(str(tmp_path / "out.jpg")).mean() > dark.mean() + 20


def test_configurations_are_packaged(packages: Path, tmp_path: Path) -> None:
    command = packages / "bin" / "reddit-llie"
    said = run(command, "train", "-c", "demo", "-n", cwd=tmp_path, packages=packages)
    assert said.startswith("name: demo\n")
    said = run(command, "train", "-c", "lolv1_light", "-n", cwd=tmp_path, packages=packages)  # has a base
    assert "block: light" in said
    where = run("-c", "import reddit; print(reddit.__file__)", cwd=tmp_path, packages=packages)
    assert Path(where.strip()).is_relative_to(packages)


def test_templates_are_packaged(packages: Path) -> None:
    templates = {path.name for path in (ROOT / "reddit/report/templates").iterdir()}
    assert {"base.html", "style.css", "script.js"} <= templates
    assert {path.name for path in (packages / "reddit/report/templates").iterdir()} == templates


def test_the_module_is_the_command(packages: Path, tmp_path: Path) -> None:
    assert "reddit-llie COMMAND" in run("-m", "reddit", "--help", cwd=tmp_path, packages=packages)


def test_every_room_is_packaged() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "reddit").rglob("__init__.py")}
    assert set(listed) == rooms | {"reddit.configs"}
