from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser import Tab

from reddit.report.tables import page_table
from reddit.reproduce.findings import by_other_metrics, judge, together_rows
from reddit.reproduce.page import write_page
from reddit.reproduce.plan import Plan
from reddit.reproduce.plot import SIGNS, charts, draw
from reddit.reproduce.scoring import Scored
from reddit.reproduce.targets import figure4, table4


def scores(plan: Plan, metric: str = "raw.psnr") -> list[Scored]:
    rng = np.random.default_rng(0)
    found = []
    for cell in plan.cells:
        for seed in range(3):
            mean = 20.0 if cell.arm == "full" else 18.0
            value = cell.steps / 10 if plan.timed else mean
            pictures = {f"p{k}": {metric: value + rng.normal() / 100, "raw.ssim": 0.5} for k in range(15)}
            if plan.timed:
                pictures = {name: {"seconds": each[metric]} for name, each in pictures.items()}
            scenes = {name: name for name in pictures}
            found.append(Scored(cell, seed, f"runs/{cell.arm}-{seed}", "0" * 12, "ddim", pictures, scenes))
    return found


def page(plan: Plan, facts: dict[str, str]) -> str:
    scored = scores(plan)
    judged = judge(plan, scored)
    drawn = charts(plan, scored, judged)
    return write_page(plan, scored, judged, by_other_metrics(plan, scored), drawn, facts, {"A": "B"}).decode()


@pytest.fixture(scope="module")
def source() -> str:
    return page(figure4((8, 4, 2), 16), {"data set": "lolv1", "teacher": "shared & <b>"})


def test_every_claim_has_its_verdict_on_top_and_in_place(source: str) -> None:
    assert source.count('class="badge supported"') == 2 * 3
    for number in (1, 2, 3):
        assert f'href="#claim-{number}"' in source and f'id="claim-{number}"' in source
    assert "A, equal to B under this configuration" in source
    assert "shared &amp; &lt;b&gt;" in source and source.count("<svg") == 2
    assert "The same by raw.ssim, for information only" in source and "28.090" in source


def test_one_table_has_every_comparison(source: str) -> None:
    table = source.partition("All comparisons")[2].partition("</table>")[0]
    assert table.count("<tr") == 1 + 3 * 3 + 3 * 3 + 3 and "ReDDiT − GT only, 2 steps" in table
    assert "95 % by raw PSNR" in table


def test_the_charts_name_every_arm_and_comparison() -> None:
    plan = figure4((8, 4, 2), 16)
    scored = scores(plan)
    judged = judge(plan, scored)
    cells, differences = charts(plan, scored, judged)
    assert all(f">{arm.label}</text>" in cells.svg for arm in plan.arms)
    assert differences.svg.count(f"{SIGNS['supported']}</text>") == len(judged)
    files = draw(plan, scored, judged)
    assert files["png"].startswith(b"\x89PNG") and b"var(" not in files["svg"] and b"<svg" in files["svg"]
    assert files == draw(plan, scored, judged)


def test_times_have_a_page_too() -> None:
    source = page(table4((8, 4, 2), 16), {})
    assert "seconds per picture" in source and "The paper has none" not in source
    assert "The same by" not in source


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone(source: str, tmp_path: Path, tab: Tab, dark: bool) -> None:
    path = tmp_path / "index.html"
    path.write_text(source, encoding="utf-8")
    tab.open(path, width=390, dark=dark)
    assert tab.overflow() == [] and tab.errors == []
    boxes = "[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth).length"
    assert tab.evaluate(boxes) >= 3  # wide tables scroll inside their own boxes


def test_what_one_metric_does_not_judge_is_missing_in_the_table_of_all() -> None:
    def judged(text: str) -> SimpleNamespace:
        finding = SimpleNamespace(mean=0.5, whole=(0.1, 0.9))
        comparison = SimpleNamespace(text=text)
        return SimpleNamespace(
            comparison=comparison, finding=finding, folds=(0, 1), scenes=20, verdict="supported"
        )

    by_metric = {
        "gt_mean.psnr": [judged("both"), judged("0.5 dB allowed")],
        "gt_mean.lpips": [judged("both")],
    }
    rows = together_rows(by_metric)
    assert list(rows[0]) == list(rows[1])
    assert (rows[0]["GT-mean LPIPS"], rows[1]["GT-mean LPIPS"]) == ("+0.5000", None)
    assert page_table(rows, {}).rows[1][-3:] == ("–", "–", "–")
