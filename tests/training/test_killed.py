"""A run that is killed, wherever it is, goes on as if it had not been."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tiny_runs import Run, left_by, same, settings, student, teacher

from reddit.training.logging import read_log
from reddit.utils.files import remove_leftovers

SAVED = {
    # A checkpoint every 2, killed at 1, 2, … 10; the first state goes before the weights.
    "teacher": [None, 2, 2, 2, 4, 4, 6, 6, 8, 10],
    "student": [None, None, None, 3, 3, 3, 6, 6, 9, 9],  # every 3, killed at 1, … 6, 8, 9, 11, 12
}


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_ten_kills_leave_the_weights_of_an_undisturbed_run(forks, kind: str) -> None:
    result = forks.results[kind]
    assert result["codes"] == [0, *[-signal.SIGKILL] * 10, 0], result["said"]
    assert result["saved"] == SAVED[kind]  # each kill came where it was meant to
    broken, whole = (left_by(forks.folder / kind / name) for name in ("broken", "whole"))
    assert broken["state"]["progress"]["iteration"] == 12
    for part in ("denoiser", "average", "optimizer", "scaler", "progress"):
        assert same(broken["state"][part], whole["state"][part]), part
    assert broken["state"].keys() == whole["state"].keys()
    assert same(broken["weights"], whole["weights"])
    make = {"teacher": teacher, "student": student}[kind]
    assert not same(whole["state"]["denoiser"], make().denoiser.state_dict())


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_kills_leave_no_temporary_files_and_a_complete_log(forks, kind: str) -> None:
    folder = forks.folder / kind / "broken"
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "state.pt",
    }
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    at = {kind: [x["iteration"] for x in lines if x["kind"] == kind] for kind in ("train", "validation")}
    assert at == {"train": list(range(1, 13)), "validation": [3, 6, 9, 12]}
    losses, undisturbed = (
        [line["loss"] for line in read_log(forks.folder / kind / name) if line["kind"] == "train"]
        for name in ("broken", "whole")
    )
    assert losses == undisturbed


def test_a_kill_frees_the_run_folder_though_a_worker_lives_on(forks) -> None:
    lock = forks.results["lock"]
    assert f"is in use by process {lock['holder']} on " in lock["refused"]
    assert "choose another --name" in lock["refused"] and "\n" not in lock["refused"]
    assert lock["freed"] == "yes"


def test_a_lost_worker_ends_the_run_in_one_line(forks) -> None:
    result = forks.results["worker"]
    assert (result["code"], result["saved"]) == (2, 4)
    lines = result["said"].splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: a worker process that prepares batches was lost")
    assert "killed by signal: Killed" in lines[0] and "lower data.workers or data.memory_gb" in lines[0]


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    for name in (".state.pt.12.tmp", "state.pt", "notes.tmp", ".draft.tmp", ".lock"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"state.pt", "notes.tmp", ".draft.tmp", ".lock"}


def test_a_copy_missed_by_a_kill_is_written_later(tmp_path: Path) -> None:
    chosen = settings(keep_every=4, iterations=4)
    Run(tmp_path, settings=chosen).go()
    checkpoints = tmp_path / "checkpoints"
    kept = checkpoints / "00000004.pt"
    kept.unlink()  # as if killed just before it was made
    again = Run(tmp_path, settings=chosen)
    again.go()
    assert kept.read_bytes() == again.state.read_bytes()
