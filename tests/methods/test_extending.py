"""docs/extending.md, done to the letter: its file, its line, its commands."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from documents import blocks, section
from known import part, pictures, tiny_denoiser
from repository import ROOT, call

import reddit.methods
from reddit.checkpoint.format import read_info
from reddit.config import ProgressiveConfig, ReflowConfig
from reddit.methods import Distillation, StepRNG
from reddit.utils.errors import UserError

TEXT = section((ROOT / "docs" / "extending.md").read_text(), "## A distillation method")


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Distillation]:
    """The exercise, done."""
    (path,) = re.findall(r"The file, `reddit/methods/(\w+\.py)`", TEXT)
    file, line = blocks(TEXT, "python")
    (tmp_path / path).write_text(file)
    monkeypatch.setattr(reddit.methods, "__path__", [*reddit.methods.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"reddit.methods.{path.removesuffix('.py')}", raising=False)
    source = (ROOT / "reddit" / "methods" / "__init__.py").read_text()
    imports, teacher, rest = source.partition("from reddit.methods.teacher import Teacher\n")
    namespace: dict[str, object] = {"__name__": "reddit.methods"}
    exec(imports + teacher + line + rest, namespace)
    monkeypatch.setattr(reddit.methods, "DISTILLATIONS", namespace["DISTILLATIONS"])
    return reddit.methods.DISTILLATIONS["whole-sample"]


def test_the_line_is_one_line() -> None:
    assert blocks(TEXT, "python")[1].count("\n") == 1


def test_its_commands(extended: type[Distillation], inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = blocks(TEXT, "bash")
    for command in commands.strip().splitlines():
        command = command.replace("configs/lolv1_light.yaml", "tiny.yaml").replace("lolv1-light", "tiny")
        python, path, *arguments = shlex.split(command)
        assert python == "python"
        assert call(Path(path).stem, *arguments, "--quiet") == 0
    info = read_info(inside / "runs/tiny-whole-sample-1/checkpoints/best.safetensors")
    assert (info.method, info.steps) == ("whole-sample", 1)
    assert "tiny-whole-sample-1, 1 step" in capsys.readouterr().out
    with pytest.raises(UserError, match="it can teach 1 by whole-sample, not 2"):
        call("distill", "--steps", "2", "--teacher", "tiny", "--set", "distill.method=whole-sample")


def test_it_keeps_the_rules(extended: type[Distillation]) -> None:
    def method() -> Distillation:
        return extended(tiny_denoiser(1), tiny_denoiser(2), 1, ReflowConfig(), teacher_steps=4)

    batch = pictures(4, dtype=torch.float32)
    whole = method().losses(batch, StepRNG(0, 3, range(4)))["loss"]
    parts = [method().losses(part(batch, i, i + 2), StepRNG(0, 3, range(i, i + 2)))["loss"] for i in (0, 2)]
    assert whole.item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-5)
    whole.backward()


def test_what_it_names_is_there() -> None:
    for path in re.findall(r"`((?:reddit|tests)/[\w/]+\.py)`", TEXT):
        assert (ROOT / path).exists() or path.endswith("whole_sample.py"), path
    attributes = vars(extended_instance())
    for name in re.findall(r"`self\.(\w+)`", TEXT):
        assert name in attributes or hasattr(Distillation, name), name


def extended_instance() -> Distillation:
    return reddit.methods.ProgressiveDistillation(tiny_denoiser(), tiny_denoiser(), 1, ProgressiveConfig())
