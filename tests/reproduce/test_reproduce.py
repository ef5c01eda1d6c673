from __future__ import annotations

import csv
import hashlib
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reddit.checkpoint.format import read_info
from reddit.reproduce import estimate as estimates
from reddit.reproduce import runs as training
from reddit.reproduce import scoring
from reddit.reproduce.choice import Choice
from reddit.reproduce.reproduction import Reproduction, prepare
from reddit.utils.errors import UserError

from .conftest import call, reproduce

FIGURE6 = ("figure6", "-c", "tiny.yaml", "--seeds", "0", "--steps", "2")
OUT = Path("runs/reproduce/figure6-tiny")


@pytest.fixture
def done(inside: Path) -> Path:
    """Figure 6 at 2 steps, one seed; trained once for all tests of this file."""
    if not (inside / OUT / "index.html").exists():
        reproduce(*FIGURE6)
    return inside


def refuse(*arguments: object, **named: object) -> None:
    raise AssertionError("nothing should be trained or scored again")


def rows(name: str, folder: Path = OUT) -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def prepared(target: str, *settings: str, steps: tuple[int, ...] = (2, 1), **choice: object) -> Reproduction:
    chosen = Choice("tiny.yaml", settings, **choice)  # type: ignore[arg-type]
    return prepare(target, chosen, steps, log=lambda line: None)


def test_every_number_names_its_weights(done: Path) -> None:
    pictures = rows("pictures.csv")
    assert len(pictures) == 6 * (4 + 1)  # pictures, arms at 2 steps and the teacher at 4
    for row in pictures:
        weights = (Path(row["run"]) / "checkpoints" / "best.safetensors").read_bytes()
        assert hashlib.sha256(weights).hexdigest()[:12] == row["checkpoint"]
    runs = {row["run"] for row in pictures if row["arm"] == "no RATR"}
    assert runs == {"runs/reproduce/tiny/no-ratr-seed0-2"}
    assert {row["run"] for row in pictures if row["arm"] == "teacher, DDIM"} == {"runs/tiny"}


