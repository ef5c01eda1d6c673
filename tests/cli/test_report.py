"""`reddit-llie report`: the family of a teacher."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from repository import call


def test_report_has_a_row_for_every_step_count(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("report", "-c", "tiny.yaml", "--metrics", "psnr", "ssim", "--quiet", "--others", "light")
    said = capsys.readouterr().out
    line = r"light-1, 1 step, trained on 12,\d{3} pictures: [+-]\d+\.\d\d dB raw against student, 1 step, "
    assert re.search(line + r"trained on 12\n", said)
    with (inside / "runs/tiny/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["16", "8", "4", "2", "1"]
    for column in ("psnr_raw", "ssim_raw", "psnr_gt_mean", "ssim_gt_mean", "ms_per_image", "parameters"):
        assert all(float(row[column]) > 0 for row in rows), column
    page = (inside / "runs/tiny/report.html").read_text()
    assert "2 test pictures, not used in training or validation" in page
    assert page.count("<svg") >= 10 and "http://" not in page and 'src="http' not in page
    assert "<option>light-1, 1 step</option>" in page and "<option selected>student, 1 step</option>" in page


def test_report_warns_of_test_pictures_seen_in_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDDIT_DATA", str(folder / "data"))
    shutil.copytree(folder / "runs/tiny", "runs/tiny")
    shutil.copy(folder / "tiny.yaml", tmp_path)
    on_test = ["--set", "train.select_on_test=true"]
    call("distill", "-c", "tiny.yaml", "--steps", "8", "--name", "odd", "--quiet", *on_test)
    call("report", "-c", "tiny.yaml", "--metrics", "psnr", "--quiet")
    warning = "odd, 8 steps was trained or validated on 2 of the test pictures"
    page = Path("runs/tiny/report.html").read_text()
    assert warning in capsys.readouterr().out and warning in page
    assert "not used in training" not in page and "teacher, 16 steps was trained" not in page
