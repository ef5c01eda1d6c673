from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from tiny_set import write

from reddit.reproduce import runs as training
from reddit.reproduce import scoring
from reddit.reproduce.choice import Choice
from reddit.reproduce.findings import in_words, judge, verdicts
from reddit.reproduce.folds import decide, find_over_folds, worth_naming
from reddit.reproduce.partial import Finished
from reddit.reproduce.plan import Arm, Cell, Claim, Plan, better
from reddit.reproduce.reproduction import prepare
from reddit.reproduce.scoring import Scored
from reddit.reproduce.statistics import Finding
from reddit.utils.errors import UserError

from .conftest import SMALL, reproduce

RUNS = {"folds": 8, "seeds": 1, "scenes": 50}
"""The size of the runs of docs/reports/evidence.md: 399 scenes in eight folds, one seed each."""
SPREADS = [
    # of folds, of runs, of scenes, of single cells, in dB
    (0.0, 0.0, 0.5, 0.2),
    (0.0, 0.1, 0.5, 0.2),
    (0.1, 0.05, 0.5, 0.2),
    (0.1, 0.0, 0.1, 0.1),
    (0.05, 0.1, 1.0, 0.5),
]


def simulated(
    difference: float, spread: tuple[float, ...], count: int, folds: int, seeds: int, scenes: int
) -> list[list[np.ndarray]]:
    """Differences with a shift for each fold (teacher, training set), run and scene."""
    rng = np.random.default_rng(11)
    of_fold, of_run, of_scene, of_cell = spread
    shape = (count, folds, seeds, scenes)
    differences = (
        difference
        + of_fold * rng.normal(size=(count, folds, 1, 1))
        + of_run * rng.normal(size=(count, folds, seeds, 1))
        + of_scene * rng.normal(size=(count, folds, 1, scenes))
        + of_cell * rng.normal(size=shape)
    )
    return [list(one) for one in differences]


def verdict_of(folds: list[np.ndarray]) -> str:
    finding = find_over_folds(folds, worth_naming("gt_mean.psnr"))
    return decide(finding, finding.p, finding.p_same)


def shares(difference: float, spread: tuple[float, ...], **size: int) -> dict[str, float]:
    found = [verdict_of(one) for one in simulated(difference, spread, 500, **size)]
    return {verdict: found.count(verdict) / len(found) for verdict in set(found)}


@pytest.mark.parametrize(
    ("spread", "size"),
    [*((spread, RUNS) for spread in SPREADS), (SPREADS[2], {"folds": 4, "seeds": 2, "scenes": 100})],
)
def test_false_findings_are_as_rare_as_promised(spread: tuple[float, ...], size: dict[str, int]) -> None:
    found = shares(0.0, spread, **size)
    assert found.get("supported", 0) + found.get("contradicted", 0) <= 0.065  # 0.05, and chance
    # A difference that is just worth naming is called none as rarely.
    assert shares(0.1, spread, **size).get("no difference", 0) <= 0.065


@pytest.mark.parametrize("spread", [(0.0, 0.1, 0.5, 0.2), (0.05, 0.1, 0.5, 0.2), (0.1, 0.05, 0.5, 0.2)])
def test_a_true_difference_of_a_fifth_of_a_decibel_is_found(spread: tuple[float, ...]) -> None:
    assert shares(0.2, spread, **RUNS)["supported"] >= 0.8
    assert shares(-0.2, spread, **RUNS)["contradicted"] >= 0.8


def test_no_difference_is_found_where_runs_scatter_little() -> None:
    assert shares(0.0, (0.02, 0.04, 0.3, 0.2), **RUNS)["no difference"] >= 0.8
    assert shares(0.03, (0.0, 0.02, 0.2, 0.1), **RUNS)["no difference"] >= 0.8  # true, but not worth naming


