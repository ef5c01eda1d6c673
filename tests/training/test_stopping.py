"""SIGTERM and Ctrl-C: a checkpoint, one line, the right exit code; and a run that goes on exactly."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_runs import Run, left_by, same, settings, write_lol

from reddit.cli.errors import run as run_command
from reddit.config import load_config
from reddit.training import stopping
from reddit.training import validation as validating
from reddit.training.run import train_teacher
from reddit.training.stopping import StopRequest, only_process
from reddit.utils import files
from reddit.utils.errors import Stopped, UserError


def send(number: signal.Signals) -> None:
    assert signal.getsignal(number) not in (signal.SIG_DFL, None)  # else these tests would end here
    os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    torch.set_num_threads(1)
    Run(folder).go()
    return left_by(folder)


def once(act: Callable[[], object], when: Callable[[], bool]) -> Callable[[], None]:
    """Act the first time that it is due."""
    left = [act]

    def perhaps() -> None:
        if left and when():
            left.pop()()

    return perhaps


def interrupted_in_a_step(run: Run, number: signal.Signals) -> None:
    calls, real = [], run.method.losses
    hook = once(lambda: send(number), lambda: len(calls) == 5)

    def losses(*arguments: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        hook()
        return real(*arguments)

    run.method.losses = losses


def test_in_the_middle_of_a_step(
    tmp_path: Path, undisturbed: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path)
    interrupted_in_a_step(run, signal.SIGTERM)
    with pytest.raises(Stopped) as stopped:
        run.go()
    assert str(stopped.value) == (
        "stopped by SIGTERM at iteration 5 of 12; run the same command again to resume"
    )
    assert stopped.value.code == 143
    assert capfd.readouterr().err == "\nSIGTERM: writing a checkpoint, then stopping\n"
    assert run.saved_iteration() == 5  # the step was finished and saved, though no checkpoint was due
    Run(tmp_path).go()
    assert same(left_by(tmp_path), undisturbed)


@pytest.mark.parametrize("name", ["last.safetensors", "state.pt"])
def test_in_the_middle_of_a_checkpoint(
    name: str, tmp_path: Path, undisturbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    real = files._flush
    hook = once(lambda: send(signal.SIGTERM), lambda: run.saved_iteration() == 4)

    def flush(path: Path) -> None:
        if name in path.name:
            hook()
        real(path)

    monkeypatch.setattr(files, "_flush", flush)
    with pytest.raises(Stopped, match="at iteration 6 of 12"):
        run.go()
    assert run.saved_iteration() == 6
    Run(tmp_path).go()
    assert same(left_by(tmp_path), undisturbed)


def stop_at_picture(run: Run, number: int) -> list[int]:
    """Send SIGTERM while this picture, from 1, is validated; the pictures that were."""
    seen: list[int] = []
    hook = once(lambda: send(signal.SIGTERM), lambda: len(seen) == number)

    def look(picture: int) -> None:
        seen.append(picture)
        hook()

    run.look = look
    return seen


@pytest.mark.parametrize("validation", [1, 2])
def test_in_the_middle_of_a_validation(
    validation: int, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    """After 3 iterations, where no checkpoint is due; after 6, where one is."""
    run = Run(tmp_path)
    seen = stop_at_picture(run, 3 + 3 * (validation - 1) + 2)  # three were looked at before the first step
    with pytest.raises(Stopped, match=f"at iteration {3 * validation} of 12"):
        run.go()
    assert seen[-2:] == [0, 1]  # not the third
    assert run.saved_iteration() == 3 * validation
    Run(tmp_path).go()
    assert same(left_by(tmp_path), undisturbed)


def test_in_the_last_validation_and_in_the_late_one(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    for picture in (3 + 3 * 3 + 2, 1):
        run = Run(tmp_path)
        seen = stop_at_picture(run, picture)
        with pytest.raises(Stopped, match="at iteration 12 of 12"):
            run.go()
        assert len(seen) == picture
    Run(tmp_path).go()
    assert same(left_by(tmp_path), undisturbed)


def test_in_the_last_checkpoint(
    tmp_path: Path, undisturbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is done, and yet it must not look so: what comes next, a chain's next stage, was not wanted."""
    run = Run(tmp_path)
    real = torch.save

    def save(state: dict[str, dict[str, int]], path: Path) -> None:
        real(state, path)
        if state["progress"]["iteration"] == 12:
            send(signal.SIGTERM)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(Stopped):
        run.go()
    assert same(left_by(tmp_path), undisturbed)


def test_a_real_validation_stops_between_two_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(name: str, expect: type[Exception] | None = None) -> dict[str, object]:
        config = load_config(write_lol(tmp_path), [f"name={name}", "data.validation=0.6"])
        if expect is None:
            train_teacher(config, quiet=True, log=lambda _: None)
        else:
            with pytest.raises(expect):
                train_teacher(config, quiet=True, log=lambda _: None)
        return left_by(tmp_path / "runs" / name)

    whole, real, restored = trained("whole"), validating.restore, []

    def restore(*arguments: object, **named: object) -> torch.Tensor:
        restored.append(1)
        if len(restored) == 2 + 4 + 2:  # the first look's, those after 3 iterations, two of those after 6
            send(signal.SIGTERM)
        return real(*arguments, **named)

    monkeypatch.setattr(validating, "restore", restore)
    cut = trained("cut", Stopped)
    assert len(restored) == 8
    stands = cut["state"]["progress"]
    assert (stands["iteration"], stands["validated"]) == (6, 3)
    assert same(trained("cut"), whole)


