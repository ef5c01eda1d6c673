#!/usr/bin/env python3
"""Write docs/reports/lolv1.md and lolv1.png from lolv1_rivals.csv and lolv1_ours.csv beside them.

Ours are the first lines of what this prints:

    reddit-llie evaluate --dataset lolv1 --weights light-lol-1 --format csv
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from reddit.report.charts import SERIES, style
from reddit.report.tables import Cell, render
from reddit.utils.files import write_bytes

HERE = Path(__file__).parent
DATA_SETS = {"lolv1": "LOL-v1", "lolv2_real": "LOL-v2 real", "lolv2_synthetic": "LOL-v2 synthetic"}
MEASURES = ("psnr", "ssim", "lpips")
HEAD = """# Methods on LOL-v1, scored alike

Pictures that other methods publish as their results, and those of the shipped weights, scored by one program
and one protocol ([standard](../evaluate.md)): PSNR of 8-bit RGB, SSIM with a Gaussian window, LPIPS of
AlexNet; each raw, and after the output is scaled to the ground truth's mean grey (GT-mean).
`python docs/reports/lolv1.py` writes this page from [lolv1_rivals.csv](lolv1_rivals.csv) and
[lolv1_ours.csv](lolv1_ours.csv). An independent program gave the same scores for eight of the methods, within
0.0002. The pictures of others are not part of this project.

"""
AFTER = """
Findings:

- **GT-mean is worth up to {most:.1f} dB**, {middle:.1f} at the median. A raw score and a GT-mean score do not
  belong in one column.
- {matched} gain less than 0.5 dB, or lose: their published pictures already have about the
  brightness of the ground truth.
- The order changes: {climber} is number {before} by raw PSNR and number {after} by GT-mean PSNR.
- Where a method publishes scores, its pictures agree in PSNR to within {disagreement:.2f} dB, and less
  well in SSIM and LPIPS, whose definitions differ.
- `light-lol-1` and `light-lol-4`, 1.5 M parameters, are in the lower half in every column. `light-1` is made
  for all photographs; it misses the exposures of this test set most, so that GT-mean gives it the most.
- ReDDiT publishes 28.09 / .861 / .052 (8 steps), 27.98 / .872 / .053 (4) and 27.40 / .848 / .062 (2), after
  GT-mean. It publishes no pictures, and its SSIM and LPIPS follow other definitions.

![raw and GT-mean PSNR of each method](lolv1.png)

"""
V2 = """LOL-v2 real shares most of its test pictures with LOL-v1's training set ([datasets](../datasets.md)).

"""


def main() -> None:
    write_bytes(HERE / "lolv1.md", page().encode())
    write_bytes(HERE / "lolv1.png", _plot(_rows("lolv1")))


def page() -> str:
    """The page as Markdown."""
    first, parts = _rows("lolv1"), []
    for dataset, title in DATA_SETS.items():
        if dataset == "lolv1":
            parts += [HEAD, _table(first), AFTER.format(**_facts(first))]
        else:
            note = V2 if dataset == "lolv2_real" else ""
            parts += [f"## {title}\n\n", note, _table(_rows(dataset)), "\n"]
    return "".join(parts).rstrip() + "\n"


def _rows(dataset: str) -> list[dict[str, str]]:
    """The methods on a data set, the best raw PSNR first."""
    everyone = [*_read("lolv1_rivals.csv"), *map(_ours, _read("lolv1_ours.csv"))]
    rows = [row for row in everyone if row["dataset"] == dataset]
    return sorted(rows, key=lambda row: -float(row["raw_psnr"]))


def _read(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _ours(row: dict[str, str]) -> dict[str, str]:
    """A line of `evaluate --format csv` as one of lolv1_rivals.csv."""
    kinds = {"raw": "raw", "gtmean": "gt_mean"}
    about = {
        "method": f"**{row['method']}**",
        "dataset": "lolv1",
        "paper_or_readme_prints": "",
        "pictures_from": "",
    }
    return about | {f"{kind}_{m}": row[f"{m}_{name}"] for kind, name in kinds.items() for m in MEASURES}


def _table(rows: list[dict[str, str]]) -> str:
    shown: list[dict[str, Cell]] = [
        {"method": row["method"]}
        | {f"{measure.upper()}, {label}": _number(row[f"{kind}_{measure}"], measure)
           for kind, label in (("raw", "raw"), ("gtmean", "GT-mean")) for measure in MEASURES}
        | {"published scores": row["paper_or_readme_prints"], "pictures": _link(row["pictures_from"])}
        for row in rows
    ]  # fmt: skip
    return render(shown, "md")


def _number(text: str, measure: str) -> str:
    return f"{float(text):.{2 if measure == 'psnr' else 3}f}"


def _link(repository: str) -> str:
    return (
        f"[{repository.partition('/')[0]}](https://github.com/{repository})" if repository else "this project"
    )


def _facts(rows: list[dict[str, str]]) -> dict[str, object]:
    gains = sorted(float(row["gtmean_psnr"]) - float(row["raw_psnr"]) for row in rows)
    matched = [r["method"] for r in rows if float(r["gtmean_psnr"]) - float(r["raw_psnr"]) < 0.5]
    printed = [
        abs(float(row["paper_or_readme_prints"].split("/")[0]) - float(row["raw_psnr"]))
        for row in rows
        if row["paper_or_readme_prints"]
    ]
    by_gt_mean = sorted(rows, key=lambda row: -float(row["gtmean_psnr"]))
    climber = max(rows, key=lambda row: rows.index(row) - by_gt_mean.index(row))
    return {
        "most": gains[-1], "middle": gains[len(gains) // 2],
        "matched": ", ".join(matched[:-1]) + f" and {matched[-1]}",
        "climber": climber["method"],
        "before": rows.index(climber) + 1, "after": by_gt_mean.index(climber) + 1,
        "disagreement": max(printed),
    }  # fmt: skip


def _plot(rows: list[dict[str, str]]) -> bytes:
    from matplotlib.figure import Figure

    with style("lolv1", page=False):
        figure = Figure(figsize=(7, 0.9 + 0.27 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            raw, matched = float(row["raw_psnr"]), float(row["gtmean_psnr"])
            colour = SERIES[1] if row["method"].startswith("**") else SERIES[0]
            axes.plot([raw, matched], [place, place], color=colour, linewidth=1.2)
            axes.plot(raw, place, "o", color=colour, label="raw" if not place else None)
            axes.plot(
                matched,
                place,
                "o",
                markerfacecolor="white",
                color=colour,
                label="GT-mean" if not place else None,
            )
            if row["paper_or_readme_prints"]:
                printed = float(row["paper_or_readme_prints"].split("/")[0])
                first = row is next(r for r in rows if r["paper_or_readme_prints"])
                axes.plot(
                    printed, place, "x", color="black", label="printed by the method" if first else None
                )
        axes.set_yticks(range(len(rows)), [row["method"].strip("*") for row in rows], fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel("PSNR on eval15, dB")
        axes.legend(fontsize=8)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=130)
        return stream.getvalue()


if __name__ == "__main__":
    main()
