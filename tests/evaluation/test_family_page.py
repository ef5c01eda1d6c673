from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Tab
from torch import Tensor

from reddit.config import Config, resolve_config
from reddit.data import Pair
from reddit.evaluation.family import Row
from reddit.evaluation.family_page import write_report
from reddit.evaluation.result import Evaluation, PictureResult
from reddit.image.pixels import to_float
from reddit.metrics import Scores
from reddit.metrics.protocol import STANDARD

NASTY = "<script>alert(1)</script>&"


def pairs(count: int = 3) -> list[Pair]:
    rng = np.random.default_rng(0)
    high = rng.integers(0, 256, (count, 32, 48, 3), np.uint8)
    return [Pair(f"{NASTY}{k}", (high[k] // 8).astype(np.uint8), high[k]) for k in range(count)]


class Model:
    """A source of pictures that notes the seeds that it is asked for."""

    def __init__(self) -> None:
        self.seeds: set[int] = set()

    def __call__(self, name: str, low: np.ndarray, seed: int) -> Tensor:
        self.seeds.add(seed)
        return to_float(low)


def row(label: str, kind: str, steps: int | None, psnr: float, seeds: tuple[int, ...] = (5, 6)) -> Row:
    names = [pair.name for pair in pairs()]
    scores = [
        [Scores({"psnr": psnr + k + s / 10, "ssim": 0.5}, {"psnr": psnr + 4}) for s in range(len(seeds))]
        for k in range(len(names))
    ]
    pictures = tuple(PictureResult(n, (32, 48), tuple(each)) for n, each in zip(names, scores, strict=True))
    evaluation = Evaluation("lolv1", label, STANDARD.describe(), seeds, {}, pictures)
    return Row(label, kind, steps, evaluation, 0.01 * steps if steps else None, 1000, Model())


def family() -> list[Row]:
    return [
        row("input", "baseline", None, 8.0, (5,)),
        row("teacher, 4 steps", "teacher", 4, 20.0),
        row("student, 2 steps", "reddit", 2, 19.0),
        row("teacher at 2 steps", "fewer steps", 2, 15.0),
    ]


def config() -> Config:
    return resolve_config({"name": "mine", "diffusion": {"teacher_steps": 4}}, source="test")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/mine")
    run.mkdir(parents=True)
    log = [{"iteration": k, "kind": "train", "loss": 1 / k, "l_dis": 0.5 / k} for k in range(1, 30)]
    log += [{"iteration": k, "kind": "validation", "psnr": 10 + k} for k in (10, 20)]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return tmp_path / write_report(config(), family(), [run], pairs(), "a processor")


def test_captions_show_the_seed_that_they_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = family()
    source = write_report(config(), rows, [], pairs(), "a processor").read_text()
    captions = re.findall(r'<span class="note">([\d.]+ dB, seed\s\d+)</span>', source)
    captions = [caption.replace("\N{NO-BREAK SPACE}", " ") for caption in captions]
    assert captions == [f"{psnr + k:.2f} dB, seed 5" for k in range(3) for psnr in (20, 19)]
    assert [r.predict.seeds for r in rows[1:3]] == [{5}, {5}]  # type: ignore[attr-defined]


def test_the_report_lists_the_settings_of_its_scores(page: Path) -> None:
    source = page.read_text()
    for words in ("mine: from 4 steps to 2", "3 test pictures, not used in training", "5 6", "a processor",
                  STANDARD.describe().removeprefix("protocol "), "teacher at 2 steps", "2.0× as fast",
                  "20.00"):  # fmt: skip
        assert words in source, words
    assert source.count("<svg") == 4 and "http" not in re.sub(r"base64,[\w+/=]+", "", source)
    assert source.count("<script") == 1 and "<script>alert" not in source


def test_a_warning_is_shown_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = family()
    rows[2] = Row(**{**rows[2].__dict__, "seen": 2})
    source = write_report(config(), rows, [], pairs(), "a processor").read_text()
    assert "student, 2 steps was trained or validated on 2 of the test pictures" in source
    assert "not used in training" not in source


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_fits_and_its_charts_are_readable(page: Path, tab: Tab, width: int, dark: bool) -> None:
    tab.open(page, width=width, dark=dark)
    assert tab.overflow() == [] and tab.errors == []
    colours = "[document.body, document.querySelector('.chart text')].map(e => getComputedStyle(e)).map("
    ink, text = tab.evaluate(colours + "(s, k) => k ? s.fill : s.color)")
    assert ink == text
    heights = "[...document.querySelectorAll('.chart text')].map(t => t.getBoundingClientRect().height)"
    assert min(tab.evaluate(heights)) > 9


def test_a_thumbnail_chooses_the_picture_of_its_slider(page: Path, tab: Tab) -> None:
    tab.open(page, width=390)
    right = "[...document.querySelectorAll('.viewer img.right')].map(i => i.dataset.label)"
    assert tab.evaluate(right) == ["student, 2 steps"] * 3
    tab.evaluate("document.querySelector('button[data-right=gt]').click()")
    assert tab.evaluate(right) == ["gt", "student, 2 steps", "student, 2 steps"]
    pressed = "document.querySelectorAll('article')[0].querySelector('[aria-pressed=true]').dataset.right"
    assert tab.evaluate(pressed) == "gt"
    select = "document.getElementById('right')"
    change = (
        f"{select}.value = 'teacher, 4 steps', {select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    )
    tab.evaluate(change)
    assert tab.evaluate(right) == ["teacher, 4 steps"] * 3
    tab.evaluate("document.querySelectorAll('input[name=left]')[1].click()")
    left = "[...document.querySelectorAll('.viewer img.left')].map(i => i.dataset.label)"
    assert tab.evaluate(left) == ["gt"] * 3 and tab.evaluate(right) == ["teacher, 4 steps"] * 3