def exit_of(work: Callable[[], object], capfd: pytest.CaptureFixture[str]) -> tuple[object, list[str]]:
    """The exit code of a script that does this work, and its lines on stderr."""
    with pytest.raises(SystemExit) as ended:
        run_command(lambda _: work() and None)
    return ended.value.code, [line for line in capfd.readouterr().err.splitlines() if line]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_exit_codes(
    number: signal.Signals, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path)
    interrupted_in_a_step(run, number)
    assert exit_of(run.go, capfd) == (
        code,
        [
            f"{number.name}: writing a checkpoint, then stopping",
            f"stopped by {number.name} at iteration 5 of 12; run the same command again to resume",
        ],
    )
    assert run.saved_iteration() == 5


def test_a_second_ctrl_c_ends_at_once(
    tmp_path: Path, undisturbed: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    run, calls = Run(tmp_path), []
    real = run.method.losses

    def losses(*arguments: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 6:
            send(signal.SIGINT)
            send(signal.SIGINT)
        return real(*arguments)

    run.method.losses = losses
    code, lines = exit_of(run.go, capfd)
    assert (code, len(calls), run.saved_iteration()) == (130, 6, 4)  # no step, no checkpoint any more
    assert lines[-1] == "stopped; finished results are kept: repeat the command to continue"
    Run(tmp_path).go()
    assert same(left_by(tmp_path), undisturbed)


def test_a_second_sigterm_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`torchrun` hands on what its processes may have had already."""
    request = StopRequest()
    with request.listening():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            send(number)
    assert request.error("here").code == 130
    assert capfd.readouterr().err == "\nSIGINT: writing a checkpoint, then stopping\n"


def test_a_signal_in_the_middle_of_a_line_of_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's streams refuse to be written to by the handler of a signal that interrupts their writing."""

    class Interrupted(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            send(signal.SIGTERM)
            return len(data)

    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Interrupted()), write_through=True))
    with StopRequest().listening() as stop:
        sys.stderr.write("12 it/s")
        sys.stderr.flush()
        assert stop


def test_the_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(Stopped), StopRequest().listening() as stop:
        send(signal.SIGTERM)
        raise stop.error("here")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_no_handlers_outside_the_main_thread() -> None:
    found: list[bool] = []

    def work() -> None:
        with StopRequest().listening() as stop:
            found.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


def test_broken_weights_are_not_saved_by_a_stop(tmp_path: Path) -> None:
    """Between two reports nobody has looked yet whether the loss is a number."""
    run = Run(tmp_path, settings=settings(log_every=100, validate_every=100, checkpoint_every=4))
    real, calls = run.method.losses, []

    def losses(*arguments: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 6:
            send(signal.SIGTERM)
        found = real(*arguments)
        return {"loss": found["loss"] * (float("nan") if len(calls) == 6 else 1)}

    run.method.losses = losses
    with pytest.raises(UserError, match=r"the loss is not finite at iteration 6 .*holds the last good state"):
        run.go()
    assert run.saved_iteration() == 4


def test_a_signal_to_the_process_group_does_not_stop_workers(forks) -> None:
    result = forks.results["group"]
    assert (result["code"], result["saved"], result["resumed"]) == (143, 5, 0)
    assert [line for line in result["said"].splitlines() if line] == [
        "SIGTERM: writing a checkpoint, then stopping",
        "stopped by SIGTERM at iteration 5 of 12; run the same command again to resume",
    ]
    assert same(left_by(forks.folder / "group"), left_by(forks.folder / "teacher" / "whole"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as error, only_process(tmp_path / "file" / "run"):
        pass
    assert str(error.value).startswith(f"cannot write in the run folder {tmp_path / 'file' / 'run'}: ")
    assert "--set runs=FOLDER" in str(error.value) and "\n" not in str(error.value)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(stopping.fcntl, "lockf", refuse)
    with pytest.raises(UserError) as error, only_process(tmp_path):
        pass
    assert str(error.value).startswith(f"cannot lock the run folder {tmp_path}: No locks available; ")
    assert "in use" not in str(error.value) and "\n" not in str(error.value)


def test_a_full_disk_does_not_prevent_the_lock(tmp_path: Path) -> None:
    """The lock is the system's; the name in the file is only for people."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").symlink_to("/dev/full")
    with only_process(folder):
        pass


def test_a_process_that_lost_another_can_print_why() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(UserError), StopRequest(alone=False).listening():
            raise UserError("another process was lost")
        os.kill(os.getpid(), signal.SIGTERM)  # as torchrun does; otherwise this process would end here
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(UserError), StopRequest().listening():
        raise UserError("alone, a signal ends the process as always")
    assert signal.getsignal(signal.SIGTERM) == before
