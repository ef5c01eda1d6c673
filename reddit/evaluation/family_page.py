"""The report of a family of runs: results.csv, comparison.csv and report.html."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from reddit.config import Config
from reddit.data import Pair, load_picture
from reddit.evaluation.family import Row
from reddit.image.pixels import to_uint8
from reddit.report.charts import Chart, lines
from reddit.report.page import render
from reddit.report.pictures import Slider, slider
from reddit.report.tables import Table, Tile, page_table, show
from reddit.report.tables import render as as_text
from reddit.training.logging import read_log
from reddit.training.run_folder import run_folder
from reddit.utils.files import write_bytes
from reddit.utils.text import counted

SHOWN_PICTURES = 4
_DIGITS = {"psnr": 2, "ssim": 3, "lpips": 3, "ms": 0}
_OWN_STEPS = ("teacher", "reddit")
"""Kinds of rows that are models of the family at their own number of steps."""


def write_report(
    config: Config, rows: Sequence[Row], runs: Sequence[Path], test: Sequence[Pair], hardware: str
) -> Path:
    """Write `results.csv` (one row per model), `comparison.csv` (all rows) and `report.html`.

    They go into the teacher's run folder.

    Args:
        runs: the run folders whose loss curves are shown, the teacher's first.
        test: test pairs; some, spread over the set, are shown as restored with every number of steps.

    Returns:
        The page's path.
    """
    folder = run_folder(config, config.name)
    models = [row for row in rows if row.kind in _OWN_STEPS]
    write_bytes(folder / "results.csv", as_text([row.cells() for row in models], "csv").encode())
    write_bytes(folder / "comparison.csv", as_text([row.cells() for row in rows], "csv").encode())
    steps = [row.steps for row in models if row.steps]
    sliders = _sliders(rows, test)
    page = render(
        "family.html",
        title=f"{config.name}: from {counted(max(steps), 'step')} to {min(steps)}",
        warnings=[f"Warning: {row.warning}." for row in rows if row.warning],
        tiles=[_tile(row, models[0]) for row in models],
        facts=_facts(config, rows, hardware),
        table=_table(rows),
        summary=_summary(rows),
        sliders=sliders,
        labels=[picture.label for picture in sliders[0].pictures],
        right=sliders[0].right,
        curves=[chart for run in runs for chart in _curves(run)],
        configuration=config.to_yaml(),
    )
    path = folder / "report.html"
    write_bytes(path, page.encode())
    return path


def _facts(config: Config, rows: Sequence[Row], hardware: str) -> dict[str, str]:
    evaluation = rows[-1].evaluation
    fair = "" if any(row.seen for row in rows) else ", not used in training or validation"
    return {
        "data set": config.data.dataset,
        "test pictures": f"{len(evaluation.pictures)} test pictures{fair}",
        "seeds": " ".join(map(str, evaluation.seeds)),
        "precision": evaluation.settings.get("precision", config.precision),
        "hardware": hardware,
        "date": date.today().isoformat(),
        "protocol": evaluation.protocol.removeprefix("protocol "),
    }


def _tile(row: Row, teacher: Row) -> Tile:
    notes: tuple[str, ...] = ()
    if row.seconds is not None and teacher.seconds is not None:
        faster = f", {teacher.seconds / row.seconds:.1f}× as fast" if row is not teacher else ""
        notes = (f"{1000 * row.seconds:.0f} ms a picture{faster}",)
    deviation = row.evaluation.deviation().get("raw.psnr")
    spread = "" if deviation is None else f"± {show(deviation, 2)}"
    return Tile(row.label, f"{show(row.evaluation.mean().raw['psnr'], 2)} dB", spread, notes)


def _table(rows: Sequence[Row]) -> Table:
    cells = [row.cells() for row in rows]
    keys = list(dict.fromkeys(key for row in cells for key in row))
    best = max(range(len(rows)), key=lambda k: rows[k].evaluation.mean().raw["psnr"])
    return page_table([{key: row.get(key) for key in keys} for row in cells], _DIGITS, chosen=best)


def _summary(rows: Sequence[Row]) -> list[Chart]:
    """Quality and time by sampling steps, of the models and of the teacher at fewer steps."""
    series = {
        "teacher and students": [row for row in rows if row.kind in _OWN_STEPS],
        "teacher at fewer steps": [row for row in rows if row.kind in ("teacher", "fewer steps")],
    }
    psnr = {
        name: [(float(row.steps or 0), row.evaluation.mean().raw["psnr"]) for row in each]
        for name, each in series.items()
    }
    models = series["teacher and students"]
    times = [(float(row.steps or 0), 1000 * row.seconds) for row in models if row.seconds]
    charts = [
        lines("Raw PSNR by sampling steps, dB", psnr, x_label="sampling steps", halvings=True),
        lines(
            "Time of a picture by sampling steps, ms", {"": times}, x_label="sampling steps", halvings=True
        ),
    ]
    return [chart for chart in charts if chart]


def _sliders(rows: Sequence[Row], test: Sequence[Pair]) -> list[Slider]:
    """A few test pictures, restored by every model with the seed whose scores are shown."""
    spread = np.unique(np.linspace(0, len(test) - 1, min(SHOWN_PICTURES, len(test))).astype(int))
    models = [row for row in rows if row.kind in (*_OWN_STEPS, "other")]
    last = [row.label for row in models if row.kind != "other"][-1]
    sliders = []
    for index in spread:
        pair = test[index]
        low = load_picture(pair.low)
        pictures, notes = {"input": low}, {}
        for row in models:
            seed = row.evaluation.seeds[0]
            pictures[row.label] = to_uint8(row.predict(pair.name, low, seed))
            scores = row.evaluation.pictures[index].scores[0]
            notes[row.label] = f"{show(scores.raw['psnr'], 2)} dB, seed\N{NO-BREAK SPACE}{seed}"
        pictures["gt"] = load_picture(pair.high)
        sliders.append(slider(pair.name, pictures, "input", last, notes, thumbnails=True))
    return sliders


def _curves(folder: Path) -> list[Chart]:
    losses: dict[str, list[tuple[float, float]]] = {}
    scores: list[tuple[float, float]] = []
    for line in read_log(folder):
        if line["kind"] == "train":
            for name in ("loss", "l_dis", "l_pix", "l_per"):
                if line.get(name):
                    losses.setdefault(name, []).append((float(line["iteration"]), float(line[name])))
        elif line["kind"] == "validation":
            scores.append((float(line["iteration"]), float(line["psnr"])))
    charts = [
        lines(f"{folder.name}: loss", losses, x_label="iteration", log_y=True),
        lines(f"{folder.name}: validation PSNR, dB", {"psnr": scores}, x_label="iteration"),
    ]
    return [chart for chart in charts if chart]