def test_the_scores_are_those_of_evaluate(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows("summary.csv") if (row["arm"], row["steps"]) == ("teacher, DDIM", "4"))
    call(
        "evaluate", "--dataset", "lolv1", "--checkpoint", "runs/tiny", "--metrics", "psnr", "--quiet",
        "--format", "csv",
    )  # fmt: skip
    ours = next(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert row["psnr_raw"] == ours["psnr_raw"] and row["ssim_gt_mean"] == ours["ssim_gt_mean"]


def test_the_page_shows_claims_scores_and_verdicts(done: Path) -> None:
    page = (OUT / "index.html").read_text()
    for words in ("improves the student at every number", "the paper, Figure 6", "a control", "undecided",
                  "ReDDiT − no RATR, 2 steps", "Holm", "ReDDiT-2", "runs/tiny, 2 iterations"):  # fmt: skip
        assert words in page
    assert page.count("<svg") == 2 and 'src="http' not in page
    assert (OUT / "plot.png").read_bytes().startswith(b"\x89PNG") and "<svg" in (OUT / "plot.svg").read_text()


def test_a_second_call_trains_and_scores_nothing(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((training, "distill_stage"), (training, "train_teacher"), (scoring, "evaluate")):
        monkeypatch.setattr(module, name, refuse)
    before = {path.name: path.read_bytes() for path in OUT.iterdir()}
    for path in OUT.iterdir():
        path.unlink()
    reproduce(*FIGURE6)
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == before


def test_an_interrupted_run_is_resumed(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    whole = training.distill_stage

    def stage(*arguments: object, **named: object) -> object:
        trained.append(named["name"])
        if len(trained) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "distill_stage", stage)
    more = ("figure6", "-c", "tiny.yaml", "--seeds", "0", "1", "--steps", "2")
    with pytest.raises(KeyboardInterrupt):
        reproduce(*more)
    reproduce(*more)
    names = [f"reproduce/tiny/{arm}-seed1-2" for arm in ("full", "no-ratr", "no-ratr", "no-distillation")]
    assert trained == names  # neither seed 0 nor what was whole is done again


def test_the_commands_do_the_same_work(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce("figure5", "-c", "tiny.yaml", "--seeds", "0", "--steps", "2", "--commands")
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert len(lines) == 2  # the pixel loss is what figure 6 has not taken away yet
    words = shlex.split(lines[0])
    assert words[1] == "distill"
    call("distill", *words[2:])
    monkeypatch.setattr(training, "distill_stage", refuse)
    monkeypatch.setattr(training, "train_teacher", refuse)
    words = shlex.split(lines[1])
    assert words[:2] == ["reddit-llie", "reproduce"]
    call("reproduce", *words[2:])
    arms = {row["arm"] for row in rows("summary.csv", Path("runs/reproduce/figure5-tiny"))}
    assert arms == {"ReDDiT", "no RATR", "no pixel loss", "GT only", "teacher, DDIM"}
    assert (
        "no perceptual loss, equal to ReDDiT under this configuration"
        in Path("runs/reproduce/figure5-tiny/index.html").read_text()
    )


def test_the_command_of_a_teacher_means_the_same_configuration(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce(
        "faults", "-c", "tiny.yaml", "--steps", "2", "--set", "name=fresh", "train.lr=3e-4", "--commands"
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("reddit-llie train")]
    teachers = prepared("faults", "name=fresh", "train.lr=3e-4").runs.teachers
    for line, run in zip(lines, (teachers["full", 0], teachers["d4", 0]), strict=True):
        call("train", *shlex.split(line)[2:], "--dry-run")
        assert capsys.readouterr().out == run.config.to_yaml()


def test_other_test_pictures_under_the_same_names_are_scored_again(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce(*FIGURE6)
    shutil.copytree("data", tmp_path / "data")
    elsewhere = (*FIGURE6, "--set", f"data.root={tmp_path / 'data'}")
    before = {row["picture"]: row["psnr_raw"] for row in rows("pictures.csv") if row["arm"] == "ReDDiT"}
    test = tmp_path / "data/LOLv1/eval15/high"
    for source, target in (("our485/high/our485-0.png", "0"), ("eval15/high/eval15-0.png", "1")):
        shutil.copy(Path("data/LOLv1") / source, test / f"eval15-{target}.png")
    reproduce(*elsewhere)
    assert "was trained or validated on 1 of 6 test pictures" in capsys.readouterr().out
    assert "runs/tiny: 1" in (OUT / "index.html").read_text()
    after = {row["picture"]: row["psnr_raw"] for row in rows("pictures.csv") if row["arm"] == "ReDDiT"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"eval15-0", "eval15-1"}


def test_an_unfinished_run_is_pending(done: Path) -> None:
    run = prepared("figure6", steps=(2,)).runs.students["full", 2, 0]
    train = run.config.train.model_copy(update={"iterations": 3})
    longer = replace(run, config=run.config.model_copy(update={"train": train}))
    assert run.done() and run.iteration() == 2 and not longer.done()


def test_a_run_without_its_last_validation_is_pending(done: Path) -> None:
    run = prepared("figure6", "name=cut", steps=(2,)).runs.students["full", 2, 0]
    shutil.copytree("runs/reproduce/tiny/full-seed0-2", run.folder)
    assert run.done()
    path = run.folder / "checkpoints" / "state.pt"
    state = torch.load(path)
    state["progress"]["validated"] -= 1
    torch.save(state, path)
    assert not run.done()
    state["progress"] |= {"validated": 0, "scores": None}  # it was the only one: nothing was chosen yet
    torch.save(state, path)
    (run.folder / "checkpoints" / "best.safetensors").unlink()
    assert not run.done()


def test_commands_of_other_methods_are_separate_lines(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce("figure4", "-c", "tiny.yaml", "--seeds", "5", "--steps", "2", "1", "--commands")
    lines = [line for line in capsys.readouterr().out.splitlines() if "reddit-llie distill" in line]
    chains = [line for line in lines if "&&" in line]
    assert len(lines) == 3 + 2 * 2  # ReDDiT, progressive, GT only in chains; consistency and reflow not
    assert len(chains) == 3 and not any("consistency" in line or "reflow" in line for line in chains)


def test_times_need_no_training_and_no_lpips(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDDIT_ALEXNET", "nowhere.safetensors")
    words = ["table4", "-c", "tiny.yaml", "--seeds", "0", "1", "--steps", "2", "--set", "runs=elsewhere"]
    call("reproduce", *words, "--quiet")
    assert "LPIPS" not in capsys.readouterr().err
    timed = rows("pictures.csv", Path("elsewhere/reproduce/table4-tiny"))
    assert len(timed) == 6 * 2 * 2 and all(float(row["seconds"]) > 0 for row in timed)
    assert not Path("elsewhere/tiny").exists()


# What a plan runs


def test_every_arm_has_the_same_budget(inside: Path) -> None:
    runs = prepared("figure4", seeds=(0,), iterations=10).runs
    spent = {(arm, n): run.config.train.iterations for (arm, n, _), run in runs.students.items()}
    assert (
        spent["full", 2] == spent["progressive", 1] == spent["no-distillation", 1] == 10
    )  # each adds to a chain
    assert spent["consistency", 2] == spent["reflow", 2] == 10
    assert spent["consistency", 1] == spent["reflow", 1] == 20  # the whole chain 4 → 2 → 1
    assert runs.students["consistency", 1, 0].teacher is runs.teachers["consistency", 0]
    assert runs.students["full", 1, 0].teacher is runs.students["full", 2, 0]


def test_the_teacher_is_shared_unless_asked_otherwise(inside: Path) -> None:
    shared = prepared("table1", seeds=(0, 1)).runs
    assert {run.name for run in shared.teachers.values()} == {"tiny"}
    own = prepared("table1", seeds=(0, 1), teacher_seeds=True).runs
    assert {(run.name, run.config.seed) for run in own.teachers.values()} == {("tiny", 0), ("tiny-seed1", 1)}
    names = {run.name for run in own.students.values()}
    assert "reproduce/tiny/full-teachers-seed1-2" in names and not names & {
        run.name for run in shared.students.values()
    }


def test_only_faults_of_the_network_or_the_start_need_their_own_teacher(inside: Path) -> None:
    runs = prepared("faults", seeds=(0,)).runs
    assert {run.name for run in runs.teachers.values()} == {"tiny", "reproduce/tiny/d4-teacher"}
    d4, d3 = runs.students["d4", 2, 0], runs.students["d3", 2, 0]
    assert d4.teacher is not None and d4.teacher.config.model == d4.config.model
    assert d4.config.model.prediction == "eps" and d3.config.diffusion.sampler == "ddim_authors"


def test_a_reference_equal_to_another_arm_shares_its_runs(inside: Path) -> None:
    work = prepared("faults", seeds=(0,))  # jitter is independent here anyway
    assert work.runs.students["jitter-independent", 2, 0].name == "reproduce/tiny/full-seed0-2"
    assert "ReDDiT, independent jitter − D2, 2 steps" in {
        comparison.text for claim in work.plan.claims for comparison in claim.comparisons
    }
    apart = prepared("faults", "distill.reddit.jitter=shared", "name=shared", seeds=(0,))
    assert (
        apart.runs.students["jitter-independent", 2, 0].name == "reproduce/shared/jitter-independent-seed0-2"
    )


def test_runs_differ_only_in_seed_and_arm(inside: Path) -> None:
    runs = prepared("figure6", seeds=(0, 1)).runs
    one, other = runs.students["full", 2, 0].config, runs.students["no-ratr", 2, 1].config
    reddit = other.distill.reddit.model_copy(update={"omega": one.distill.reddit.omega})
    changed = other.model_copy(
        update={
            "seed": 0,
            "ablation": None,
            "distill": other.distill.model_copy(update={"reddit": reddit}),
        }
    )
    assert changed == one and other.seed == 1 and other.distill.reddit.omega == 0


def test_estimates_count_what_is_left(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "_repeated", lambda work: 1.0)
    monkeypatch.setattr(estimates, "_method", lambda run, device: _Nothing())
    work = prepared("figure6", "name=fresh", steps=(2,), seeds=(0,))
    # The teacher and three students: 2 iterations each, a first look at two pictures and a validation of
    # one, at 4 or 2 steps.
    training_and_validation = 4 * 2 + 3 * (4 + 3 * 2)
    cells = 4 * 2 + 4  # steps of the cells: four arms at 2, the teacher at 4
    assert work.seconds(quiet=True) == pytest.approx(training_and_validation + 6 * cells)


class _Nothing:
    def __init__(self) -> None:
        self.denoiser = torch.nn.Linear(1, 1)


def test_each_arm_gets_the_settings_that_it_reads(inside: Path) -> None:
    """Figure 4 compares methods; a setting of one is for its arm alone, as on the command line."""
    of_reddit, of_rival, of_teacher = (
        "distill.reddit.jitter=shared",
        "distill.consistency.target_ema=0.5",
        "teacher.loss=l1",
    )
    settings = (of_reddit, of_rival, of_teacher, "name=settings")
    work = prepared("figure4", *settings, steps=(2,), seeds=(0,))
    for run in work.runs.all():
        method = "teacher" if run.teacher is None else run.config.distill.method
        assert (of_reddit in run.settings) == (method in ("reddit", "teacher")), run.name
        assert (of_rival in run.settings) == (method == "consistency"), run.name
        assert (of_teacher in run.settings) == (method == "teacher"), run.name
    rival = next(run for run in work.runs.all() if run.arm.key == "consistency" and run.teacher)
    assert rival.config.distill.consistency.target_ema == 0.5


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--steps", "3"], "halving 4 steps does not reach 3"),
        (
            ["--set", "distill.reddit.omega=0"],
            "nothing is left to compare .no RATR = ReDDiT.*distill.reddit.omega=0.2",
        ),
        (["--set", "distill.omga=0"], "did you mean distill.reddit.omega"),
        (
            ["--set", "distill.consistency.target_ema=0.5"],
            "--set distill.consistency.target_ema=0.5: no run here reads it; only consistency would",
        ),
        (["--iterations", "0"], "--iterations 0"),
        (["--seeds", "-1"], "--seeds -1"),
        (["--steps", "0"], "--steps 0"),
    ],
)
def test_mistakes_are_named(inside: Path, arguments: list[str], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        reproduce("figure6", "-c", "tiny.yaml", *arguments)


def test_runs_of_other_settings_are_not_mixed_in(done: Path) -> None:
    with pytest.raises(
        UserError, match=r"full-seed0-2 was trained with other settings \(distill.reddit.omega\)"
    ):
        reproduce(*FIGURE6, "--set", "distill.reddit.omega=0.3")


def test_students_of_another_teacher_are_not_mixed_in(done: Path) -> None:
    record = Path("runs/reproduce/tiny/full-seed0-2/teacher.json")
    kept = record.read_text()
    try:
        record.write_text(kept.replace(read_info("runs/tiny/checkpoints/best.safetensors").digest, "0" * 12))
        with pytest.raises(UserError, match="student of another teacher"):
            reproduce(*FIGURE6)
    finally:
        record.write_text(kept)


def test_a_finished_teacher_is_used_as_it_is(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reproduce(*FIGURE6, "--set", "teacher.p_terminal=0", "--commands")
    assert "train_teacher" not in capsys.readouterr().out


def test_rivals_get_the_same_budget(inside: Path) -> None:
    work = prepared("rivals", "perceptual.backbone=alex", seeds=(0,), iterations=10)
    runs = work.runs
    assert runs.students["regression", 1, 0].config.train.iterations == 20  # the chain 4 → 2 → 1
    assert runs.students["regression", 1, 0].teacher is runs.teachers["regression", 0]
    alone = runs.teachers["no-diffusion", 0]
    assert (alone.name, alone.steps) == ("reproduce/tiny/no-diffusion-teacher", 1)
    assert alone.config.train.iterations == runs.teachers["full", 0].config.train.iterations + 20
    assert alone.config.teacher.p_terminal == 1 and runs.teachers["teacher-ensemble", 0].name == "tiny"
    for arm in ("ctm", "shortcut"):  # one student for all, with the iterations of the whole chain
        one = runs.students[arm, 1, 0]
        assert runs.students[arm, 2, 0] is one and one.teacher is runs.teachers[arm, 0]
        assert (one.name, one.config.train.iterations) == (f"reproduce/tiny/{arm}-10it-seed0-1", 20)
    assert runs.students["posterior-mean", 2, 0].config.distill.reddit.symmetries == 8


def test_finished_runs_stay_valid_when_arms_are_added(inside: Path) -> None:
    """Names and settings of the first arms of `rivals`, which long runs have been trained by."""
    work = prepared("rivals", "perceptual.backbone=alex", seeds=(0,), folds=3)
    names = [run.name.removeprefix("reproduce/tiny/") for run in work.parts[1].runs.all()]
    assert names[:9] == [
        "teacher-2of3",
        "no-diffusion-teacher-2of3",
        "full-2of3-seed1-2",
        "full-2of3-seed1-1",
        "progressive-2of3-seed1-2",
        "progressive-2of3-seed1-1",
        "no-distillation-2of3-seed1-2",
        "no-distillation-2of3-seed1-1",
        "regression-2of3-seed1-1",
    ]
    assert [arm.key for arm in work.plan.arms][:7] == [
        "full", "progressive", "no-distillation", "regression", "no-diffusion", "teacher", "teacher-ensemble",
    ]  # fmt: skip
    assert work.parts[1].runs.students["no-distillation", 1, 1].config.model.second_input == "none"


def test_a_finished_student_for_all_steps_is_used(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second input is the method's, not a changed setting; it is trained once and scored at each."""
    settings = ("perceptual.backbone=alex", "runs=everywhere")
    run = prepared("rivals", *settings, seeds=(0,)).runs.students["ctm", 1, 0]
    assert run.teacher is not None
    run.teacher.train(quiet=True, log=lambda line: None)
    run.train(quiet=True, log=lambda line: None)
    work = prepared("rivals", *settings, seeds=(0,))
    assert {one.arm.key for one in work.pending()} == {
        "full", "progressive", "no-distillation", "regression", "no-diffusion", "shortcut", "posterior-mean"
    }  # fmt: skip
    assert work.runs.students["ctm", 2, 0].chosen().config.model.second_input == "end"
