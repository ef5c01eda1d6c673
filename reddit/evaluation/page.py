"""The page of an evaluation: a before/after slider, scores and an error map for each picture.

Pictures are written one by one, so that only one is in memory.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from markupsafe import Markup
from torch import Tensor

from reddit.evaluation.error_map import ERROR_TOP, error_map, scale_colours
from reddit.evaluation.result import Evaluation, flat_scores
from reddit.image.pixels import to_uint8
from reddit.metrics import Scores
from reddit.report.page import render, stream
from reddit.report.pictures import SHOWN_SIDE, data_uri, slider
from reddit.report.tables import DIGITS, Table, Tile, show, table
from reddit.utils.errors import UserError
from reddit.utils.files import write_file
from reddit.utils.text import counted

_HIGHER_IS_BETTER = {"psnr": True, "ssim": True, "lpips": False, "niqe": False, "niqe_grey": False}
GENERATOR = b'<meta name="generator" content="reddit-llie">'
"""What the head of every page holds."""
_METRICS = tuple(_HIGHER_IS_BETTER)


class EvaluationPage:
    """Collects the pictures of an evaluation and writes the page at its end.

    Pass `add` to `evaluate` as its `watch`, then call `finish`.

    Args:
        folder: folder of the temporary file that holds the pictures until then; created if missing. None: the
            system's folder for temporary files, which may be in memory.
        scored: the seed or mean that is shown and scored, for captions; for example `seed 0`.
        seen: names of the pictures that the model was trained on, which are marked.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path | None = None, scored: str = "", seen: Collection[str] | None = None
    ) -> None:
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._cards: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - outlives this call
        except OSError as error:
            raise UserError(f"cannot write in {folder}: {error.strerror}; check the folder") from error
        self._scored, self._seen = scored, seen or ()
        self._count = 0
        self._paired, self._lows = False, True
        self._metrics: set[str] = set()

    def add(
        self, name: str, low: np.ndarray | None, output: Tensor, gt: Tensor | None, scores: Scores
    ) -> None:
        """Append one picture.

        Args:
            low: uint8 RGB (H, W, 3); None if it is not on disk.
            output, gt: (3, H, W) in [0, 1].
            scores: of this picture; shown, and used to sort.

        Raises:
            UserError: the disk is full.
        """
        pictures = {"low": low} if low is not None else {}
        pictures["output"] = to_uint8(output)
        self._lows = self._lows and low is not None
        if gt is not None:
            pictures["gt"] = to_uint8(gt)
            self._paired = True
        keys = _keys(scores)
        self._metrics |= set(keys)
        card = render(
            "card.html",
            number=self._count,
            keys=keys,
            scored=self._scored,
            view=slider(name, pictures, *(("low", "output") if low is not None else ("output", "gt"))),
            seen=name in self._seen,
            scores=_table(scores),
            map=data_uri(error_map(pictures["output"], pictures["gt"])) if gt is not None else "",
            colours=scale_colours(),
            top=f"{ERROR_TOP:g}",
        )
        try:
            self._cards.write(card.encode())
        except OSError as error:
            raise UserError(f"cannot store the picture {name} for the page: {error.strerror}") from error
        self._count += 1

    def finish(self, evaluation: Evaluation, path: Path) -> None:
        """Write the page atomically; call it once, after the last picture.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        count, seeds = len(evaluation.pictures), len(evaluation.seeds)
        spread = f" and {seeds} seeds, ± standard deviation over seeds" if seeds > 1 else ""
        page = stream(
            "evaluation.html",
            title=f"{evaluation.method} on {evaluation.dataset}",
            over=f"Means over {counted(count, 'picture')}{spread}",
            tiles=_tiles(evaluation),
            facts=evaluation.facts() | {"protocol": evaluation.protocol.removeprefix("protocol ")},
            notes=_notes(self._scored, self._paired) + evaluation.apart_lines(),
            pairs=self._pairs(),
            sorts=[(m, 1 if _HIGHER_IS_BETTER[m] else -1) for m in _METRICS if m in self._metrics],
            cards=self._stored_cards(),
        )

        def write(temporary: Path) -> None:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.writelines(page)

        write_file(path, write)
        self._cards.close()

    def _pairs(self) -> list[tuple[str, str]]:
        """What can be compared."""
        pairs = [("low", "output"), ("output", "gt"), ("low", "gt")] if self._paired else []
        return pairs if self._lows else pairs[1:2]

    def _stored_cards(self) -> Iterator[Markup]:
        """The cards in pieces, already escaped by the template `card.html`."""
        self._cards.seek(0)
        text = io.TextIOWrapper(self._cards, encoding="utf-8", newline="")
        while piece := text.read(1 << 16):
            yield Markup(piece)
        text.detach()


def _keys(scores: Scores) -> dict[str, float]:
    """The sort keys of a picture: its raw scores and NIQE."""
    found = {key.removeprefix("raw."): value for key, value in flat_scores(scores).items()}
    return {m: found[m] if math.isfinite(found[m]) else 1e9 for m in _METRICS if m in found}


def _raw(metric: str) -> str:
    return metric if metric.startswith("niqe") else f"raw.{metric}"


def _label(metric: str) -> str:
    name = {"psnr": "PSNR, dB", "niqe_grey": "NIQE-grey"}.get(metric, metric.upper())
    return f"{name} {'↑' if _HIGHER_IS_BETTER[metric] else '↓'}"


def _table(scores: Scores) -> Table | None:
    """One row for raw and one for GT-mean; NIQE is of the raw picture."""
    metrics = list(_keys(scores))
    if not metrics:
        return None
    flat = flat_scores(scores)
    rows = [["raw", *(show(flat[_raw(m)], DIGITS[m]) for m in metrics)]]
    if scores.gt_mean:
        cells = (flat.get(f"gt_mean.{m}") for m in metrics)
        pairs = zip(metrics, cells, strict=True)
        rows.append(["GT-mean", *("" if cell is None else show(cell, DIGITS[m]) for m, cell in pairs)])
    return table(["", *map(_label, metrics)], rows)


def _tiles(evaluation: Evaluation) -> list[Tile]:
    """The means, one tile per metric."""
    mean, deviation = evaluation.mean(), evaluation.deviation()
    flat = flat_scores(mean)
    tiles = []
    for metric in _keys(mean):
        raw, gt_mean = _raw(metric), f"gt_mean.{metric}"
        value = {key: show(flat[key], DIGITS[metric]) for key in (raw, gt_mean) if key in flat}
        spread = {key: f"± {show(deviation[key], DIGITS[metric])}" for key in value if key in deviation}
        notes = (f"GT-mean {value[gt_mean]} {spread.get(gt_mean, '')}".rstrip(),) if gt_mean in value else ()
        label = _label(metric) if raw == metric else f"raw {_label(metric)}"
        tiles.append(Tile(label, value[raw], spread.get(raw, ""), notes))
    return tiles


def _notes(scored: str, paired: bool) -> list[str]:
    of = f"The pictures and their scores are of {scored}. " if scored else ""
    notes = [
        f"{of}Scores are of the full pictures; shown are JPEG copies of at most {SHOWN_SIDE} pixels a side."
    ]
    if paired:
        notes.append(
            "GT-mean first scales the output to the mean brightness of the ground truth, which is unknown in "
            "use; the pictures and error maps are of the raw output."
        )
        notes.append(
            f"Error maps show the mean over R, G and B of |output − gt|, from 0 to {ERROR_TOP:g} of the full "
            f"range ({ERROR_TOP * 255:.0f} of 255 levels); larger errors have the last colour. All pictures "
            "share one scale."
        )
    return notes
