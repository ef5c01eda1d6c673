"""`reddit-llie enhance` on files and folders."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from repository import call

from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.inference.enhancer import Enhancer
from reddit.inference.files import Enhanced, Plan
from reddit.inference.picture_enhancer import PictureEnhancer
from reddit.utils.errors import UserError


def test_enhance_writes_pictures_of_the_same_size(inside: Path) -> None:
    call("enhance", "-i", "data/LOLv1/eval15/low", "-o", "bright", "--weights", "tiny-2", "--quiet")
    for path in Path("data/LOLv1/eval15/low").iterdir():
        assert read_uint8(Path("bright") / path.name).shape == read_uint8(path).shape


def test_enhance_continues_after_a_damaged_file(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed = inside / "mixed"
    mixed.mkdir()
    good = next((inside / "data/LOLv1/eval15/low").iterdir())
    (mixed / "good.png").write_bytes(good.read_bytes())
    (mixed / "bad.png").write_bytes(good.read_bytes()[:60])
    command = ["enhance", "-i", "mixed", "-o", "mixed-out", "--weights", "tiny-1", "--quiet"]
    assert call(*command) == 1
    assert Path("mixed-out/good.png").exists()
    said = capsys.readouterr()
    assert said.out == "1 picture in mixed-out (tiny-1, 1 step, PyTorch); 1 failed\n"
    lines = said.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: mixed/bad.png ")
    assert call(*command) == 1
    assert (
        "0 pictures in mixed-out (tiny-1, 1 step, PyTorch); 1 existing result kept" in capsys.readouterr().out
    )
    with pytest.raises(UserError, match=r"^mixed/bad\.png "):  # a single file: exit code 2
        call("enhance", "-i", "mixed/bad.png", "-o", "mixed-out", "--weights", "tiny-1", "--quiet")


def test_enhance_warns_of_lit_pictures_in_one_line(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "day").mkdir()
    (inside / "day" / "day.png").write_bytes(encode(np.full((16, 16, 3), 180, np.uint8)))
    command = ["enhance", "-i", "day", "-o", "day-out", "--weights", "tiny-1", "--quiet"]
    assert call(*command) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: day/day.png is not dark (mean luminance 0.71, dark is up to 0.24): left unchanged; "
        "--force (guard=False) enhances it fully"
    ]
    assert call(*command, "--overwrite", "--force") == 0
    assert capsys.readouterr().err == ""
    assert read_uint8(Path("day-out/day.png")).min() != 180


def test_every_flag_of_a_setting_reaches_the_model(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, object] = {}

    def take(plan: Plan, model: PictureEnhancer, **settings: object) -> Enhanced:
        found.update(settings)
        return Enhanced([], [])

    monkeypatch.setattr("reddit.inference.files.enhance_files", take)
    command = ["enhance", "-i", "data/LOLv1/eval15/low", "-o", "none", "--weights", "tiny-1"]
    call(*command)
    named = signature(Enhancer.enhance).parameters
    assert found == {name: named[name].default for name in found} | {"quiet": False}
    flags = {"--seed": 3, "--strength": 0.5, "--ensemble": 2, "--tile": 128, "--tile-overlap": 8}
    call(*command, "--force", "--quiet", *(str(part) for pair in flags.items() for part in pair))
    expected = {flag.strip("-").replace("-", "_"): value for flag, value in flags.items()}
    assert found == expected | {"guard": False, "quiet": True}


def test_enhance_needs_no_model_and_no_flag(
    inside: Path, light_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", tmp_path)
    for steps in (2, 4):
        (tmp_path / f"light-{steps}.safetensors").write_bytes(light_weights.read_bytes())
    photo = "data/LOLv1/eval15/low/eval15-0.png"
    assert call("enhance", "-i", photo, "-o", "plain", "--quiet") == 0
    assert call("enhance", "-i", photo, "-o", "plain", "--quiet", "--steps", "4", "--suffix", "4") == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"1 picture in plain (light-{n}, {n} steps, PyTorch)" for n in (2, 4)]
    assert {path.name for path in Path("plain").iterdir()} == {"eval15-0.png", "eval15-0_4.png"}


def test_the_older_flag_checkpoint_still_works(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = "data/LOLv1/eval15/low/eval15-0.png"
    assert call("enhance", "-i", photo, "-o", "older", "--checkpoint", "tiny-2", "--quiet") == 0
    with pytest.raises(SystemExit):
        call("enhance", "--help")
    assert "--weights" in (said := capsys.readouterr().out) and "--checkpoint" not in said


def test_enhance_never_overwrites_an_original(inside: Path) -> None:
    low = inside / "data/LOLv1/eval15/low"
    with pytest.raises(UserError, match="would overwrite its original"):
        call("enhance", "-i", str(low), "-o", str(low), "--weights", "tiny-1")
