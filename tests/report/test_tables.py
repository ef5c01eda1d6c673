from __future__ import annotations

import csv
import io
import math
import re

import pytest

from reddit.report.tables import Cell, Format, page_table, render, show, table

ROWS: list[dict[str, Cell]] = [
    {
        "method": "ours, 8 steps",
        "steps": 8,
        "psnr_raw": 27.12345,
        "GT-mean SSIM": 0.87654,
        "ms_per_image": None,
    },
    {"method": "a_b & 50%", "steps": 10, "psnr_raw": math.inf, "GT-mean SSIM": 1.0, "ms_per_image": 1234.56},
]
SHOWN = [
    ["method", "steps", "psnr_raw", "GT-mean SSIM", "ms_per_image"],
    ["ours, 8 steps", "8", "27.123", "0.8765", "–"],
    ["a_b & 50%", "10", "inf", "1.0000", "1234.6"],
]


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (None, 3, "–"),
        (math.inf, 3, "inf"),
        (math.inf, None, "inf"),
        (2.0, 3, "2.000"),
        (2.5, None, "2.5"),
        (2.0, 0, "2"),
        (7, 3, "7"),
        ("x", 3, "x"),
    ],
)
def test_a_cell_shows_missing_infinite_and_decimals(value: Cell, digits: int | None, expected: str) -> None:
    assert show(value, digits) == expected


def test_text_lines_up() -> None:
    lines = render(ROWS, "text").splitlines()
    assert [re.split(r" {2,}", line.strip()) for line in lines[:1] + lines[2:]] == SHOWN
    assert set(lines[1]) == {"─", " "}
    assert len({len(line) for line in lines}) == 1
    right = [m.end() for line in lines[2:] for m in [re.search(r"27\.123|inf", line)] if m]
    assert len(set(right)) == 1 and len(right) == 2


def test_csv_reads_back() -> None:
    header, *rows = csv.reader(io.StringIO(render(ROWS, "csv")))
    assert header == list(ROWS[0])
    assert rows == [["" if cell == "–" else cell for cell in line] for line in SHOWN[1:]]
    assert float(rows[1][2]) == math.inf


def test_markdown_reads_back_and_aligns_numbers() -> None:
    text = render(ROWS, "md")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert lines[:1] + lines[2:] == SHOWN
    assert re.fullmatch("-+", lines[1][0])
    assert all(re.fullmatch("-+:", cell) for cell in lines[1][1:])
    assert len({len(line) for line in text.splitlines()}) == 1


def test_latex_escapes_and_reads_back() -> None:
    lines = render(ROWS, "latex").splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrr}" and lines[-1] == r"\end{tabular}"
    assert lines[1] == r"\toprule" and lines[3] == r"\midrule" and lines[-2] == r"\bottomrule"
    body = [line for line in lines if line.endswith(r"\\")]
    cells = [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in body]
    assert [[re.sub(r"\\([&%_])", r"\1", c.strip()) for c in line] for line in cells] == SHOWN
    assert r"a\_b \& 50\%" in lines[5]


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [("{$}", r"\{\$\}"), ("#1", r"\#1"), ("a\\b", r"a\textbackslash{}b"), ("1 ± 2", r"1 $\pm$ 2")],
)
def test_latex_escapes_each_special_sign_once(plain: str, escaped: str) -> None:
    assert f"{escaped} & x" in render([{"a": plain, "b": "x"}], "latex")


@pytest.mark.parametrize("form", ["text", "csv", "md", "latex"])
def test_every_form_ends_in_one_newline(form: Format) -> None:
    text = render(ROWS, form)
    assert text.endswith("\n") and not text.endswith("\n\n")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("psnr", "1.235"),
        ("PSNR raw", "1.235"),
        ("lpips_gt_mean", "1.2346"),
        ("niqe", "1.235"),
        ("ms", "1.2"),
        ("gain", "1.23457"),
        ("psnrs", "1.23457"),
    ],
)
def test_decimals_follow_the_metric_in_the_header(header: str, expected: str) -> None:
    assert render([{header: 1.234567}], "csv").splitlines()[1] == expected


def test_columns_of_numbers_are_known() -> None:
    rows = [["a", "1.5", "+0.2 to −0.1", "–", "inf", "", "12 steps"], ["2", "−3", "-1", "7", "nan", "", "x"]]
    made = table(list("abcdefg"), rows, chosen=1)
    assert made.numeric == (False, True, True, True, True, True, False) and made.chosen == 1
    assert made.rows == tuple(map(tuple, rows))


def test_a_page_table_names_metrics_and_rounds_by_them() -> None:
    rows: list[dict[str, Cell]] = [{"arm": "x", "psnr_gt_mean": 20.12345, "ssim_raw_std": None, "steps": 8}]
    made = page_table(rows, {"psnr": 2, "ssim": 3})
    assert made.header == ("arm", "PSNR GT-mean", "SSIM raw std", "steps")
    assert made.rows == (("x", "20.12", "–", "8"),)
