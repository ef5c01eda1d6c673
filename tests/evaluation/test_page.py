from __future__ import annotations

import base64
import math
import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from reddit.data import TestPicture
from reddit.evaluation.evaluate import Evaluation, PictureResult, evaluate
from reddit.evaluation.page import ERROR_TOP, EvaluationPage, error_map
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
            self.pairs.append(str(found["value"]))
        elif tag == "input":
            self.ranges.append(found)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "h2" and self.cards:
            self.headings.append(data)
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


def written(folder: Path, names: list[str], scores: list[Scores], gt: bool = True) -> Page:
    page = EvaluationPage(folder)
    for name, score in zip(names, scores, strict=True):
        page.add(name, low(), flat(0.5), flat(0.6) if gt else None, score)
    page.finish(evaluation(names, scores), folder / "page.html")
    return Page(folder / "page.html")


def test_a_page_holds_a_card_for_each_picture_in_order(tmp_path: Path) -> None:
    page = written(tmp_path, ["b", "a/1", "c"], [numbers(20.0), numbers(30.0), numbers(10.0)])
    assert page.headings == ["b", "a/1", "c"]
    assert [card["data-psnr"] for card in page.cards] == ["20.0", "30.0", "10.0"]
    kinds = [[image["class"] for image in images] for images in page.images]
    assert kinds == [["low", "output", "gt", "map"]] * 3
    levels = [int(decode(image).mean().round()) for image in page.images[0][:3]]
    assert levels == [20, 128, 153]


def test_a_page_says_all_that_decides_a_number(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [numbers(20.0)])
    for line in evaluation(["a"], [numbers(20.0)]).describe().splitlines():
        assert line in page.said
    for shown in ("20.000", "0.5000", "0.2500", "4.125", "30.000", "GT-mean", "raw"):
        assert page.said.count(shown) >= 2, shown  # among the means and at the picture
    assert f"from 0 to {ERROR_TOP:g}" in page.said


def test_a_page_without_gt_compares_low_and_output_alone(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [Scores(niqe=4.0)], gt=False)
    assert [image["class"] for image in page.images[0]] == ["low", "output"]
    assert page.pairs == [] and "gt" not in page.said and "GT-mean" not in page.said.split("NIQE")[-1]
    assert page.options == ["number 1", "name 1", "niqe -1"]


def test_a_page_without_any_metric(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [Scores()], gt=False)
    assert "No metric was asked for" in page.said and page.options == ["number 1", "name 1"]


def test_the_worst_comes_first_whichever_way_a_metric_runs(tmp_path: Path) -> None:
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
    assert page.tags.count("script") == 1 and len(page.cards) == 1
    assert page.images[0][0]["alt"] == f"{NASTY}: low"


def test_a_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = written(tmp_path, ["a"], [numbers(20.0)])
    assert page.addresses and all(a.startswith("data:image/jpeg;base64,") for a in page.addresses)
    rest = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.source)
    assert "http" not in rest and "//" not in re.sub(r";  // .*", "", rest)
    assert not re.search(r"url\(|@import|fetch\(|<link|import\(", rest)


def test_sliders_can_be_used_from_the_keyboard(tmp_path: Path) -> None:
    page = written(tmp_path, ["a", "b"], [numbers(20.0)] * 2)
    sliders = [r for r in page.ranges if "aria-label" in r]
    assert [str(r["aria-label"]).split(":")[0] for r in sliders] == ["a", "b"]
    assert all(r["type"] == "range" and "tabindex" not in r for r in sliders)
    assert ":focus-within" in page.source


def test_several_seeds_show_their_deviation(tmp_path: Path) -> None:
    scores = [numbers(20.0)]
    page = EvaluationPage(tmp_path)
    page.add("a", low(), flat(0.5), flat(0.6), scores[0])
    page.finish(evaluation(["a"], scores, seeds=(3, 4)), tmp_path / "page.html")
    said = Page(tmp_path / "page.html").said
    assert "20.000 ± 0.000" in said and "2 seeds" in said and "of seed 3" in said


def test_large_pictures_are_shown_smaller_and_portraits_keep_their_shape(tmp_path: Path) -> None:
    page = EvaluationPage(tmp_path)
    size = (1280, 640)
    page.add("a", low(size), flat(0.5, size), flat(0.6, size), numbers(20.0))
    page.finish(evaluation(["a"], [numbers(20.0)]), tmp_path / "page.html")
    images = Page(tmp_path / "page.html").images[0]
    assert [decode(image).shape[:2] for image in images] == [(600, 300)] * 3 + [(400, 200)]


def test_the_error_map_is_ordered_and_ends_at_its_scale() -> None:
    gt = np.zeros((1, 256, 3), np.uint8)
    output = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    colours = error_map(output, gt, side=256)[0].astype(float)
    light = colours @ (0.2126, 0.7152, 0.0722)
    top = math.ceil(ERROR_TOP * 255)
    assert light[0] < 2 and light[top] > 240
    assert (np.diff(light[: top + 1]) > 0).all()
    assert (colours[top:] == colours[top]).all()
    assert np.array_equal(error_map(output, gt, side=256), error_map(gt, output, side=256))


def test_the_error_map_averages_the_channels() -> None:
    gt = np.zeros((4, 4, 3), np.uint8)
    red, grey = gt.copy(), gt.copy()
    red[..., 0], grey[...] = 60, 20
    assert np.array_equal(error_map(red, gt), error_map(grey, gt))


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


def test_pictures_wait_where_nothing_is_left_behind(tmp_path: Path) -> None:
    page = EvaluationPage(tmp_path / "new")
    page.add("a", low(), flat(0.5), None, Scores())
    assert list((tmp_path / "new").iterdir()) == []
    page.finish(evaluation(["a"], [Scores()]), tmp_path / "new" / "page.html")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["page.html"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    page = EvaluationPage(tmp_path)
    page.add("a", low(), flat(0.5), None, Scores())
    monkeypatch.setattr("reddit.evaluation.page.shutil.copyfileobj", full)
    with pytest.raises(UserError, match=r"page.html: No space left on device; free some space"):
        page.finish(evaluation(["a"], [Scores()]), path)
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_folder_that_cannot_be_is_known_before_anything_is_scored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write in"):
        EvaluationPage(tmp_path / "file")
