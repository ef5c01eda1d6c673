"""benchmarks/authors.py with a stand-in for the authors' network."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import load

from reddit.utils.errors import UserError

authors = load("benchmarks/authors.py")
STAND_IN = """
import torch

class UNet(torch.nn.Module):
    def __init__(self, **settings):
        super().__init__()
        assert settings["inner_channel"] == 64
        self.layer = torch.nn.Conv2d(settings["in_channel"], settings["out_channel"], 3, padding=1)

    def forward(self, x, level):
        assert level.shape == (len(x), 1)
        return self.layer(x), None
"""


def test_another_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unet\.py is missing: name a copy of https://github\.com"):
        authors.main([str(tmp_path)])


def test_all_three_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model" / "ddpm_modules"
    folder.mkdir(parents=True)
    (folder / "unet.py").write_text(STAND_IN)
    sizes = ["--size", "32x32", "--batch", "1", "--crop", "32", "--rounds", "1"]
    authors.main([str(tmp_path), *sizes, "--format", "csv"])
    head, *rows = capsys.readouterr().out.strip().splitlines()[1:]
    assert head.startswith(",") or head.startswith('"",')
    assert [row.split(",")[0].strip('"') for row in rows] == ["pass", "training step", "distillation step"]
