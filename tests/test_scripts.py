"""The commands of the README, as a user types them, on a data set of a few tiny pictures."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from repository import ROOT, call
from safetensors.torch import load_file
from tiny_set import TINY, write

from reddit.checkpoint.format import read_info
from reddit.checkpoint.registry import find_model
from reddit.config import load_config
from reddit.evaluation.family import family_models
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.utils.errors import UserError

SIXTEEN = TINY | {
    "device": "auto",
    "data": {"dataset": "lolv1", "crop": 32, "validation": 0.3},
    "diffusion": {"zero_terminal_snr": True},
    "train": {"iterations": 4, "batch_size": 2, "validate_every": 2, "checkpoint_every": 2, "log_every": 1},
    "distill": {"reddit": {"w_per": 0.0}, "train": {"iterations": 3, "batch_size": 2}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a tiny LOL-v1 and a configuration, and a trained and distilled family."""
    where = tmp_path_factory.mktemp("work")
    write(where, SIXTEEN, train=6, test=2, coarse=(6, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        patch.delenv("REDDIT_DATA", raising=False)
        call("train", "-c", "tiny.yaml", "--quiet")
        call("distill", "--steps", "8", "--quiet")
        call("distill", "-c", "tiny.yaml", "--chain", "--quiet")
    return where


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    return folder


def test_the_files_of_run_folders(folder: Path) -> None:
    for name, steps, method in (("tiny", 16, "teacher"), ("tiny-8", 8, "reddit"), ("tiny-1", 1, "reddit")):
        run = folder / "runs" / name
        assert yaml.safe_load((run / "config.yaml").read_text())["name"] == "tiny"
        for weights in ("best", "last"):
            info = read_info(run / "checkpoints" / f"{weights}.safetensors")
            assert (info.steps, info.method, info.family) == (steps, method, "tiny")
            assert len(info.training_pictures) == 2 * 6  # lows and highs, those of validation too
        assert (run / "checkpoints" / "state.pt").exists()
        assert list((run / "tb").iterdir())
        assert {json.loads(line)["kind"] for line in (run / "log.jsonl").read_text().splitlines()} == {
            "train",
            "validation",
        }


def test_distil_finds_the_teacher_and_prints_it(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("distill", "--steps", "4", "--quiet", "--name", "again")
    said = capsys.readouterr().out
    assert "runs/tiny-8/checkpoints/best.safetensors" in said and "8 steps" in said
    assert read_info("runs/again/checkpoints/last.safetensors").steps == 4


def test_a_variant_under_another_name_does_not_stand_for_its_family(inside: Path) -> None:
    call("distill", "--steps", "4", "--teacher", "tiny-8", "--name", "variant", "--quiet")
    models = family_models(load_config("tiny.yaml"), "tiny")
    runs = [model.path.parent.parent.name for model in models]
    assert runs == ["tiny", "tiny-8", "tiny-4", "tiny-2", "tiny-1"]
    found = find_model(Path("runs"), 4)
    assert found is not None and found.path.parent.parent.name == "tiny-4"


def test_a_teacher_starts_from_weights(inside: Path) -> None:
    settings = ["teacher.init=tiny-8", "train.lr=1e-30", "train.iterations=1", "data.split_seed=1"]
    call("train", "-c", "tiny.yaml", "--name", "further", "--quiet", "--set", *settings)
    start, end = (load_file(f"runs/{run}/checkpoints/best.safetensors") for run in ("tiny-8", "further"))
    assert all(torch.equal(start[key], end[key]) for key in start)
    info = read_info("runs/further/checkpoints/best.safetensors")
    assert (info.steps, info.method, info.family) == (16, "teacher", "further")
    with pytest.raises(UserError, match=r"teacher\.init: .* holds another network"):
        call(
            "train", "-c", "tiny.yaml", "--name", "other", "--set", "teacher.init=tiny", "model.prediction=x0"
        )


def test_distil_without_a_teacher_names_the_remedy(inside: Path) -> None:
    with pytest.raises(UserError, match=r"no 64-step model.*halving 16 steps reaches 8, 4, 2, 1"):
        call("distill", "--steps", "32")
    with pytest.raises(UserError, match=r"no 8-step model.*--chain"):
        call("distill", "--steps", "4", "--set", "runs=none")


def test_a_student_of_another_teacher_is_not_resumed(inside: Path) -> None:
    call("train", "-c", "tiny.yaml", "--name", "other-teacher", "--quiet")
    with pytest.raises(UserError, match="student of another teacher"):
        call("distill", "--steps", "8", "--name", "tiny-8", "--teacher", "other-teacher", "--quiet")


def test_a_teacher_of_the_wrong_steps_is_refused(inside: Path) -> None:
    with pytest.raises(UserError, match="model of 8 steps: it can teach 4, not 2"):
        call("distill", "--steps", "2", "--teacher", "tiny-8")


def test_another_network_than_the_teachers_is_refused(inside: Path) -> None:
    with pytest.raises(UserError, match="model: the configuration differs"):
        call("distill", "--steps", "8", "-c", "tiny.yaml", "--set", "model.width=16", "--name", "other")
    assert not (inside / "runs" / "other").exists()


def test_running_again_resumes(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "-c", "tiny.yaml", "--name", "resumed", "--quiet"]
    call(*command)
    call(*command, "--set", "train.iterations=6")
    said = capsys.readouterr().out
    assert "resuming from" in said and "train.iterations" in said
    assert read_info("runs/resumed/checkpoints/last.safetensors").iteration == 6
    with pytest.raises(UserError, match="already holds a run"):
        call(*command, "--resume", "none")


def test_weights_without_a_state_are_not_replaced(inside: Path) -> None:
    command = ["train", "-c", "tiny.yaml", "--name", "bare", "--quiet"]
    call(*command)
    checkpoints = inside / "runs/bare/checkpoints"
    (checkpoints / "state.pt").unlink()
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    with pytest.raises(UserError, match=r"^\S+best\.safetensors would be replaced: its run has no state\.pt"):
        call(*command)
    with pytest.raises(UserError, match=r"already holds a run: choose another --name, or move the folder"):
        call(*command, "--resume", "none")
    (checkpoints / "best.safetensors").rename(inside / "best")
    with pytest.raises(UserError, match=r"last\.safetensors would be replaced"):
        call(*command)
    (inside / "best").rename(checkpoints / "best.safetensors")
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


def test_a_chain_continues_from_stages_without_a_state(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = ["distill", "-c", "tiny.yaml", "--chain", "--name", "lost", "--quiet"]
    call(*chain, "--steps", "4")
    kept = [inside / f"runs/lost-{steps}/checkpoints/best.safetensors" for steps in (8, 4)]
    before = [path.read_bytes() for path in kept]
    for path in kept:
        path.with_name("state.pt").unlink()
    capsys.readouterr()
    call(*chain, "--steps", "2")
    assert capsys.readouterr().out.count("already finished, at iteration 3; its weights are kept") == 2
    assert [path.read_bytes() for path in kept] == before
    assert read_info("runs/lost-2/checkpoints/best.safetensors").steps == 2
    with pytest.raises(UserError, match="would be replaced"):  # longer than it was trained
        call(*chain, "--steps", "4", "--set", "train.iterations=5")


def test_dry_run_prints_the_resolved_configuration(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("train", "-c", "tiny.yaml", "-n", "--set", "train.lr=3e-4", "--name", "never")
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["train"]["lr"] == pytest.approx(3e-4) and resolved["data"]["crop"] == 32
    assert not (inside / "runs" / "never").exists()


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


def test_enhance_writes_pictures_of_the_same_size(inside: Path) -> None:
    call("enhance", "-i", "data/LOLv1/eval15/low", "-o", "bright", "--weights", "tiny-2", "--quiet")
    for path in Path("data/LOLv1/eval15/low").iterdir():
        assert read_uint8(Path("bright") / path.name).shape == read_uint8(path).shape


def test_enhance_continues_after_a_damaged_file(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed = inside / "mixed"
    mixed.mkdir()
    good = next((inside / "data/LOLv1/eval15/low").iterdir())
    (mixed / "good.png").write_bytes(good.read_bytes())
    (mixed / "bad.png").write_bytes(good.read_bytes()[:60])
    command = ["enhance", "-i", "mixed", "-o", "mixed-out", "--weights", "tiny-1", "--quiet"]
    assert call(*command) == 1
    assert Path("mixed-out/good.png").exists()
    said = capsys.readouterr()
    assert said.out == "1 picture in mixed-out (tiny-1, 1 step, PyTorch); 1 failed\n"
    lines = said.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: mixed/bad.png ")
    assert call(*command) == 1
    assert (
        "0 pictures in mixed-out (tiny-1, 1 step, PyTorch); 1 existing result kept" in capsys.readouterr().out
    )
    with pytest.raises(UserError, match=r"^mixed/bad\.png "):  # a single file: exit code 2
        call("enhance", "-i", "mixed/bad.png", "-o", "mixed-out", "--weights", "tiny-1", "--quiet")


def test_enhance_warns_of_lit_pictures_in_one_line(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "day").mkdir()
    (inside / "day" / "day.png").write_bytes(encode(np.full((16, 16, 3), 180, np.uint8)))
    command = ["enhance", "-i", "day", "-o", "day-out", "--weights", "tiny-1", "--quiet"]
    assert call(*command) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: day/day.png is not dark (mean luminance 0.71, dark is up to 0.24): left unchanged; "
        "--force (guard=False) enhances it fully"
    ]
    assert call(*command, "--overwrite", "--force") == 0
    assert capsys.readouterr().err == ""
    assert read_uint8(Path("day-out/day.png")).min() != 180


def test_enhance_needs_no_model_and_no_flag(
    inside: Path, light_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", tmp_path)
    for steps in (2, 4):
        (tmp_path / f"light-{steps}.safetensors").write_bytes(light_weights.read_bytes())
    photo = "data/LOLv1/eval15/low/eval15-0.png"
    assert call("enhance", "-i", photo, "-o", "plain", "--quiet") == 0
    assert call("enhance", "-i", photo, "-o", "plain", "--quiet", "--steps", "4", "--suffix", "4") == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"1 picture in plain (light-{n}, {n} steps, PyTorch)" for n in (2, 4)]
    assert {path.name for path in Path("plain").iterdir()} == {"eval15-0.png", "eval15-0_4.png"}


def test_the_older_flag_checkpoint_still_works(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = "data/LOLv1/eval15/low/eval15-0.png"
    assert call("enhance", "-i", photo, "-o", "older", "--checkpoint", "tiny-2", "--quiet") == 0
    with pytest.raises(SystemExit):
        call("enhance", "--help")
    assert "--weights" in (said := capsys.readouterr().out) and "--checkpoint" not in said


def test_enhance_never_overwrites_an_original(inside: Path) -> None:
    low = inside / "data/LOLv1/eval15/low"
    with pytest.raises(UserError, match="would overwrite its original"):
        call("enhance", "-i", str(low), "-o", str(low), "--weights", "tiny-1")


def test_report_has_a_row_for_every_step_count(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("report", "-c", "tiny.yaml", "--metrics", "psnr", "ssim", "--quiet", "--others", "light")
    said = capsys.readouterr().out
    line = r"light-1, 1 step, trained on 12,\d{3} pictures: [+-]\d+\.\d\d dB raw against student, 1 step, "
    assert re.search(line + r"trained on 12\n", said)
    with (inside / "runs/tiny/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["16", "8", "4", "2", "1"]
    for column in ("psnr_raw", "ssim_raw", "psnr_gt_mean", "ssim_gt_mean", "ms_per_image", "parameters"):
        assert all(float(row[column]) > 0 for row in rows), column
    page = (inside / "runs/tiny/report.html").read_text()
    assert "2 test pictures, not used in training or validation" in page
    assert page.count("<svg") >= 10 and "http://" not in page and 'src="http' not in page
    assert "<option>light-1, 1 step</option>" in page and "<option selected>student, 1 step</option>" in page


def test_report_warns_of_test_pictures_seen_in_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDDIT_DATA", str(folder / "data"))
    shutil.copytree(folder / "runs/tiny", "runs/tiny")
    shutil.copy(folder / "tiny.yaml", tmp_path)
    on_test = ["--set", "train.select_on_test=true"]
    call("distill", "-c", "tiny.yaml", "--steps", "8", "--name", "odd", "--quiet", *on_test)
    call("report", "-c", "tiny.yaml", "--metrics", "psnr", "--quiet")
    warning = "odd, 8 steps was trained or validated on 2 of the test pictures"
    page = Path("runs/tiny/report.html").read_text()
    assert warning in capsys.readouterr().out and warning in page
    assert "not used in training" not in page and "teacher, 16 steps was trained" not in page


def test_a_run_is_not_resumed_with_another_network(inside: Path) -> None:
    before = Path("runs/tiny/config.yaml").read_bytes()
    with pytest.raises(UserError, match=r"runs/tiny holds a run of another network \(model\.width changed"):
        call("train", "-c", "tiny.yaml", "--quiet", "--set", "model.width=16")
    assert Path("runs/tiny/config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["name=../escaped"], "is outside the folder of runs"),
        (["name=fresh", "data.root=nowhere"], "nowhere"),
        (["name=fresh", "precision=fp16", "device=cpu"], "fp16 needs a GPU"),
    ],
)
def test_runs_that_cannot_begin_leave_nothing(inside: Path, settings: list[str], message: str) -> None:
    before = sorted(Path("runs").iterdir())
    with pytest.raises(UserError, match=message):
        call("train", "-c", "tiny.yaml", "--quiet", "--set", *settings)
    assert sorted(Path("runs").iterdir()) == before and not Path("escaped").exists()


@pytest.mark.parametrize(("redirect", "code"), [(">/dev/full", 2), (">&-", 0)])
def test_an_output_that_cannot_be_written(inside: Path, redirect: str, code: int) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = [sys.executable, str(ROOT / "scripts/train_teacher.py"), "-c", "tiny.yaml", "--dry-run"]
    command = f"{shlex.join(words)} {redirect}"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code and len(done.stderr.splitlines()) == bool(code), done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train_teacher.py", "-c", "tiny.yaml", "--set", "train.itertions=5"], "--set: train.itertions"),
        (["train_teacher.py", "-c", "tiny.yaml", "--set", "data.root=nowhere"], "LOLv1/our485/low"),
        (["evaluate.py", "--dataset", "lolv2_real", "--weights", "tiny"], "LOLv2/Real_captured/Test"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_2(inside: Path, arguments: list[str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / arguments[0]), *arguments[1:]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: ") and expected in lines[0], done.stderr


def test_export_overwrites_only_earlier_exports(inside: Path) -> None:
    model = inside / "runs/tiny-2/checkpoints/best.safetensors"
    other = inside / "runs/tiny-4/checkpoints/best.safetensors"
    before = model.read_bytes(), other.read_bytes()
    for output, said in (
        (model, "is the model itself"),
        (other, "exists and is not an earlier result"),
        (inside / "runs/tiny-4/../tiny-2/checkpoints/best.safetensors", "is the model itself"),
    ):
        with pytest.raises(UserError, match=said):
            call("export", "--weights", "tiny-2", "-o", str(output))
    assert (model.read_bytes(), other.read_bytes()) == before
    for _ in range(2):
        call("export", "--weights", "tiny-2", "-o", "again.safetensors")
    (inside / "notes.safetensors").write_text("mine")
    with pytest.raises(UserError, match="not an earlier result"):
        call("export", "--weights", "tiny-2", "-o", "notes.safetensors")


def test_export_halves_the_precision_and_keeps_the_metadata(inside: Path) -> None:
    call("export", "--weights", "tiny-2", "-o", "small.safetensors")
    small, whole = read_info("small.safetensors"), read_info("runs/tiny-2/checkpoints/best.safetensors")
    assert (small.config, small.steps, small.family) == (whole.config, whole.steps, whole.family)
    assert small.training_pictures == whole.training_pictures
    assert Path("small.safetensors").stat().st_size < 0.7 * whole.path.stat().st_size
    for name, model in (("by-small", "small.safetensors"), ("by-whole", "tiny-2")):
        call("enhance", "-i", "data/LOLv1/eval15/low", "-o", name, "--weights", model, "--quiet")
    for path in Path("by-small").iterdir():
        difference = read_uint8(path).astype(int) - read_uint8(Path("by-whole") / path.name)
        assert abs(difference).max() <= 3


def test_a_student_of_an_ablations_student_belongs_to_it(inside: Path) -> None:
    call("distill", "-c", "tiny.yaml", "--steps", "8", "--ablation", "no-pixel", "--quiet")
    call("distill", "--teacher", "tiny-no-pixel-8", "--steps", "4", "--quiet")
    assert read_info("runs/tiny-no-pixel-4/checkpoints/best.safetensors").config.ablation == "no-pixel"
    model = find_model(Path("runs"), 4, "tiny")
    assert model is not None and model.config.ablation is None
    words = ["--teacher", "tiny-no-pixel-8", "--steps", "4", "--ablation", "no-ratr", "--quiet"]
    with pytest.raises(UserError, match="belongs to the ablation no-pixel"):
        call("distill", *words)