def test_the_test_over_folds_is_that_of_student() -> None:
    folds = simulated(0.1, (0.3, 0.1, 0.2, 0.1), 1, 5, 2, 20)[0]
    finding, theirs = find_over_folds(folds, 1.0), ttest_1samp([fold.mean() for fold in folds], 0)
    assert finding.p == finding.p_whole == pytest.approx(theirs.pvalue)
    assert finding.whole == pytest.approx(tuple(theirs.confidence_interval()))
    assert finding.parts == pytest.approx([fold.mean() for fold in folds]) and finding.unit == "fold"
    upper = ttest_1samp([fold.mean() for fold in folds], 1.0, alternative="less").pvalue
    lower = ttest_1samp([fold.mean() for fold in folds], -1.0, alternative="greater").pvalue
    assert finding.p_same == pytest.approx(max(upper, lower))


def test_folds_that_agree_by_chance_do_not_decide() -> None:
    rng = np.random.default_rng(0)
    folds = [rng.normal(0, 1, (1, 20)) for _ in range(3)]
    folds = [fold - fold.mean() + 0.1 + 1e-6 * k for k, fold in enumerate(folds)]
    finding = find_over_folds(folds, 0.1)
    assert finding.p_whole < 1e-6 and finding.p == finding.p_scenes > 0.3
    assert finding.whole == finding.scenes


def test_the_spread_is_taken_apart() -> None:
    folds = simulated(0.0, (0.3, 0.2, 0.5, 0.0), 1, 200, 3, 200)[0]
    spread = find_over_folds(folds).spread
    assert spread is not None and spread.runs is not None
    assert spread.runs == pytest.approx(0.2, rel=0.1) and spread.scenes == pytest.approx(0.5, rel=0.05)
    assert spread.folds == pytest.approx(np.sqrt(0.3**2 + 0.2**2 / 3 + 0.5**2 / 200), rel=0.15)
    assert find_over_folds([fold[:1] for fold in folds]).spread[1] is None  # type: ignore[index]


def test_what_is_not_worth_naming_depends_on_the_metric() -> None:
    assert (worth_naming("raw.psnr"), worth_naming("gt_mean.lpips")) == (0.1, 0.003)
    assert worth_naming("raw.ssim") is None
    assert find_over_folds([np.zeros((1, 9))] * 3).p_same == 1


@pytest.mark.parametrize(
    ("mean", "p", "p_same", "expected"),
    [
        (0.05, 0.01, 0.04, "no difference"),
        (0.05, 0.01, 0.2, "supported"),
        (-0.05, 0.01, 0.2, "contradicted"),
        (0.2, 0.06, 0.9, "undecided"),
        (-0.2, 0.06, 0.9, "undecided"),
    ],
)
def test_verdicts_by_hand(mean: float, p: float, p_same: float, expected: str) -> None:
    finding = Finding(mean, (mean,), (0, 0), (0, 0), p, p, "fold", p_same)
    assert decide(finding, p, p_same) == expected


def planted(gains: dict[int, float], lpips: float = 0.0) -> tuple[Plan, list[Scored]]:
    """A beats B by a gain for each number of steps."""
    a, b = Arm("a", "A"), Arm("b", "B")
    claim = Claim("Everywhere.", "the paper", tuple(better(a, b, n) for n in gains))
    plan = Plan("Title", (a, b), tuple(Cell(arm, n) for arm in "ab" for n in gains), (claim,), "gt_mean.psnr")
    rng = np.random.default_rng(2)
    scored = []
    for fold in range(4):
        base = rng.normal(25, 3, 30)
        for cell in plan.cells:
            gain = gains[cell.steps] if cell.arm == "a" else 0.0
            values = base + gain + rng.normal(0, 0.02, 30)
            pictures = {
                f"{fold}-{k}": {
                    "gt_mean.psnr": v,
                    "gt_mean.lpips": 0.2 - lpips * (cell.arm == "a") + 1e-5 * v,
                }
                for k, v in enumerate(values)
            }
            scenes = {name: name for name in pictures}
            scored.append(Scored(cell, fold, "runs/x", "0", "ddim", pictures, scenes, fold=fold))
    return plan, scored


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ({4: 0.5, 2: 0.3}, "supported"),
        ({4: 0.5, 2: 0.0}, "no difference"),
        ({4: 0.5, 2: -0.5}, "contradicted"),
    ],
)
def test_a_claim_is_as_good_as_its_weakest_comparison(gains: dict[int, float], expected: str) -> None:
    assert verdicts(judge(*planted(gains))) == {"Everywhere.": expected}


