"""What a run says of itself, and what becomes of it when the disk or the run ends."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter
from tiny_runs import Run, settings

from reddit.training.logging import Meter, Tracker, read_log
from reddit.utils.errors import Stopped, UserError


def iterations(folder: Path) -> list[object]:
    return [line["iteration"] for line in read_log(folder)]


def test_a_resumed_log_drops_later_lines(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        for i in (2, 4, 6):
            tracker.scalars(i, "train", {"loss": 0.5})
    with Tracker(tmp_path, done=4) as tracker:
        assert iterations(tmp_path) == [2, 4]
        tracker.scalars(6, "train", {"loss": 0.25})
    assert [line["loss"] for line in read_log(tmp_path)] == [0.5, 0.5, 0.25]
    with Tracker(tmp_path):
        assert iterations(tmp_path) == []


def test_a_line_cut_short_is_left_out_and_removed(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        tracker.scalars(2, "train", {"loss": 0.5})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"iteration": 4, "ki')
    assert iterations(tmp_path) == [2]
    with Tracker(tmp_path, done=4) as tracker:
        tracker.scalars(5, "train", {"loss": 0.5})
    assert [json.loads(text)["iteration"] for text in (tmp_path / "log.jsonl").read_text().splitlines()] == [
        2,
        5,
    ]


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read_log(tmp_path / "nowhere") == []


def test_the_log_is_replaced_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tracker(tmp_path) as tracker:
        tracker.scalars(2, "train", {"loss": 0.5})
    before = (tmp_path / "log.jsonl").read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="free some space"):
        patch.setattr(Path, "replace", fail)
        Tracker(tmp_path, done=1)
    assert (tmp_path / "log.jsonl").read_bytes() == before


def test_a_full_disk_under_the_log(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error, Tracker(tmp_path) as tracker:
        tracker.path.symlink_to("/dev/full")  # takes nothing, as a full disk
        tracker.scalars(1, "train", {"loss": 0.5})
    assert str(error.value) == (
        f"cannot write the log in {tmp_path}: No space left on device; free some space, or check the "
        "folder, and run again: the last checkpoint is intact"
    )


def test_a_full_disk_under_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It writes in a thread of its own, whose traceback would stand beside the one line."""

    def fail(self: RecordWriter, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    shown: list[object] = []
    hook = shown.append
    monkeypatch.setattr(threading, "excepthook", hook)
    with (
        pytest.raises(UserError, match="No space left on device; free") as error,
        Tracker(tmp_path) as tracker,
    ):
        monkeypatch.setattr(RecordWriter, "write", fail)
        for i in range(1, 10_000):  # a later write learns of it
            tracker.scalars(i, "train", {"loss": 0.5})
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == "" and shown == []
    assert threading.excepthook == tracker._thread_failed  # the thread may still be about to fail


def test_other_failures_of_threads_are_still_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)

    def fail() -> None:
        raise ValueError("a fault")

    with Tracker(tmp_path):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert len(shown) == 1


def test_tensorboards_buffer_is_written_when_a_run_ends_early(tmp_path: Path) -> None:
    def fail() -> None:
        with Tracker(tmp_path) as tracker:
            tracker.scalars(3, "train", {"loss": 0.5})
            raise Stopped("stopped", 143)

    with pytest.raises(Stopped):
        fail()
    board = EventAccumulator(str(tmp_path / "tb"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(3, 0.5)]


def test_a_meter_records_the_first_nan() -> None:
    meter = Meter(torch.device("cpu"))
    for i, (loss, norm) in enumerate([(1, 1), (2, float("inf")), (float("nan"), 1), (4, float("nan"))], 1):
        meter.add(i, {"loss": torch.tensor(float(loss)), "gradient_norm": torch.tensor(float(norm))})
        if i == 3:
            meter.reset()  # forgets the sums and not what broke
    assert (meter.first_bad("loss"), meter.first_bad("gradient_norm")) == (3, 2)
    assert meter.first_bad("l_pix") is None


def test_a_meter_averages_between_resets() -> None:
    meter = Meter(torch.device("cpu"))
    for i, loss in enumerate([1.0, 2.0, 6.0], 1):
        meter.add(i, {"loss": torch.tensor(loss)})
    means = meter.means(batch_size=4, left=30)
    assert means["loss"] == 3.0
    assert means["samples_a_second"] * means["seconds_an_iteration"] == pytest.approx(4)
    assert means["remaining_seconds"] == pytest.approx(30 * means["seconds_an_iteration"])
    meter.reset()
    meter.add(4, {"loss": torch.tensor(8.0)})
    assert meter.means(4, 29)["loss"] == 8.0


def test_memory_that_is_not_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # Windows has none
    meter = Meter(torch.device("cpu"))
    meter.add(1, {"loss": torch.tensor(1.0)})
    means = meter.means(4, 29)
    assert "memory_gb" not in means
    json.dumps(means, allow_nan=False)


def test_lines_of_a_log(tmp_path: Path) -> None:
    Run(tmp_path, settings=settings(iterations=5, log_every=2)).go()
    lines = [line for line in read_log(tmp_path) if line["kind"] == "train"]
    assert [line["iteration"] for line in lines] == [2, 4, 5]
    for line in lines:
        assert 0 <= line["data_wait"] <= 1 and line["memory_gb"] > 0 and line["seconds_an_iteration"] > 0
    assert lines[-1]["remaining_seconds"] == 0


def test_a_run_that_ends_early_leaves_its_points(tmp_path: Path) -> None:
    hook = threading.excepthook
    run, calls = Run(tmp_path), []
    real = run.method.losses

    def losses(*arguments: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 6:
            raise UserError("a fault")
        return real(*arguments)

    run.method.losses = losses
    with pytest.raises(UserError, match="a fault"):
        run.go()
    assert threading.excepthook == hook
    board = EventAccumulator(str(tmp_path / "tb"))
    board.Reload()
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3, 4, 5]
