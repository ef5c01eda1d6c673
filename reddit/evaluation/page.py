"""One evaluation to look at: a page with a before/after slider, scores and an error map a picture.

The page is one file that needs nothing else, and it is written picture by picture: however many there
are, one is in memory.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from torch import Tensor

from reddit.evaluation.evaluate import Evaluation, flat_scores
from reddit.image.pixels import to_uint8
from reddit.image.write import encode
from reddit.metrics import Scores
from reddit.report import page as html
from reddit.report.tables import DIGITS, show
from reddit.utils.errors import UserError

SHOWN_SIDE = 600
ERROR_SIDE = 400
JPEG_QUALITY = 88
ERROR_TOP = 0.25
"""The mean absolute difference, in [0, 1], that the error map's last colour stands for."""

_HIGHER_IS_BETTER = {"psnr": True, "ssim": True, "lpips": False, "niqe": False}
_METRICS = tuple(_HIGHER_IS_BETTER)
_BODY = "<!-- pictures -->"


class EvaluationPage:
    """Collects the pictures of an evaluation and writes the page at its end.

    Pass `add` to `evaluate` as its `watch`, then call `finish`.

    Args:
        folder: where pictures wait in a nameless file until then: the page's own folder, which is made.
            Without one it is the system's folder for temporary files, which may lie in memory.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._cards: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - outlives this call
        except OSError as error:
            raise UserError(f"cannot write in {folder}: {error.strerror}; check the folder") from error
        self._count = 0
        self._paired = False
        self._metrics: set[str] = set()

    def add(self, name: str, low: np.ndarray, output: Tensor, gt: Tensor | None, scores: Scores) -> None:
        """Append one picture.

        Args:
            low: uint8 RGB (H, W, 3).
            output, gt: (3, H, W) in [0, 1].
            scores: of this picture; shown, and used to sort.

        Raises:
            UserError: the disk is full.
        """
        pictures = {"low": low, "output": to_uint8(output)}
        if gt is not None:
            pictures["gt"] = to_uint8(gt)
            self._paired = True
        self._metrics |= set(_keys(scores))
        card = _card(name, self._count, pictures, scores)
        try:
            self._cards.write(card.encode())
        except OSError as error:
            raise UserError(f"cannot keep the picture {name} for the page: {error.strerror}") from error
        self._count += 1

    def finish(self, evaluation: Evaluation, path: Path) -> None:
        """Write the page, whole or not at all; call it once, after the last picture.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        title = f"{evaluation.method} on {evaluation.dataset}"
        body = "\n".join(
            [
                f"<pre>{html.text(evaluation.describe())}</pre>",
                _means(evaluation),
                _notes(evaluation, self._paired),
                _toolbar(self._paired, [m for m in _METRICS if m in self._metrics]),
                f'<main id="pictures" data-left="low" data-right="output">{_BODY}</main>',
                f"<script>{_SCRIPT}</script>",
            ]
        )
        head, tail = html.page(title, body, f"<style>{_STYLE}</style>").split(_BODY)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._cards.seek(0)
            with temporary.open("wb") as page:
                page.write(head.encode())
                shutil.copyfileobj(self._cards, page)
                page.write(tail.encode())
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):  # the folder itself may be what is wrong
                temporary.unlink()
            remedy = "free some space and run again" if error.errno == errno.ENOSPC else "check the folder"
            raise UserError(f"cannot write {path}: {error.strerror}; {remedy}") from error
        self._cards.close()


def error_map(output: np.ndarray, gt: np.ndarray, side: int = ERROR_SIDE) -> np.ndarray:
    """|output − gt|, mean of the channels, in inferno's colours: black is 0, the last is `ERROR_TOP`.

    Args:
        output, gt: uint8 (H, W, 3).
        side: the longer side of the map; a larger picture's errors are averaged.

    Returns:
        uint8 RGB (h, w, 3).
    """
    difference = cv2.absdiff(output, gt).astype(np.float32).mean(axis=2) / 255
    level = np.clip(_fit(difference, side) / ERROR_TOP, 0, 1)
    return _inferno(np.rint(level * 255).astype(np.uint8))


def _inferno(levels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))[..., ::-1]


