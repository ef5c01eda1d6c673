from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from reddit.checkpoint.shipped import shipped
from reddit.cli import doctor
from reddit.cli.main import main
from reddit.image.write import write_image


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The report on a data root with LOL-v1's test set, one folder of photographs, and a damaged run."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOLv1/eval15/low/1.png", "LOLv1/eval15/high/1.png", "photos/own/1.png"):
        write_image(tmp_path / "sets" / name, torch.zeros(3, 4, 4))
    damaged = tmp_path / "runs/night/checkpoints/best.safetensors"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no weights")
    convolutions = tmp_path / "alexnet.safetensors"
    convolutions.touch()
    monkeypatch.setenv("REDDIT_ALEXNET", str(convolutions))
    monkeypatch.setenv("REDDIT_VGG16", "/nowhere/vgg.safetensors")
    main(["doctor", "--data-root", "sets"])
    return capsys.readouterr().out


def test_the_report(found: str) -> None:
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in found.splitlines())
    assert lines["torch"] == torch.__version__.partition("+")[0] or lines["torch"] == torch.__version__
    assert lines["device"].startswith(("cpu: ", "cuda: ", "mps: "))
    assert lines["data sets"] == "lolv1 (test), photos/own"
    assert {f"weights {name}" for name in shipped()} <= lines.keys()
    assert re.match(r"1 step, [0-9a-f]{12}$", lines["weights light-1"])
    assert lines["runs in runs"] == "0" and "night/checkpoints/best.safetensors is not" in lines[""]
    assert lines["LPIPS alex"].endswith("alexnet.safetensors (REDDIT_ALEXNET)")
    assert lines["LPIPS vgg"] == "/nowhere/vgg.safetensors (REDDIT_VGG16): no such file"
    assert re.match(r"[\d.]+ GB free \(\., sets, runs\)$", lines["disk"])


def test_it_writes_nothing(found: str, tmp_path: Path) -> None:
    assert {path.name for path in tmp_path.iterdir()} == {"sets", "runs", "alexnet.safetensors"}


def test_missing_extras_name_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=1", "nothing-here>=2; extra == 'fog'"])
    main(["doctor", "--data-root", str(tmp_path / "none"), "--runs", str(tmp_path)])
    said = capsys.readouterr().out
    assert re.search(r"^extra fog +no nothing-here: pip install 'reddit-llie\[fog\]'$", said, re.MULTILINE)
    assert "none (does not exist)" in said and "none; docs/datasets.md" in said


def test_a_broken_installation_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    main(["doctor", "--data-root", str(tmp_path), "--runs", str(tmp_path)])
    said = capsys.readouterr().out
    assert re.search(r"^device +not known: .*torch", said, re.MULTILINE)
    assert "GB free" in said
