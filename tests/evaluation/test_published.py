"""The published numbers against the paper's text, and the rows that stand beside ours."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reddit.data import LAYOUTS
from reddit.evaluation.published import (
    COLUMNS,
    our_row,
    published,
    published_rows,
    published_times,
    rows_beside,
    without_empty_columns,
)
from reddit.evaluation.result import Evaluation, PictureResult
from reddit.metrics import Scores
from reddit.metrics.protocol import PAPER, STANDARD, Protocol
from reddit.report.tables import render

SHARED = Path(os.environ.get("REDDIT_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
PAPER_TEXT = SHARED / "paper" / "reddit-paper.txt"
PROTOCOL_TEXT = SHARED / "protocol.md"
needs_paper = pytest.mark.skipif(
    not PAPER_TEXT.is_file(), reason=f"{PAPER_TEXT} is absent; set REDDIT_SHARED"
)
needs_protocol = pytest.mark.skipif(
    not PROTOCOL_TEXT.is_file(), reason=f"{PROTOCOL_TEXT} is absent; set REDDIT_SHARED"
)

LOL = ("lolv1", "lolv2_real", "lolv2_synthetic")
UNPAIRED = ("dicm", "lime", "mef", "npe", "vv")


def tables_of(path: Path) -> list[list[list[str]]]:
    """The tables in a text, as lists of cells a row, in order."""
    tables: list[list[list[str]]] = [[]]
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    return tables


def paper_table(*datasets: str) -> dict[str, list[str]]:
    """The paper's table whose header ends with these columns: method → its cells."""
    rows: dict[str, list[str]] = {}
    inside = False
    for row in (row for table in tables_of(PAPER_TEXT) for row in table):
        if row[0] in ("Methods", "Teacher-16"):
            inside = [cell for cell in row[1:] if cell][-len(datasets) :] == list(datasets)
        elif inside and row[0] not in ("PSNR", "---"):
            rows[row[0]] = row[1:]
    assert rows, f"no table with {datasets}"
    return rows


def our_name(name: str) -> str:
    """The paper calls one method by two names, and its own by steps alone."""
    name = name.partition(" (")[0]
    return {"EnGAN": "EnlightenGAN", "Ours": "ReDDiT"}.get(name, name.replace("Ours-", "ReDDiT-"))


def number(cell: str) -> float | None:
    return None if cell == "-" else float(cell)


def from_table(source: str) -> dict[tuple[str, str], tuple[float | None, ...]]:
    """(method, data set) → PSNR, SSIM, LPIPS, NIQE of all rows of a source."""
    return {
        (row.method, row.dataset): (row.psnr, row.ssim, row.lpips, row.niqe)
        for row in published_rows()
        if row.source == source
    }


@needs_paper
def test_table_1_is_the_papers() -> None:
    expected = {}
    steps = {}
    nfe = 0
    for name, cells in paper_table("LOLv1", "LOLv2-real", "LOLv2-synthetic").items():
        if cells[-1] == "":  # the first rows share one NFE, printed at the first
            cells = [str(nfe), *cells[:-1]]
        nfe = int(cells[0])
        steps[our_name(name)] = nfe
        for k, dataset in enumerate(LOL):
            values = tuple(map(number, cells[1 + 3 * k : 4 + 3 * k]))
            if values != (None, None, None):
                expected[our_name(name), dataset] = (*values, None)
    assert len(steps) == 18
    assert from_table("ReDDiT paper, Table 1") == expected
    assert {row.method: row.nfe for row in published_rows() if row.source == "ReDDiT paper, Table 1"} == steps


@needs_paper
def test_table_2_is_the_papers() -> None:
    expected = {}
    for name, cells in paper_table("SID", "SDSD").items():
        for k, dataset in enumerate(("sid", "sdsd")):
            psnr, ssim = map(number, cells[2 * k : 2 * k + 2])
            expected[our_name(name), dataset] = (psnr, ssim, None, None)
    assert len(expected) == 30
    assert from_table("ReDDiT paper, Table 2") == expected


@needs_paper
def test_table_3_is_the_papers() -> None:
    expected = {
        (our_name(name), dataset): (None, None, None, number(cell))
        for name, cells in paper_table("DICM", "LIME", "MEF", "NPE", "VV").items()
        for dataset, cell in zip(UNPAIRED, cells, strict=True)
    }
    assert len(expected) == 50
    assert from_table("ReDDiT paper, Table 3") == expected