def test_a_comparison_takes_the_folds_that_both_arms_have() -> None:
    plan, scored = planted({4: 0.5, 2: 0.3})
    lacking = [one for one in scored if (one.cell, one.fold) != (Cell("b", 2), 1)]
    at_4, at_2 = judge(plan, lacking)
    assert (at_4.folds, at_4.scenes) == ((0, 1, 2, 3), 120) and (at_2.folds, at_2.scenes) == ((0, 2, 3), 90)
    alone = [one for one in scored if one.fold != 1]
    assert at_2.finding == judge(plan, alone)[1].finding


def test_what_is_finished_without_folds() -> None:
    a, b, c = Arm("a", "A"), Arm("b", "B"), Arm("c", "C")
    claims = (
        Claim("Twice.", "", (better(a, b, 2), better(a, c, 2))),
        Claim("Never.", "", (better(b, c, 2),)),
    )
    plan = Plan("Title", (a, b, c), tuple(Cell(arm, 2) for arm in "abc"), claims)
    there = Finished(plan, (frozenset("ab"),), folds=0)
    assert there.describe() == ["finished: A; B", "missing: C"] and not there.whole
    judged = there.judged()
    assert [claim.text for claim in judged.claims] == ["Twice. [partial: 1 of 2 comparisons]"]
    assert judged.title == "Title (partial)" and [arm.key for arm in judged.arms] == ["a", "b"]
    assert judged.cells == there.cells(0) == (Cell("a", 2), Cell("b", 2))
    assert Finished(plan, (frozenset("abc"),), folds=0).whole


def test_both_metrics_are_named() -> None:
    plan, scored = planted({2: 0.5}, lpips=-0.02)
    both = {m: judge(Plan(plan.title, plan.arms, plan.cells, plan.claims, m), scored)
            for m in ("gt_mean.psnr", "gt_mean.lpips")}  # fmt: skip
    assert in_words(both) == {"Everywhere.": "supported by GT-mean PSNR, contradicted by GT-mean LPIPS"}


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("folds")
    write(where, SMALL, train=9, test=2, coarse=(3, 4))
    return where


FOLDS = ("figure6", "-c", "tiny.yaml", "--seeds", "0", "--steps", "2", "--folds", "3")
OUT = Path("runs/reproduce/figure6-tiny-3folds")


@pytest.fixture
def done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Figure 6 over three folds, trained once for all tests of this file."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    if not (OUT / "index.html").exists():
        reproduce(*FOLDS)
    return folder


def rows(name: str) -> list[dict[str, str]]:
    with (OUT / name).open() as file:
        return list(csv.DictReader(file))


