"""Tables as aligned text, CSV, Markdown or LaTeX, and for pages."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Format = Literal["text", "csv", "md", "latex"]
Cell = str | float | int | None

DIGITS = {"psnr": 3, "ssim": 4, "lpips": 4, "niqe": 3, "niqe_grey": 3, "ms": 1}
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {"\\": r"\textbackslash{}", "±": r"$\pm$"}
)


@dataclass(frozen=True)
class Tile:
    """A number shown large on a page: its label, its value, its spread (`± …`), and notes below."""

    label: str
    value: str
    spread: str = ""
    notes: tuple[str, ...] = ()


_NUMBER = re.compile(r"[+−-]?\d|[+−-]?inf\b|nan\b|–$|$")


@dataclass(frozen=True)
class Table:
    """A table of texts for a page.

    Attributes:
        numeric: by column, whether it is aligned as numbers are.
        chosen: the highlighted row.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    chosen: int | None = None


def table(header: Sequence[str], rows: Sequence[Sequence[str]], chosen: int | None = None) -> Table:
    """A table; columns in which every cell is a number or empty are numeric."""
    numeric = (all(_NUMBER.match(row[k]) for row in rows) for k in range(len(header)))
    return Table(tuple(header), tuple(map(tuple, rows)), tuple(numeric), chosen)


def page_table(
    rows: Sequence[Mapping[str, Cell]], digits: Mapping[str, int], chosen: int | None = None
) -> Table:
    """Rows with the same keys, which become the header: `psnr_gt_mean` as `PSNR GT-mean`.

    Args:
        digits: decimals by a word of the key: `psnr` for `psnr_raw`.
    """
    keys = list(rows[0])
    decimals = {key: next((digits[word] for word in key.split("_") if word in digits), None) for key in keys}
    words = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "niqe": "NIQE"}
    header = [" ".join(words.get(w, w) for w in key.replace("gt_mean", "GT-mean").split("_")) for key in keys]
    return table(header, [[show(row[key], decimals[key]) for key in keys] for row in rows], chosen)


def show(value: Cell, digits: int | None = None) -> str:
    """A cell as text: missing is a dash, infinite is inf, a float has `digits` decimals."""
    if value is None:
        return "–"
    if isinstance(value, float):
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return f"{value:.{digits}f}" if digits is not None else f"{value:g}"
    return str(value)


def render(rows: Sequence[dict[str, Cell]], form: Format = "text") -> str:
    """Render rows, ending in a newline; their keys become the header, and what a row lacks is missing.

    A column's decimals follow the metric in its header: `psnr_raw` has three, `GT-mean SSIM` four.
    """
    if not rows:
        raise ValueError("a table needs at least one row to know its columns")
    header = list(dict.fromkeys(key for row in rows for key in row))
    rows = [{key: row.get(key) for key in header} for row in rows]
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow("" if row[h] is None else show(row[h], _digits(h)) for h in header)
        return stream.getvalue()
    body = [[show(row[h], _digits(h)) for h in header] for row in rows]
    if form == "md":
        body = [[cell.replace("|", r"\|") for cell in line] for line in body]
    if form == "latex":
        lines = [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule"]
        lines += [_latex(header), r"\midrule", *map(_latex, body), r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"
    widths = [max(len(line[k]) for line in [header, *body]) for k in range(len(header))]
    if form == "md":
        rule = ["-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
        return "".join(f"| {' | '.join(_pad(line, widths))} |\n" for line in [header, rule, *body])
    rule = ["─" * w for w in widths]
    return "".join("  ".join(_pad(line, widths)).rstrip() + "\n" for line in [header, rule, *body])


def _digits(header: str) -> int | None:
    return next((DIGITS[word] for word in re.split(r"[ _]", header.lower()) if word in DIGITS), None)


def _pad(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]


def _latex(cells: Sequence[str]) -> str:
    return " & ".join(c.translate(_LATEX) for c in cells) + r" \\"