@needs_paper
def test_table_4_is_the_papers() -> None:
    rows = [row for table in tables_of(PAPER_TEXT) for row in table]
    start = next(k for k, row in enumerate(rows) if row[0] == "Teacher-16")
    columns = zip(*(row[1:] for row in rows[start + 1 : start + 4]), strict=True)
    methods = [our_name(name) for name in rows[start] if name]
    expected = {m: tuple(map(float, cells)) for m, cells in zip(methods, columns, strict=True)}
    assert {t.method: (t.seconds, t.fps, t.params_m) for t in published_times()} == expected
    for row in published_rows():  # the same networks
        if row.method in expected:
            assert row.params_m == expected[row.method][2]


@needs_protocol
def test_the_gt_mean_table_is_complete_and_marked() -> None:
    table = next(t for t in tables_of(PROTOCOL_TEXT) if t and t[0][:3] == ["method", "NFE", "LOLv1"])
    traced = set()
    for method, nfe, *scores, params in table[2:]:
        for dataset, cell in zip(LOL, scores, strict=True):
            values = tuple(None if part == "–" else float(part) for part in cell.split(" / "))
            (row,) = [r for r in published(dataset) if r.method == method and r.gt_mean == "yes"]
            assert (row.psnr, row.ssim, row.lpips) == values, (method, dataset)
            assert row.nfe == int(nfe)
            assert not params or row.params_m == float(params.removesuffix(" M"))
            traced.add((method, dataset))
    marked = {(row.method, row.dataset) for row in published_rows() if row.gt_mean == "yes"}
    assert marked == traced


@needs_protocol
def test_the_raw_scores_are_complete_and_marked() -> None:
    (line,) = re.findall(r"^Raw \(no GT-mean\): (.*)$", PROTOCOL_TEXT.read_text(encoding="utf-8"), re.M)
    spelling = {"LOLv1": "lolv1", "LOLv2-real": "lolv2_real", "LOLv2-synthetic": "lolv2_synthetic"}
    found = {}
    for part in line.rstrip(".").split("; "):
        method = part.split(" ")[0]
        for values, dataset in re.findall(r"([\d./ ]+) on (\S+?)(?:,|$)", part):
            found[method, spelling[dataset]] = tuple(map(float, values.split(" / ")))
    assert len(found) == 4
    rows = [row for row in published_rows() if row.gt_mean == "no" and row.dataset in LOL]
    ours = {(r.method, r.dataset): tuple(v for v in (r.psnr, r.ssim, r.lpips) if v is not None) for r in rows}
    assert ours == found


def test_sid_sdsd_and_pictures_without_gt_are_raw() -> None:
    assert {row.gt_mean for row in published_rows() if row.dataset not in LOL} == {"no"}
    assert {row.gt_mean for row in published_rows() if "Table 1" in row.source} == {"yes", "unknown"}


def test_every_data_set_is_known_and_rows_are_unique() -> None:
    rows = published_rows()
    assert {row.dataset for row in rows} <= {*LAYOUTS, "sdsd"}
    keys = [(row.method, row.dataset, row.gt_mean, row.source) for row in rows]
    assert len(set(keys)) == len(keys)


def test_sdsd_indoor_offers_the_unsplit_rows_with_a_note() -> None:
    indoor, whole = published("sdsd_indoor"), published("sdsd")
    assert [row.psnr for row in indoor] == [row.psnr for row in whole] and len(whole) == 15
    assert {row.note for row in indoor} == {"SDSD not split"}
    assert {row.note for row in whole} == {""}
    assert published("sdsd_outdoor") == []
    assert published("pairs") == []


def evaluation(
    dataset: str = "lolv1", protocol: Protocol = STANDARD, scores: Scores | None = None, steps: str = "8"
) -> Evaluation:
    numbers = {"psnr": 21.5, "ssim": 0.8, "lpips": 0.1}
    scores = scores or Scores(numbers, {k: 2 * v for k, v in numbers.items()})
    picture = PictureResult("1", (4, 6), (scores,))
    return Evaluation(dataset, "mine", protocol.describe(), (0,), {"steps": steps}, (picture,))


