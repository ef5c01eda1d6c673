"""Checkpoints that stay beside the newest: which, what they hold, and going back to one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import Run, left_by, same, settings

from reddit.checkpoint.format import load_state, read_info
from reddit.config import Config
from reddit.training import checkpoints
from reddit.training.checkpoints import keep_copy
from reddit.training.run_folder import open_run
from reddit.utils.errors import UserError

KEEPING = settings(keep_every=3, keep=2, checkpoint_every=4)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("0*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    Run(folder, settings=KEEPING).go()
    return folder


def test_the_newest_copies_stay(whole: Path) -> None:
    """Every 3 of 12 iterations, whether or not a checkpoint, every 4, was due as well; of four, two."""
    assert kept(whole) == ["00000009.pt", "00000009.safetensors", "00000012.pt", "00000012.safetensors"]
    for iteration in (9, 12):
        path = whole / "checkpoints" / f"{iteration:08d}.pt"
        assert load_state(path)["progress"]["iteration"] == iteration
        assert read_info(path.with_suffix(".safetensors")).iteration == iteration
        average = load_state(path)["average"]
        weights = load_file(path.with_suffix(".safetensors"))
        assert all(torch.equal(average[f"network.{name}"], weights[name]) for name in weights)


def test_no_copies_unless_asked_for(tmp_path: Path) -> None:
    Run(tmp_path, settings=settings(iterations=4)).go()
    assert kept(tmp_path) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_copies_do_not_change_with_the_newest(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:  # as on file systems that have none

        def refuse(*_: object) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    run = Run(tmp_path, settings=settings(iterations=3, keep_every=3))
    run.go()
    paths = [run.checkpoints / name for name in ("00000003.pt", "00000003.safetensors")]
    assert [path.stat().st_nlink for path in paths] == ([2, 2] if links else [1, 1])
    before = [path.read_bytes() for path in paths]
    assert before[0] == run.state.read_bytes()
    Run(tmp_path, settings=settings(iterations=5, keep_every=3)).go()
    assert [path.read_bytes() for path in paths] == before
    assert before[0] != run.state.read_bytes()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same run", "another run"])
def test_resuming_from_a_copy(elsewhere: bool, whole: Path, tmp_path: Path) -> None:
    Run(tmp_path / "run", settings=KEEPING).go()
    folder = tmp_path / ("other" if elsewhere else "run")
    source = open_run(folder, Config(), str(tmp_path / "run" / "checkpoints" / "00000009.pt"))
    assert source is not None
    run = Run(folder, settings=KEEPING)
    if elsewhere:
        run.settings = KEEPING.model_copy(update={"keep": 1})
    assert run.go(resume=source).iteration == 12
    ours, theirs = left_by(folder), left_by(whole)
    assert same(ours["state"]["denoiser"], theirs["state"]["denoiser"])
    assert same(ours["weights"]["last"], theirs["weights"]["last"])
    assert same(ours["weights"]["best"], theirs["weights"]["best"])
    assert kept(folder)[-2:] == ["00000012.pt", "00000012.safetensors"]


def test_a_run_resumed_from_a_copy_continues_from_it(tmp_path: Path) -> None:
    """What was ahead is left behind at once, not at the next checkpoint."""
    first = Run(tmp_path, settings=KEEPING)
    first.go()
    again = Run(tmp_path, settings=settings(keep_every=3, keep=2, checkpoint_every=100))
    again.method.losses = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        again.go(resume=first.checkpoints / "00000009.pt")
    assert first.saved_iteration() == 9


def test_another_run_has_a_best_of_its_own(tmp_path: Path) -> None:
    """The weights that scored best before stay where they are; here the best of these is chosen."""
    first = Run(tmp_path / "first", settings=settings(iterations=6))
    first.go()
    state = load_state(first.state)
    state["progress"]["best"] = 1e9
    torch.save(state, first.state)
    second = Run(tmp_path / "second")
    progress = second.go(resume=first.state)
    assert progress.best_iteration == 12
    assert read_info(second.checkpoints / "best.safetensors").iteration == 12


def test_a_run_with_nan_scores_still_writes_weights(tmp_path: Path) -> None:
    run = Run(tmp_path, settings=settings(iterations=3))
    real = run.validate
    run.validate = lambda *a, **k: real(*a, **k)._replace(scores={"psnr": float("nan")})
    run.go()
    assert read_info(run.checkpoints / "best.safetensors").iteration == 3


def numbered(folder: Path, iterations: list[int], clock: int = 1) -> None:
    """Copies at these iterations, made one after the other, by a clock with steps of so many seconds."""
    for number, iteration in enumerate(iterations):
        second = 1000 + clock * number
        for name in ("state.pt", "last.safetensors"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_text(str(number))
            os.utime(folder / name, (second, second))
        keep_copy(folder, iteration, 2)


def test_the_newest_are_those_made_last(tmp_path: Path) -> None:
    numbered(tmp_path, [30, 60, 90, 30, 60])  # the run went back to its start
    assert sorted(p.name for p in tmp_path.glob("0*.pt")) == ["00000030.pt", "00000060.pt"]
    assert (tmp_path / "00000060.pt").read_text() == "4"


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    numbered(tmp_path, [30, 60, 90], clock=-60)
    assert sorted(p.name for p in tmp_path.glob("0*.pt")) == ["00000060.pt", "00000090.pt"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    mine = [tmp_path / name for name in ("mine.pt", "1.pt", "best.safetensors", "000000001.pt")]
    for path in mine:
        path.touch()
    numbered(tmp_path, [1, 2, 3, 4])
    assert all(path.exists() for path in mine)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(checkpoints.shutil, "copyfile", refuse)
    (tmp_path / "last.safetensors").touch()
    with pytest.raises(UserError, match=r"cannot keep .*00000001\.safetensors: No space left on") as error:
        keep_copy(tmp_path, 1, 3)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("0*"))


def test_a_run_that_is_killed_leaves_no_weights_without_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights alone would pass for a finished run's, which no run replaces."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.Checkpoints, "_write_weights", killed)
    for every in (3, 99):  # of validations: the first weights are the best, or the newest
        run = Run(tmp_path / str(every), settings=settings(validate_every=every, checkpoint_every=5))
        with pytest.raises(KeyboardInterrupt):
            run.go()
        assert run.saved_iteration() == min(every, 5)
