"""The report of a family of runs: results.csv, comparison.csv, and one HTML page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from reddit.config import Config
from reddit.data import Pair, load_picture
from reddit.evaluation.family import Row
from reddit.image.pixels import to_uint8
from reddit.report import page as html
from reddit.report.tables import render, show
from reddit.training.logging import read_log
from reddit.training.run_folder import run_folder
from reddit.utils.files import write_bytes

SHOWN_PICTURES = 4
SHOWN_WIDTH = 320


def write_report(
    config: Config, rows: Sequence[Row], runs: Sequence[Path], test: Sequence[Pair], hardware: str
) -> Path:
    """Write `results.csv` (a row a model), `comparison.csv` (all rows) and `report.html`.

    They go into the teacher's run folder.

    Args:
        runs: the run folders whose loss curves are shown, the teacher's first.
        test: test pairs; the first few, spread over the set, are shown restored at every step count.

    Returns:
        The page's path.
    """
    folder = run_folder(config, config.name)
    models = [row.cells() for row in rows if row.kind in ("teacher", "reddit")]
    write_bytes(folder / "results.csv", render(models, "csv").encode())
    write_bytes(folder / "comparison.csv", render([row.cells() for row in rows], "csv").encode())
    body = "\n".join(
        [
            _introduction(config, rows, hardware),
            "<h2>Steps and metrics</h2>",
            _table(rows),
            "<h2>Pictures</h2>",
            _pictures(rows, test),
            "<h2>Training</h2>",
            _curves(runs),
            "<h2>Configuration of the teacher</h2>",
            f"<pre>{html.text(config.to_yaml())}</pre>",
        ]
    )
    path = folder / "report.html"
    write_bytes(path, html.page(f"{config.name}: from 16 steps to one", body).encode())
    return path


def _introduction(config: Config, rows: Sequence[Row], hardware: str) -> str:
    evaluation = rows[-1].evaluation
    leaks = [f"Warning: {row.warning}." for row in rows if row.warning]
    lines = [
        f"Data set {config.data.dataset}, {len(evaluation.pictures)} test pictures"
        + ("" if leaks else ", never used to train or to choose weights")
        + f". {date.today().isoformat()}, {hardware}.",
        *leaks,
        evaluation.protocol
        + f"; seeds {' '.join(map(str, evaluation.seeds))}; precision {config.precision}.",
        "Raw figures compare the picture as it is; GT-mean figures first scale it to the ground truth's mean "
        "brightness, which no user can do, and are shown because papers report them.",
    ]
    return "".join(f'<p class="note">{html.text(line)}</p>' for line in lines)


def _table(rows: Sequence[Row]) -> str:
    cells = [row.cells() for row in rows]
    keys = list(dict.fromkeys(key for row in cells for key in row))
    best = max(range(len(rows)), key=lambda k: rows[k].evaluation.mean().raw["psnr"])
    digits = {"psnr": 2, "ssim": 3, "lpips": 3, "ms": 0}
    body = []
    words = {key: next((digits[w] for w in key.split("_") if w in digits), None) for key in keys}
    for row in cells:
        body.append([show(row.get(key), words[key]) for key in keys])
    header = [key.replace("_", " ").replace("gt mean", "(GT-mean)") for key in keys]
    return html.table(header, body, chosen=best)


def _pictures(rows: Sequence[Row], test: Sequence[Pair]) -> str:
    spread = np.unique(np.linspace(0, len(test) - 1, min(SHOWN_PICTURES, len(test))).astype(int))
    blocks = []
    for index in spread:
        pair = test[index]
        low, high = load_picture(pair.low), load_picture(pair.high)
        shown = [html.figure(_small(low), "input")]
        for row in rows:
            if row.kind in ("teacher", "reddit"):
                output = to_uint8(row.predict(pair.name, low, 0))
                scores = row.evaluation.pictures[index].scores[0]
                shown.append(html.figure(_small(output), f"{row.label}: {scores.raw['psnr']:.2f} dB"))
        shown.append(html.figure(_small(high), "gt"))
        blocks.append(f'<h3>{html.text(pair.name)}</h3><div class="row">{"".join(shown)}</div>')
    return "\n".join(blocks)


def _small(picture: np.ndarray) -> np.ndarray:
    scale = SHOWN_WIDTH / picture.shape[1]
    if scale >= 1:
        return picture
    size = (SHOWN_WIDTH, max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _curves(runs: Sequence[Path]) -> str:
    charts = []
    for folder in runs:
        log = read_log(folder)
        losses: dict[str, list[tuple[float, float]]] = {}
        scores: list[tuple[float, float]] = []
        for line in log:
            if line["kind"] == "train":
                for name in ("loss", "l_dis", "l_pix", "l_per"):
                    if line.get(name):
                        losses.setdefault(name, []).append((float(line["iteration"]), float(line[name])))
            elif line["kind"] == "validation":
                scores.append((float(line["iteration"]), float(line["psnr"])))
        charts.append(html.chart(f"{folder.name}: loss", losses, x_label="iteration", log_y=True))
        charts.append(
            html.chart(f"{folder.name}: validation PSNR, dB", {"psnr": scores}, x_label="iteration")
        )
    return f'<div class="charts">{"".join(charts)}</div>'