def test_our_row_has_the_columns_of_the_published_ones() -> None:
    row = our_row(evaluation())
    assert tuple(row) == COLUMNS
    assert row["method"] == "mine" and row["steps"] == 8 and row["protocol"] == "standard"
    assert row["psnr_raw"] == 21.5 and row["lpips_gt_mean"] == 0.2 and row["niqe"] is None
    for other in rows_beside(evaluation(), "lolv1"):
        assert tuple(other) == COLUMNS


def test_our_row_without_gt_or_steps() -> None:
    row = our_row(evaluation("dicm", PAPER, Scores(niqe=3.5), steps=""))
    assert row["steps"] is None and row["psnr_raw"] is None and row["niqe"] == 3.5
    assert row["protocol"] == "paper"


def row_of(method: str, dataset: str, protocol: Protocol = STANDARD) -> dict[str, object]:
    (row,) = [r for r in rows_beside(evaluation(dataset, protocol), dataset) if r["method"] == method]
    return dict(row)


def test_gt_mean_scores_are_never_in_raw_columns() -> None:
    row = row_of("ReDDiT-8", "lolv1")
    assert (row["psnr_raw"], row["ssim_raw"], row["lpips_raw"]) == (None, None, None)
    assert (row["psnr_gt_mean"], row["ssim_gt_mean"], row["lpips_gt_mean"]) == (28.090, 0.861, 0.052)
    assert row["steps"] == 8


def test_scores_of_unknown_kind_are_marked_as_presumed_gt_mean() -> None:
    row = row_of("SNR-Net", "lolv2_real")
    assert (row["psnr_raw"], row["psnr_gt_mean"]) == (None, 27.209)


def test_raw_and_gt_mean_of_one_method_share_a_row() -> None:
    row = row_of("HVI-CIDNet", "lolv2_real")
    assert (row["psnr_raw"], row["psnr_gt_mean"]) == (24.11, 28.39)
    row = row_of("Retinexformer", "lolv1")
    assert (row["psnr_raw"], row["psnr_gt_mean"]) == (25.16, 27.18)
    assert row["protocol"] == "as published"


def test_sid_is_in_raw_columns() -> None:
    row = row_of("ReDDiT-2", "sid")
    assert (row["psnr_raw"], row["ssim_raw"], row["psnr_gt_mean"]) == (25.88, 0.745, None)


@pytest.mark.parametrize(
    ("method", "dataset", "protocol", "words"),
    [
        ("ReDDiT-8", "lolv1", STANDARD, "GT-mean only; paper's SSIM and LPIPS"),
        ("ReDDiT-8", "lolv1", PAPER, "GT-mean only"),
        ("ReDDiT-8", "sid", STANDARD, "paper's SSIM"),
        ("ReDDiT-8", "sid", PAPER, "paper"),
        ("ReDDiT", "vv", STANDARD, "paper's NIQE"),
        ("GSAD", "lolv1", STANDARD, "GT-mean only; as published"),
        ("GSAD", "vv", STANDARD, "as published"),
        ("KinD", "lolv1", STANDARD, "GT-mean presumed; as published"),
        ("KinD", "sdsd_indoor", STANDARD, "as published; SDSD not split"),
    ],
)
def test_a_row_describes_the_difference_of_its_protocol(
    method: str, dataset: str, protocol: Protocol, words: str
) -> None:
    assert row_of(method, dataset, protocol)["protocol"] == words


def test_columns_without_anything_are_dropped() -> None:
    rows = [our_row(evaluation()), *rows_beside(evaluation(), "lolv1")]
    kept = without_empty_columns(rows)
    assert tuple(kept[0]) == tuple(c for c in COLUMNS if not c.startswith("niqe"))
    assert len(kept) == len(rows) and kept[0]["psnr_raw"] == 21.5
    assert without_empty_columns([{"a": 0, "b": None, "c": ""}]) == [{"a": 0}]
    assert without_empty_columns([]) == []


@pytest.mark.parametrize("dataset", ["lolv1", "dicm"])
def test_the_rows_render(dataset: str) -> None:
    beside = evaluation(dataset, scores=Scores(niqe=3.0) if dataset == "dicm" else None)
    text = render(without_empty_columns([our_row(beside), *rows_beside(beside, dataset)]))
    assert len(text.splitlines()) == 2 + 1 + len({r.method for r in published(dataset)})
