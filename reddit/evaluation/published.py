"""Published numbers, and table rows that compare them with ours."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from reddit.evaluation.result import Evaluation
from reddit.metrics.protocol import PAPER
from reddit.report.tables import Cell

GtMean = Literal["yes", "no", "unknown"]

COLUMNS = (
    "method",
    "steps",
    *(f"{metric}_{group}" for group in ("raw", "gt_mean") for metric in ("psnr", "ssim", "lpips")),
    "niqe",
    "niqe_grey",
    "protocol",
)
"""The columns of `our_row` and `rows_beside`."""

_NUMBERS = Path(__file__).with_name("published.csv")
_TIMES = Path(__file__).with_name("published_times.csv")
# Table 2 has one SDSD column, and the text speaks of "indoor subsets": nothing for sdsd_outdoor.
_UNSPLIT = {"sdsd_indoor": ("sdsd", "SDSD not split")}


@dataclass(frozen=True)
class PublishedRow:
    """One method on one data set, as published; None: not given.

    Attributes:
        nfe: network evaluations per picture.
        gt_mean: whether outputs were scaled to the mean of the ground truth first; `unknown` if it is not
            stated, and no raw score of the same weights was found to compare.
        params_m: millions of parameters.
        source: the paper and the table.
        note: other differences, such as another split of the data.
    """

    method: str
    nfe: int | None
    dataset: str
    gt_mean: GtMean
    psnr: float | None
    ssim: float | None
    lpips: float | None
    niqe: float | None
    params_m: float | None
    source: str
    note: str = ""


@dataclass(frozen=True)
class PublishedTime:
    """Seconds per picture and pictures per second of one method, on the paper's unnamed GPU."""

    method: str
    nfe: int
    seconds: float
    fps: float
    params_m: float
    source: str


def published(dataset: str) -> list[PublishedRow]:
    """The published rows of a data set, in the order of their tables; none for other data sets.

    `sdsd` and `sdsd_indoor` give the same rows; for `sdsd_indoor` their `note` says that the paper does
    not split SDSD.
    """
    table, note = _UNSPLIT.get(dataset, (dataset, ""))
    return [replace(row, note=note) for row in published_rows() if row.dataset == table]


def published_rows() -> list[PublishedRow]:
    """Every row of every table."""
    return [
        PublishedRow(
            method=line["method"],
            nfe=int(line["nfe"]) if line["nfe"] else None,
            dataset=line["dataset"],
            gt_mean=cast(GtMean, line["gt_mean"]),
            psnr=_number(line["psnr"]),
            ssim=_number(line["ssim"]),
            lpips=_number(line["lpips"]),
            niqe=_number(line["niqe"]),
            params_m=_number(line["params_m"]),
            source=line["source"],
        )
        for line in _read(_NUMBERS)
    ]


def published_times() -> list[PublishedTime]:
    """The paper's Table 4."""
    return [
        PublishedTime(
            method=line["method"],
            nfe=int(line["nfe"]),
            seconds=float(line["seconds"]),
            fps=float(line["fps"]),
            params_m=float(line["params_m"]),
            source=line["source"],
        )
        for line in _read(_TIMES)
    ]


def our_row(evaluation: Evaluation) -> dict[str, Cell]:
    """The means of an evaluation as a row with `COLUMNS`; what was not computed is None."""
    mean = evaluation.mean()
    cells: dict[str, Cell] = dict.fromkeys(COLUMNS)
    steps = evaluation.settings.get("steps", "")
    cells["method"] = evaluation.method
    cells["steps"] = int(steps) if steps.isdecimal() else None
    for group, scores in (("raw", mean.raw), ("gt_mean", mean.gt_mean)):
        for metric, value in scores.items():
            cells[f"{metric}_{group}"] = value
    cells["niqe"], cells["niqe_grey"] = mean.niqe, mean.niqe_grey
    cells["protocol"] = _protocol_name(evaluation)
    return cells


def rows_beside(evaluation: Evaluation, dataset: str) -> list[dict[str, Cell]]:
    """Published rows with the columns of `our_row`; `protocol` says what differs from the evaluation's.

    The raw and the GT-mean scores of a method share a row. Scores that are not known to be either are in the
    GT-mean columns, and `protocol` says so: all scores of the paper's Table 1 that could be checked are
    GT-mean.
    """
    merged: dict[tuple[str, int | None], list[PublishedRow]] = {}
    for row in published(dataset):
        merged.setdefault((row.method, row.nfe), []).append(row)
    same_code = _protocol_name(evaluation) == PAPER.name
    return [_cells(rows, same_code) for rows in merged.values()]


def without_empty_columns(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """The rows, which have the same keys, without the columns that are empty in all of them."""
    kept = [key for key in (rows[0] if rows else ()) if any(row[key] not in (None, "") for row in rows)]
    return [{key: row[key] for key in kept} for row in rows]


def _cells(rows: Sequence[PublishedRow], same_code: bool) -> dict[str, Cell]:
    cells: dict[str, Cell] = dict.fromkeys(COLUMNS)
    cells["method"], cells["steps"] = rows[0].method, rows[0].nfe
    for row in rows:
        group = "raw" if row.gt_mean == "no" else "gt_mean"
        for metric in ("psnr", "ssim", "lpips"):
            cells[f"{metric}_{group}"] = getattr(row, metric)
        if row.niqe is not None:
            cells["niqe"] = row.niqe
    cells["protocol"] = _difference(rows, same_code)
    return cells


def _difference(rows: Sequence[PublishedRow], same_code: bool) -> str:
    """In a few words, how these numbers differ from those of the evaluation."""
    words = []
    kinds = {row.gt_mean for row in rows}
    if kinds == {"yes"}:
        words.append("GT-mean only")
    elif "unknown" in kinds:
        words.append("GT-mean presumed")
    if not rows[0].method.startswith("ReDDiT"):
        words.append("as published")
    elif not same_code:
        names = {"ssim": "SSIM", "lpips": "LPIPS", "niqe": "NIQE"}
        given = [name for key, name in names.items() if any(getattr(row, key) is not None for row in rows)]
        words.append(f"paper's {' and '.join(given)}")
    words += list(dict.fromkeys(row.note for row in rows if row.note))
    return "; ".join(words) or "paper"


def _protocol_name(evaluation: Evaluation) -> str:
    return evaluation.protocol.partition(":")[0].removeprefix("protocol ")


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
