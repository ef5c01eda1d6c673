"""`reddit-llie evaluate`: scores, tables, warnings."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from repository import call

from reddit.utils.errors import UserError


def test_evaluate_writes_scores(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(
        "evaluate", "--dataset", "lolv1", "--weights", "runs/tiny-2", "--metrics", "psnr", "ssim",
        "--json", "out/scores.json", "--save", "out/pictures", "--html", "out/page.html", "--seeds", "0", "1",
        "--time", "--quiet",
    )  # fmt: skip
    scores = json.loads(Path("out/scores.json").read_text())
    assert scores["dataset"] == "lolv1" and scores["protocol"] == "standard" and scores["images"] == 2
    assert len(scores["per_image"]) == 2
    mean = sum(p["raw"]["psnr"] for p in scores["per_image"]) / 2
    assert scores["raw"]["psnr"] == pytest.approx(mean)
    assert len(list(Path("out/pictures").glob("*.png"))) == 2
    page = Path("out/page.html").read_text()
    assert "<html" in page and page.count("<small>seed 0</small>") == 2
    said = capsys.readouterr().out
    assert "protocol standard" in said and "tiny-2, 2 steps" in said
    assert "frames/s" in said and "Teacher-16" in said and "HVI-CIDNet" in said


@pytest.mark.parametrize(("form", "mark"), [("latex", "% protocol"), ("md", "protocol"), ("csv", "")])
def test_every_table_has_the_settings_of_its_scores(
    inside: Path, capsys: pytest.CaptureFixture[str], form: str, mark: str
) -> None:
    call(
        "evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--metrics", "psnr", "ssim", "--quiet",
        "--format", form,
    )  # fmt: skip
    said = capsys.readouterr()
    if form == "csv":  # a clean table on stdout
        rows = list(csv.DictReader(said.out.splitlines()))
        assert float(rows[0]["psnr_raw"]) > 0 and "protocol standard" in said.err
    else:
        assert said.out.startswith(mark) and "tiny-1, 1 step" in said.out


def test_saved_pictures_score_as_they_did_in_memory(inside: Path) -> None:
    call(
        "evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--metrics", "psnr", "ssim",
        "--json", "a.json", "--save", "saved", "--quiet",
    )  # fmt: skip
    call(
        "evaluate", "--dataset", "lolv1", "--predictions", "saved", "--metrics", "psnr", "ssim",
        "--json", "b.json", "--html", "b.html", "--quiet",
    )  # fmt: skip
    page = Path("b.html").read_text()
    assert page.count("<article") == 2 and "<small>" not in page  # no seed of ours
    ours, theirs = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    assert ours["raw"] == pytest.approx(theirs["raw"], abs=1e-9)
    assert ours["gt_mean"] == pytest.approx(theirs["gt_mean"], abs=1e-9)


def test_the_mean_of_samples_scores_as_one_picture(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--metrics", "psnr", "--quiet")
    call(*model, "--seeds", "3", "4", "--average", "--json", "mean.json", "--html", "mean.html")
    assert Path("mean.html").read_text().count("<small>mean of seeds 3 4</small>") == 2
    assert "average over seeds 3 4" in capsys.readouterr().out
    call(*model, "--seeds", "3", "4", "--json", "each.json")
    mean, each = (json.loads(Path(name).read_text()) for name in ("mean.json", "each.json"))
    assert mean["raw"]["psnr"] > each["raw"]["psnr"]
    with pytest.raises(UserError, match="two --seeds"):
        call(*model, "--average")


def test_validation_scores_the_pairs_that_chose_the_weights(
    inside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("evaluate", "--dataset", "lolv1", "--weights", "tiny", "--metrics", "psnr", "--steps", "1")
    call(*model, "--validation", "--quiet", "--json", "held-out.json")
    scored = json.loads(Path("held-out.json").read_text())
    assert scored["dataset"] == "lolv1 validation" and scored["images"] == 2
    assert "HVI-CIDNet" not in capsys.readouterr().out  # published scores are the test set's
    shutil.copytree("data", tmp_path / "data")
    for side in ("low", "high"):
        (tmp_path / f"data/LOLv1/our485/{side}/{scored['per_image'][0]['name']}.png").unlink()
    with pytest.raises(UserError, match=r"not all in .*data\.root"):
        call(*model, "--validation", "--quiet", "--set", f"data.root={tmp_path / 'data'}")


def test_validation_of_a_mixture_is_scored_part_by_part(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("data/LOLv1/our485/high", "data/photos/good")
    mix = "data.mix=[{dataset: lolv1}, {dataset: photos, folder: photos/good}, {dataset: nights}]"
    network = "model={architecture: compact, width: 8, multipliers: [1, 2], blocks: 1, unshuffle: 2}"
    settings = (mix, network, "train.validation_pictures=1")
    call("train", "-c", "tiny.yaml", "--name", "mixed", "--quiet", "--set", *settings)
    model = ("evaluate", "--weights", "mixed", "--metrics", "psnr", "--steps", "1", "--quiet")
    call(*model, "--dataset", "lolv1", "--validation", "--json", "mixed.json")
    scored = json.loads(Path("mixed.json").read_text())
    counts = {name: part["images"] for name, part in scored["apart"].items()}
    assert counts == {"lolv1": 2, "photos/good": 3, "nights": 4}
    weighed = sum(part["images"] * part["raw"]["psnr"] for part in scored["apart"].values())
    assert weighed / 9 == pytest.approx(scored["raw"]["psnr"])
    assert "4 pictures of nights: raw.psnr" in capsys.readouterr().out
    next(Path("data/photos/good").iterdir()).unlink()
    with pytest.raises(UserError, match=r"not all in .*data\.root"):
        call(*model, "--dataset", "lolv1", "--validation")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "tiny", "--set", "precision=fp32"], "a trained model keeps its settings; --steps"),
        (["--predictions", "data/LOLv1/eval15/low", "--time"], "--time: only for models"),
    ],
)
def test_evaluate_refuses_flags_without_effect(inside: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call("evaluate", "--dataset", "lolv1", "--quiet", *arguments)


def test_scores_are_shown_before_they_are_written(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    with pytest.raises(UserError, match="cannot write file/x"):
        call(
            "evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--metrics", "psnr", "--quiet",
            "--json", "file/x.json",
        )  # fmt: skip
    assert "tiny-1, 1 step" in capsys.readouterr().out


def test_evaluate_warns_of_pictures_seen_in_training(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = sorted((inside / "data/LOLv1/our485/low").iterdir())
    for side in ("low", "high"):
        target = inside / "overlap" / "LOLv1" / "eval15" / side
        target.mkdir(parents=True, exist_ok=True)
        for path in seen:
            (target / path.name).write_bytes((inside / "data/LOLv1/our485" / side / path.name).read_bytes())
    call(
        "evaluate", "--dataset", "lolv1", "--weights", "tiny", "--metrics", "psnr", "--steps", "1",
        "--set", "data.root=overlap", "--quiet",
    )  # fmt: skip
    assert "test pictures were in the training set" in capsys.readouterr().err


def test_a_damaged_test_picture_is_named_and_left_out(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("data/LOLv1/eval15", "damaged/LOLv1/eval15")
    Path("damaged/LOLv1/eval15/low/eval15-0.png").write_bytes(b"no picture")
    scoring = ["evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--metrics", "psnr", "--quiet"]
    assert call(*scoring, "--set", "data.root=damaged", "--json", "damaged.json") == 1
    said = capsys.readouterr()
    assert "error: damaged/LOLv1/eval15/low/eval15-0.png is damaged" in said.err
    assert "1 of 2 test pictures are left out" in said.err and "incomplete 1 of 2" in said.out
    assert json.loads(Path("damaged.json").read_text())["images"] == 1
    assert call(*scoring) == 0


def test_seen_and_unseen_pictures_are_told_apart(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, name in (("our485", "our485-0.png"), ("eval15", "eval15-0.png"), ("eval15", "eval15-1.png")):
        for side in ("low", "high"):
            target = inside / "partly-seen/LOLv1/eval15" / side / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(inside / "data/LOLv1" / split / side / name, target)
    call(
        "evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--metrics", "psnr", "--quiet",
        "--set", "data.root=partly-seen", "--json", "mixed.json", "--html", "mixed.html",
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "1 picture seen in training: raw.psnr" in said and "2 pictures unseen: raw.psnr" in said
    scores = json.loads(Path("mixed.json").read_text())
    assert {p["name"] for p in scores["per_image"] if p["seen_in_training"]} == {"our485-0"}
    assert scores["apart"]["unseen"]["images"] == 2
    assert Path("mixed.html").read_text().count("<small>seen in training</small>") == 1


def test_predictions_of_a_part_of_the_test_set(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("part").mkdir()
    shutil.copy("data/LOLv1/eval15/high/eval15-1.png", "part/eval15-1.png")
    scoring = ["evaluate", "--dataset", "lolv1", "--predictions", "part", "--metrics", "psnr", "--quiet"]
    with pytest.raises(UserError, match="1 without a picture: eval15-0"):
        call(*scoring)
    call(*scoring, "--allow-missing", "--json", "part.json")
    said = capsys.readouterr()
    assert "has no picture for 1 of 2 test pictures (eval15-0)" in said.err
    assert "incomplete 1 of 2 test pictures" in said.out
    scores = json.loads(Path("part.json").read_text())
    assert scores["images"] == 1 and scores["raw"]["psnr"] == "inf"


def test_predictions_need_no_low_pictures(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("data/LOLv1/eval15/high", "truths/LOLv1/eval15/high")
    scoring = ["evaluate", "--predictions", "data/LOLv1/eval15/low", "--metrics", "psnr", "--quiet"]
    scoring += ["--html", "truths.html"]
    for name, settings in (
        ("lolv1", "data.root=truths"),
        ("pairs", "data.test_high=truths/LOLv1/eval15/high"),
    ):
        call(*scoring, "--dataset", name, "--set", settings, "--json", f"{name}.json")
    call(*scoring, "--dataset", "lolv1", "--json", "with-lows.json")
    without, pairs, whole = (
        json.loads(Path(f"{name}.json").read_text()) for name in ("lolv1", "pairs", "with-lows")
    )
    assert without["per_image"] == whole["per_image"] == pairs["per_image"]
    capsys.readouterr()
    with pytest.raises(UserError, match=r"expected .*eval15/low \+ .*eval15/high"):  # a model needs them
        call("evaluate", "--dataset", "lolv1", "--weights", "tiny-1", "--set", "data.root=truths")


def test_without_ground_truth_nothing_but_niqe_can_be_scored(inside: Path) -> None:
    shutil.copytree("data/LOLv1/eval15/low", "unpaired/DICM")
    scoring = ["evaluate", "--dataset", "dicm", "--weights", "tiny-1", "--set", "data.root=unpaired"]
    with pytest.raises(UserError, match=r"--metrics psnr ssim: dicm has no ground truth, so nothing can be"):
        call(*scoring, "--metrics", "psnr", "ssim")
