"""docs/reports/lolv1.md is what docs/reports/lolv1.py writes."""

from __future__ import annotations

from repository import ROOT, load

GENERATOR = load("docs/reports/lolv1.py")


def test_the_committed_page_is_current() -> None:
    page = (ROOT / "docs" / "reports" / "lolv1.md").read_text(encoding="utf-8")
    assert page == GENERATOR.page(), "renew it: python docs/reports/lolv1.py"


def test_the_sentences_follow_from_the_table() -> None:
    rows = GENERATOR._rows("lolv1")
    assert len(rows) == 17 + 3
    ours = [row for row in rows if row["method"].startswith("**light-lol")]
    for column, sign in (("psnr", -1), ("ssim", -1), ("lpips", 1)):
        for kind in ("raw", "gtmean"):
            order = sorted(rows, key=lambda row: sign * float(row[f"{kind}_{column}"]))
            assert all(order.index(row) >= len(rows) / 2 for row in ours), "the lower half"
    gains = {row["method"]: float(row["gtmean_psnr"]) - float(row["raw_psnr"]) for row in rows}
    assert max(gains, key=lambda name: gains[name]) == "**light-1, 1 step**"
