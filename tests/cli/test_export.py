"""`reddit-llie export` of weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import call

from reddit.checkpoint.format import read_info
from reddit.image.read import read_uint8
from reddit.utils.errors import UserError


def test_export_overwrites_only_earlier_exports(inside: Path) -> None:
    model = inside / "runs/tiny-2/checkpoints/best.safetensors"
    other = inside / "runs/tiny-4/checkpoints/best.safetensors"
    before = model.read_bytes(), other.read_bytes()
    for output, said in (
        (model, "is the model itself"),
        (other, "exists and is not an earlier result"),
        (inside / "runs/tiny-4/../tiny-2/checkpoints/best.safetensors", "is the model itself"),
    ):
        with pytest.raises(UserError, match=said):
            call("export", "--weights", "tiny-2", "-o", str(output))
    assert (model.read_bytes(), other.read_bytes()) == before
    for _ in range(2):
        call("export", "--weights", "tiny-2", "-o", "again.safetensors")
    (inside / "notes.safetensors").write_text("mine")
    with pytest.raises(UserError, match="not an earlier result"):
        call("export", "--weights", "tiny-2", "-o", "notes.safetensors")


def test_export_halves_the_precision_and_keeps_the_metadata(inside: Path) -> None:
    call("export", "--weights", "tiny-2", "-o", "small.safetensors")
    small, whole = read_info("small.safetensors"), read_info("runs/tiny-2/checkpoints/best.safetensors")
    assert (small.config, small.steps, small.family) == (whole.config, whole.steps, whole.family)
    assert small.training_pictures == whole.training_pictures
    assert Path("small.safetensors").stat().st_size < 0.7 * whole.path.stat().st_size
    for name, model in (("by-small", "small.safetensors"), ("by-whole", "tiny-2")):
        call("enhance", "-i", "data/LOLv1/eval15/low", "-o", name, "--weights", model, "--quiet")
    for path in Path("by-small").iterdir():
        difference = read_uint8(path).astype(int) - read_uint8(Path("by-whole") / path.name)
        assert abs(difference).max() <= 3