def test_every_training_picture_is_tested_once_by_networks_that_have_not_seen_it(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [row for row in rows("pictures.csv") if (row["arm"], row["steps"]) == ("ReDDiT", "2")]
    assert sorted(row["picture"] for row in pictures) == [f"our485-{k}" for k in range(9)]
    assert {row["run"] for row in pictures} == {
        f"runs/reproduce/tiny/full-{k + 1}of3-seed{k}-2" for k in range(3)
    }
    teachers = {row["run"] for row in rows("pictures.csv") if row["arm"] == "teacher, DDIM"}
    assert teachers == {f"runs/reproduce/tiny/teacher-{k}of3" for k in (1, 2, 3)}
    test = next(row for row in rows("test_set.csv") if row["arm"] == "ReDDiT")
    assert (test["pictures"], test["scenes"], test["seeds"]) == ("2", "2", "3")
    page = (OUT / "index.html").read_text()
    for words in ("3 of 9 scenes", "The same networks on the test set", "GT-mean PSNR", "two one-sided"):
        assert words in page
    assert "seen in training or selection</dt><dd>none" in page.replace("\n", "")


def refuse(*arguments: object, **named: object) -> None:
    raise AssertionError("nothing should be trained or scored again")


def test_a_second_call_redraws_from_kept_scores(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((training, "distill_stage"), (training, "train_teacher"), (scoring, "evaluate")):
        monkeypatch.setattr(module, name, refuse)
    before = {path.name: path.read_bytes() for path in OUT.iterdir()}
    for path in OUT.iterdir():
        path.unlink()
    start = time.perf_counter()
    reproduce(*FOLDS)
    assert time.perf_counter() - start < 60
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == before


def test_the_first_arms_are_whole_before_the_next_begin(done: Path) -> None:
    choice = Choice("tiny.yaml", ("name=fresh",), (0, 1), folds=3)
    runs = prepare("figure6", choice, (2, 1), log=lambda line: None).pending()
    arms = [run.arm.key for run in runs]
    assert (
        arms == ["full"] * 3 * 5 + ["no-ratr"] * 3 * 4 + ["no-distillation"] * 3 * 4
    )  # five with the teacher
    assert len({run.seed for run in runs if run.teacher}) == 6
    for place, run in enumerate(runs):
        assert run.teacher is None or run.teacher.name in {earlier.name for earlier in runs[:place]}
        assert (run.config.data.folds, run.config.data.fold) == (3, run.seed % 3)


def test_what_is_finished_is_judged_and_what_is_missing_is_named(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One arm is whole, one lacks a fold, one all: two of three folds, one of two claims."""
    for module, name in ((training, "distill_stage"), (training, "train_teacher"), (scoring, "evaluate")):
        monkeypatch.setattr(module, name, refuse)
    names = ("no-ratr-2of3-seed1-2", *(f"no-distillation-{k + 1}of3-seed{k}-2" for k in range(3)))
    for name in names:
        (Path("runs/reproduce/tiny") / name).rename(name)
    whole = {path.name: path.read_bytes() for path in OUT.iterdir()}
    try:
        reproduce(*FOLDS, "--partial")
        said = capsys.readouterr().out
        with pytest.raises(AssertionError, match="nothing should be trained"):
            reproduce(*FOLDS)  # without the option, what is missing is trained
        for name in names[:1]:
            Path(name).rename(Path("runs/reproduce/tiny") / name)
        for name in ("full-1of3-seed0-2", "full-2of3-seed1-2"):
            (Path("runs/reproduce/tiny") / name).rename(name)
        with pytest.raises(UserError, match=r"no comparison has both arms finished in 2 folds yet"):
            reproduce(*FOLDS, "--partial")
    finally:
        for name in (*names, "full-1of3-seed0-2", "full-2of3-seed1-2"):
            if Path(name).exists():
                Path(name).rename(Path("runs/reproduce/tiny") / name)
    for line in ("finished in folds 1 2 3 of 3: ReDDiT; teacher, DDIM", "finished in folds 1 3 of 3: no RATR",
                 "finished in no fold: GT only",
                 "number of steps. [partial: 1 of 1 comparison; folds 1 3 of 3]"):  # fmt: skip
        assert line in said
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == whole  # it has a folder of its own
    out = Path(f"{OUT}-partial")
    (row,) = csv.DictReader((out / "verdicts.csv").open())
    assert (row["folds"], row["scenes"]) == ("1 3", "6") and row["folds_agreeing"].endswith("of 2")
    page, table = (out / "index.html").read_text(), (out / "verdicts.md").read_text()
    assert "by steps (partial)" in page and "by steps (partial)" in table
    assert "finished in no fold: GT only" in page and "not all of them finished, of 9 scenes" in page
    assert "| ReDDiT − no RATR, 2 steps |" in table and "95 % by GT-mean PSNR" in table
    assert "- partial: finished in folds 1 2 3 of 3" in table and "All comparisons" in page


def test_if_nothing_is_missing_the_whole_is_judged(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reproduce(*FOLDS, "--partial")
    said = capsys.readouterr().out
    assert "partial" not in said and f"{OUT}/index.html" in said
    table = (OUT / "verdicts.md").read_text()
    assert table.count("| 1 2 3 |") == 2 and "partial" not in table  # no RATR, GT only


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("figure6", "--folds", "2"), "--folds 2: must be at least 3"),
        (("table4", "--folds", "4"), "measures times"),
        (("figure6", "--folds", "10"), "only 9 scenes"),
    ],
)
def test_mistakes_are_named(done: Path, arguments: tuple[str, ...], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        reproduce(*arguments, "-c", "tiny.yaml")
