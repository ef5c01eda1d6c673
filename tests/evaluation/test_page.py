from __future__ import annotations

import base64
import math
import re
import tracemalloc
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from browser import Tab
from markupsafe import Markup
from torch import Tensor

from reddit.data import TestPicture
from reddit.evaluation.error_map import ERROR_TOP
from reddit.evaluation.evaluate import evaluate
from reddit.evaluation.page import EvaluationPage
from reddit.evaluation.result import Evaluation, PictureResult
from reddit.image.pixels import to_float
from reddit.metrics import Scorer, Scores
from reddit.metrics.protocol import STANDARD
from reddit.utils.errors import UserError

NASTY = '</article><script>alert(1)</script>"&'


class Page(HTMLParser):
    """What a page holds: an entry per card, and every address that a browser would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.cards: list[dict[str, str | None]] = []
        self.images: list[list[dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.options: list[str] = []
        self.pairs: list[str] = []
        self.ranges: list[dict[str, str | None]] = []
        self.said = ""
        self._inside = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append(tag)
        found = dict(attrs)
        self.addresses += [str(found[key]) for key in ("src", "href", "srcset", "action") if key in found]
        if tag == "article":
            self.cards.append(found)
            self.images.append([])
        elif tag == "img":
            self.images[-1].append(found)
        elif tag == "option":
            self.options.append(str(found["value"]))
        elif tag == "input" and found["type"] == "radio":
            self.pairs.append(f"{found['data-left']} {found['data-right']}")
        elif tag == "input":
            self.ranges.append(found)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "h3" and data.strip():
            self.headings.append(data.strip())
        if self._inside not in ("script", "style"):
            self.said += data


def decode(image: dict[str, str | None]) -> np.ndarray:
    data = base64.b64decode(str(image["src"]).partition(",")[2])
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


def numbers(psnr: float) -> Scores:
    raw = {"psnr": psnr, "ssim": 0.5, "lpips": 0.25}
    return Scores(raw, {k: 1.5 * v for k, v in raw.items()}, 4.125)


def evaluation(names: list[str], scores: list[Scores], seeds: tuple[int, ...] = (0,)) -> Evaluation:
    pictures = tuple(
        PictureResult(n, (32, 48), (s,) * len(seeds)) for n, s in zip(names, scores, strict=True)
    )
    return Evaluation("set", "mine", STANDARD.describe(), seeds, {"steps": "8"}, pictures)


def flat(value: float, size: tuple[int, int] = (32, 48)) -> Tensor:
    return torch.full((3, *size), value)


def low(size: tuple[int, int] = (32, 48)) -> np.ndarray:
    return np.full((*size, 3), 20, np.uint8)


def written(
    folder: Path, names: list[str], scores: list[Scores], gt: bool = True, scored: str = "seed 0"
) -> Page:
    page = EvaluationPage(folder, scored)
    for name, score in zip(names, scores, strict=True):
        page.add(name, low(), flat(0.5), flat(0.6) if gt else None, score)
    page.finish(evaluation(names, scores), folder / "page.html")
    return Page(folder / "page.html")


def test_a_page_holds_a_card_for_each_picture_in_order(tmp_path: Path) -> None:
    page = written(tmp_path, ["b", "a/1", "c"], [numbers(20.0), numbers(30.0), numbers(10.0)])
    assert page.headings == ["b", "a/1", "c"]
    assert [card["data-psnr"] for card in page.cards] == ["20.0", "30.0", "10.0"]
    kinds = [[str(image["alt"]).partition(": ")[2] for image in images] for images in page.images]
    assert kinds == [["low", "output", "gt", "error map"]] * 3
    levels = [int(decode(image).mean().round()) for image in page.images[0][:3]]
    assert levels == [20, 128, 153]


def test_a_page_lists_the_settings_of_its_scores(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [numbers(20.0)])
    for name, value in evaluation(["a"], [numbers(20.0)]).facts().items():
        assert re.search(rf"{name}\s*{value}", page.said)
    assert STANDARD.describe().removeprefix("protocol ") in page.said
    for shown in ("20.000", "0.5000", "0.2500", "4.125", "30.000", "GT-mean", "raw"):
        assert page.said.count(shown) >= 2, shown  # among the means and at the picture
    assert f"from 0 to {ERROR_TOP:g}" in page.said


def test_a_page_without_gt_compares_low_and_output_alone(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [Scores(niqe=4.0)], gt=False)
    assert [image["alt"] for image in page.images[0]] == ["a: low", "a: output"]
    assert page.pairs == [] and "gt" not in page.said
    assert "GT-mean" not in page.said.replace(STANDARD.describe().removeprefix("protocol "), "")
    assert page.options == ["number 1", "name 1", "niqe -1"]


def test_a_page_without_any_metric(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [Scores()], gt=False)
    assert "No metric was asked for" in page.said and page.options == ["number 1", "name 1"]


def test_sorting_puts_the_worst_first_for_every_metric(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [numbers(20.0)])
    assert page.options == ["number 1", "name 1", "psnr 1", "ssim 1", "lpips -1", "niqe -1"]
    assert page.pairs == ["low output", "output gt", "low gt"]


def test_an_infinite_score_is_shown_and_can_be_sorted(tmp_path: Path) -> None:
    page = written(tmp_path, ["a", "b"], [numbers(math.inf), numbers(10.0)])
    assert float(str(page.cards[0]["data-psnr"])) > 1e6
    assert "inf" in page.said and "nan" not in page.said


def test_names_are_escaped(tmp_path: Path) -> None:
    page = written(tmp_path, [NASTY], [numbers(20.0)])
    assert page.headings == [NASTY]
    assert page.tags.count("script") == 1 and len(page.cards) == 1 and page.source.count("alert(1)") >= 4
    assert page.images[0][0]["alt"] == f"{NASTY}: low"


def test_a_page_loads_nothing_from_outside(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [numbers(20.0)])
    assert page.addresses and all(a.startswith("data:image/jpeg;base64,") for a in page.addresses)
    rest = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.source)
    assert "http" not in rest and "//" not in re.sub(r"(?m)^// .*", "", rest)
    assert not re.search(r"url\(|@import|fetch\(|<link|import\(", rest)
    assert [line for line in page.source.splitlines() if "data:" in line and "<img" not in line] == []


def test_sliders_can_be_used_from_the_keyboard(tmp_path: Path) -> None:
    page = written(tmp_path, ["a", "b"], [numbers(20.0)] * 2)
    sliders = [r for r in page.ranges if "aria-label" in r]
    assert [str(r["aria-label"]).split(":")[0] for r in sliders] == ["a", "b"]
    assert all(r["type"] == "range" and "tabindex" not in r for r in sliders)
    assert ":focus-visible" in page.source


def test_several_seeds_show_their_deviation(tmp_path: Path) -> None:
    scores = [numbers(20.0)]
    page = EvaluationPage(tmp_path, "seed 3")
    page.add("a", low(), flat(0.5), flat(0.6), scores[0])
    page.finish(evaluation(["a"], scores, seeds=(3, 4)), tmp_path / "page.html")
    said = Page(tmp_path / "page.html").said
    assert "20.000 ± 0.000" in said and "2 seeds" in said
    assert "their scores are of seed 3" in said


@pytest.mark.parametrize("scored", ["seed 3", "mean of seeds 0 1", ""])
def test_captions_say_what_is_scored(tmp_path: Path, scored: str) -> None:
    page = written(tmp_path, ["a", "b"], [numbers(20.0)] * 2, scored=scored)
    captions = re.findall("<h3>(.*)</h3>", page.source)
    assert captions == [f"{name} <small>{scored}</small>" if scored else name for name in "ab"]


def test_large_pictures_are_shown_smaller_and_portraits_keep_their_shape(tmp_path: Path) -> None:
    page = EvaluationPage(tmp_path)
    size = (1280, 640)
    page.add("a", low(size), flat(0.5, size), flat(0.6, size), numbers(20.0))
    page.finish(evaluation(["a"], [numbers(20.0)]), tmp_path / "page.html")
    images = Page(tmp_path / "page.html").images[0]
    assert [decode(image).shape[:2] for image in images] == [(600, 300)] * 3 + [(400, 200)]


def test_a_page_is_the_watch_of_an_evaluation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dark = [rng.integers(0, 60, (40, 44, 3), np.uint8) for _ in range(2)]
    pictures = [TestPicture(str(k), d, np.minimum(d * 4, 255).astype(np.uint8)) for k, d in enumerate(dark)]
    page = EvaluationPage(tmp_path)
    result = evaluate(
        "set",
        pictures,
        "four times",
        lambda name, low, seed: (to_float(low) * (4 - 0.1 * seed)).clamp(0, 1) ** 0.9,
        Scorer(STANDARD, with_lpips=False),
        seeds=(1, 2),
        watch=page.add,
        quiet=True,
    )
    page.finish(result, tmp_path / "sub" / "page.html")
    found = Page(tmp_path / "sub" / "page.html")
    assert found.headings == ["0", "1"]
    assert float(str(found.cards[0]["data-psnr"])) == result.pictures[0].scores[0].raw["psnr"]


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    noise = torch.rand(3, 100, 150, generator=torch.Generator().manual_seed(0))
    page = EvaluationPage(tmp_path)

    def peak(count: int) -> int:
        tracemalloc.start()
        for k in range(count):
            page.add(str(k), low((100, 150)), noise, noise.flip(0), numbers(20.0))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    page.add("first", low((100, 150)), noise, noise.flip(0), numbers(20.0))
    once = peak(1)
    assert peak(30) < 1.5 * once
    tracemalloc.start()
    page.finish(evaluation(["a"], [numbers(20.0)]), tmp_path / "page.html")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = (tmp_path / "page.html").stat().st_size
    assert size > 30 * 20_000 and most < size / 2


def test_the_temporary_file_is_removed(tmp_path: Path) -> None:
    page = EvaluationPage(tmp_path / "new")
    page.add("a", low(), flat(0.5), None, Scores())
    assert list((tmp_path / "new").iterdir()) == []
    page.finish(evaluation(["a"], [Scores()]), tmp_path / "new" / "page.html")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["page.html"]


def test_a_page_is_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")

    def full(*_: object) -> Iterator[Markup]:
        yield Markup("<article>")
        raise OSError(28, "No space left on device")

    page = EvaluationPage(tmp_path)
    page.add("a", low(), flat(0.5), None, Scores())
    monkeypatch.setattr("reddit.evaluation.page.EvaluationPage._stored_cards", full)
    with pytest.raises(UserError, match=r"page.html: No space left on device; free some space"):
        page.finish(evaluation(["a"], [Scores()]), path)
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_an_impossible_folder_is_refused_before_scoring(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write in"):
        EvaluationPage(tmp_path / "file")


# In a browser


@pytest.fixture
def seen(tmp_path: Path, tab: Tab) -> Path:
    """A page of three pictures, two of which have names that are hard to lay out."""
    names = ["b", "a_name_without_any_space_" * 8, NASTY]
    written(tmp_path, names, [numbers(20.0), numbers(30.0), numbers(10.0)])
    return tmp_path / "page.html"


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_a_page_fits_a_phone(seen: Path, tab: Tab, width: int) -> None:
    tab.open(seen, width=width)
    assert tab.overflow() == [] and tab.errors == []
    assert tab.evaluate("innerWidth") == width


def test_dark_mode_is_dark(seen: Path, tab: Tab) -> None:
    brightness = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number))"
    tab.open(seen, width=390)
    assert tab.evaluate(brightness) > 200
    tab.open(seen, width=390, dark=True)
    assert tab.evaluate(brightness) < 50


def test_a_divider_is_dragged_and_moved_from_the_keyboard(seen: Path, tab: Tab) -> None:
    tab.open(seen, width=1280)
    at = "document.querySelector('.viewer').style.getPropertyValue('--at')"
    box = tab.evaluate(
        "document.querySelector('.viewer').scrollIntoView({block: 'center'}),"
        "document.querySelector('.viewer').getBoundingClientRect().toJSON()"
    )
    y = box["y"] + box["height"] / 2
    tab.drag((box["x"] + box["width"] / 2, y), (box["x"] + 0.2 * box["width"], y))
    assert float(tab.evaluate(at).strip("%")) == pytest.approx(20, abs=1)
    tab.press("ArrowRight", 39)
    assert float(tab.evaluate(at).strip("%")) == pytest.approx(20.5, abs=1)
    shown = "getComputedStyle(document.querySelector('.viewer img.left')).clipPath"
    assert "79" in tab.evaluate(shown) or "80" in tab.evaluate(shown)
    tab.evaluate("all.value = 70, all.dispatchEvent(new Event('input', {bubbles: true}))")
    every = "[...document.querySelectorAll('.viewer')].map(v => v.style.getPropertyValue('--at'))"
    assert tab.evaluate(every) == ["70%"] * 3


def test_pictures_are_chosen_and_sorted(seen: Path, tab: Tab) -> None:
    tab.open(seen, width=390)
    shown = "[...document.querySelectorAll('.viewer')].map(v => [...v.querySelectorAll('img')].filter("
    shown += "i => getComputedStyle(i).display != 'none').map(i => i.dataset.label).join())"
    assert tab.evaluate(shown) == ["low,output"] * 3
    tab.evaluate("document.querySelectorAll('input[type=radio]')[1].click()")
    assert tab.evaluate(shown) == ["output,gt"] * 3
    tags = "[...document.querySelectorAll('.viewer .tag')].slice(0, 2).map(t => t.textContent)"
    assert tab.evaluate(tags) == ["output", "gt"]
    order = "[...document.querySelectorAll('article')].map(a => a.dataset.number).join('')"
    change = "sort.value = '{}', sort.dispatchEvent(new Event('change', {{bubbles: true}}))"
    change = change.replace("sort.", "document.getElementById('sort').")
    for value, expected in (("psnr 1", "201"), ("name 1", "210"), ("number 1", "012")):
        tab.evaluate(change.format(value))
        assert tab.evaluate(order) == expected, value