def _fit(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrink so that the longer side is at most `side`."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _image(picture: np.ndarray, alt: str, kind: str) -> str:
    data = base64.b64encode(encode(picture, ".jpg", JPEG_QUALITY)).decode()
    return (
        f'<img class="{kind}" alt="{html.text(alt)}" draggable="false" decoding="async" '
        f'src="data:image/jpeg;base64,{data}">'
    )


def _card(name: str, number: int, pictures: dict[str, np.ndarray], scores: Scores) -> str:
    shown = {kind: _fit(picture, SHOWN_SIDE) for kind, picture in pictures.items()}
    height, width = shown["output"].shape[:2]
    images = "".join(_image(picture, f"{name}: {kind}", kind) for kind, picture in shown.items())
    sorting = "".join(f' data-{key}="{value}"' for key, value in _keys(scores).items())
    mapped = ""
    if "gt" in pictures:
        picture = error_map(pictures["output"], pictures["gt"])
        mapped = (
            f"<figure>{_image(picture, f'{name}: error map', 'map')}"
            f"<figcaption>|output − gt| {_scale()}</figcaption></figure>"
        )
    label = html.text(f"{name}: where the left picture ends, in percent")
    return (
        f'<article data-number="{number}"{sorting}><h2>{html.text(name)}</h2><div class="card">'
        f'<div class="viewer" style="aspect-ratio:{width}/{height};max-width:{width}px">{images}'
        f'<span class="tag left">low</span><span class="tag right">output</span><span class="bar"></span>'
        f'<input type="range" min="0" max="100" step="0.5" value="50" aria-label="{label}"></div>'
        f'<div class="side">{_scores(scores)}{mapped}</div></div></article>\n'
    )


def _keys(scores: Scores) -> dict[str, float]:
    """What a picture is sorted by: its raw scores and NIQE."""
    found = scores.raw | ({"niqe": scores.niqe} if scores.niqe is not None else {})
    return {
        metric: found[metric] if math.isfinite(found[metric]) else 1e9
        for metric in _METRICS
        if metric in found
    }


def _scores(scores: Scores, deviation: dict[str, float] | None = None) -> str:
    """A table with a line for raw and one for GT-mean; NIQE belongs to the raw picture."""
    flat = flat_scores(scores)
    metrics = [m for m in _METRICS if m == "niqe" or m in scores.raw]
    if scores.niqe is None:
        metrics.remove("niqe")
    if not metrics:
        return ""
    rows = []
    for label, group in (("raw", "raw."), ("GT-mean", "gt_mean.")):
        if group == "gt_mean." and not scores.gt_mean:
            continue
        cells = []
        for metric in metrics:
            key = metric if metric == "niqe" and group == "raw." else group + metric
            spread = f" ± {show(deviation[key], DIGITS[metric])}" if deviation and key in deviation else ""
            cells.append(show(flat[key], DIGITS[metric]) + spread if key in flat else "")
        rows.append([label, *cells])
    arrows = {True: "↑", False: "↓"}
    names = [f"{'PSNR, dB' if m == 'psnr' else m.upper()} {arrows[_HIGHER_IS_BETTER[m]]}" for m in metrics]
    return html.table(["", *names], rows)


def _means(evaluation: Evaluation) -> str:
    count, seeds = len(evaluation.pictures), len(evaluation.seeds)
    over = f"{count} picture{'s' * (count != 1)}" + (f" and {seeds} seeds, ± over seeds" if seeds > 1 else "")
    table = _scores(evaluation.mean(), evaluation.deviation())
    return f"<h2>Means over {over}</h2>{table or '<p>No metric was asked for.</p>'}"


def _notes(evaluation: Evaluation, paired: bool) -> str:
    lines = [
        f"Scores are those of the full pictures. What is shown here is JPEG, at most {SHOWN_SIDE} pixels "
        "a side" + (f", of seed {evaluation.seeds[0]}." if len(evaluation.seeds) > 1 else ".")
    ]
    if paired:
        lines.append(
            "GT-mean first scales the output to the ground truth's mean brightness, which no user can do; "
            "the pictures and error maps are of the raw output."
        )
        lines.append(
            f"Error maps show the mean over R, G and B of |output − gt|, from 0 to {ERROR_TOP:g} of the "
            f"full range ({ERROR_TOP * 255:.0f} of 255 levels) and beyond in the last colour; one scale for "
            "all pictures."
        )
    return "".join(f'<p class="note">{html.text(line)}</p>' for line in lines)


def _toolbar(paired: bool, metrics: list[str]) -> str:
    pairs = [("low", "output"), ("output", "gt"), ("low", "gt")] if paired else []
    radios = "".join(
        f'<label><input type="radio" name="pair" value="{left} {right}"{" checked" * (k == 0)}>'
        f"{left} | {right}</label>"
        for k, (left, right) in enumerate(pairs)
    )
    compare = f"<fieldset><legend>Compare</legend>{radios}</fieldset>" if radios else ""
    options = '<option value="number 1">test set order</option><option value="name 1">name</option>'
    options += "".join(
        f'<option value="{m} {1 if _HIGHER_IS_BETTER[m] else -1}">worst {m.upper()} first</option>'
        for m in metrics
    )
    return (
        f'<div class="toolbar">{compare}<label>Sort by <select id="sort">{options}</select></label>'
        '<label>All dividers <input type="range" id="all" min="0" max="100" step="0.5" value="50"></label>'
        "</div>"
    )


def _scale() -> str:
    stops = _inferno(np.linspace(0, 255, 9).round().astype(np.uint8)[None])[0]
    colours = ",".join(f"rgb({r} {g} {b})" for r, g, b in stops)
    return (
        f'<span class="scale"><span>0</span><i style="background:linear-gradient(90deg,{colours})"></i>'
        f"<span>≥ {ERROR_TOP:g}</span></span>"
    )


_STYLE = """
pre { white-space: pre-wrap; font-size: .85rem; border-radius: 6px; } p.note { margin: .4rem 0; }
.toolbar { position: sticky; top: 0; z-index: 9; display: flex; flex-wrap: wrap; align-items: center;
  gap: .4rem 1.6rem; margin: 1.2rem -.6rem 0; padding: .6rem; background: Canvas;
  border-bottom: 1px solid var(--line); }
.toolbar fieldset { display: flex; flex-wrap: wrap; gap: .2rem 1rem; border: 0; margin: 0; padding: 0; }
.toolbar legend { float: left; padding: 0; margin-right: .8rem; }
.toolbar label { display: flex; align-items: center; gap: .35rem; }
.toolbar select { font: inherit; } input { accent-color: var(--accent); }
td { white-space: nowrap; }
article { content-visibility: auto; contain-intrinsic-size: auto 500px; margin: 0 -6px;
  padding: 0 6px .6rem; border-bottom: 1px solid var(--line); }
article h2 { margin: 1.1rem 0 .6rem; overflow-wrap: anywhere; }
.card { display: grid; grid-template-columns: minmax(0, 600px) minmax(0, 1fr); gap: 1.2rem; }
@media (max-width: 860px) { .card { grid-template-columns: minmax(0, 1fr); } }
.viewer { --at: 50%; position: relative; overflow: hidden; border-radius: 4px; align-self: start; }
.viewer img { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: 0; display: none;
  user-select: none; }
[data-left="low"] img.low, [data-left="output"] img.output { display: block; z-index: 2;
  clip-path: inset(0 calc(100% - var(--at)) 0 0); }
[data-right="output"] img.output, [data-right="gt"] img.gt { display: block; z-index: 1; }
.viewer .bar { position: absolute; z-index: 3; top: 0; bottom: 0; left: var(--at); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 3px #000; }
.viewer .bar::after { content: "◂ ▸"; position: absolute; top: 50%; left: 1px; padding: .1rem .45rem;
  translate: -50% -50%; font-size: .8rem; line-height: 1.5; white-space: nowrap; color: #222;
  background: #fffd; border-radius: 1rem; box-shadow: 0 0 3px #0008; }
.viewer:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.viewer input { position: absolute; z-index: 5; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; appearance: none; }
.viewer input::-webkit-slider-thumb { appearance: none; width: 1px; height: 100vh; }
.viewer input::-moz-range-thumb { width: 1px; height: 100%; border: 0; }
.tag { position: absolute; z-index: 4; top: .5rem; padding: 0 .5rem; font-size: .8rem; color: #fff;
  background: #000a; border-radius: 3px; } .tag.left { left: .5rem; } .tag.right { right: .5rem; }
.side { display: flex; flex-direction: column; gap: .9rem; align-items: start; }
.side table { font-size: .9rem; }
.side th, .side td { padding: .2rem 1.3rem .2rem 0; } .side figure { width: 100%; max-width: 400px; }
.side figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between;
  margin-top: .3rem; opacity: 1; }
.scale { display: flex; align-items: center; gap: .4rem; } .scale i { width: 110px; height: .7rem; }
"""

_SCRIPT = """
const pictures = document.getElementById("pictures");
const move = slider => slider.parentElement.style.setProperty("--at", slider.value + "%");
pictures.addEventListener("input", event => move(event.target));
document.getElementById("all").addEventListener("input", event => {
  for (const slider of pictures.querySelectorAll(".viewer input")) {
    slider.value = event.target.value;
    move(slider);
  }
});
function compare(pair) {
  [pictures.dataset.left, pictures.dataset.right] = pair.split(" ");
  for (const side of ["left", "right"])
    for (const tag of pictures.querySelectorAll(".tag." + side)) tag.textContent = pictures.dataset[side];
}
for (const radio of document.querySelectorAll("input[name=pair]"))
  radio.addEventListener("change", () => compare(radio.value));
function sort(order) {
  const [key, direction] = order.split(" ");
  const name = card => card.querySelector("h2").textContent;
  const number = card => key in card.dataset ? direction * card.dataset[key] : Infinity;
  const inOrder = (a, b) => a.dataset.number - b.dataset.number;
  const cards = [...pictures.children].sort((a, b) =>
    key === "name" ? name(a).localeCompare(name(b), "en", {numeric: true})
      : number(a) === number(b) ? inOrder(a, b) : number(a) - number(b));
  pictures.append(...cards);
}
const chosen = document.getElementById("sort");
chosen.addEventListener("change", () => sort(chosen.value));
sort(chosen.value);  // a browser that reloads may keep the last choices
const checked = document.querySelector("input[name=pair]:checked");
if (checked) compare(checked.value);
for (const slider of pictures.querySelectorAll(".viewer input")) move(slider);
"""
