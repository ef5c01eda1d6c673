"""Full disks, damaged pictures, numbers that are none, hostile files: each ends in one line."""

from __future__ import annotations

import errno
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from repository import call
from safetensors import SafetensorError
from safetensors.torch import load_file
from tiny_runs import Run, left_by, same, settings, write_lol

from reddit.checkpoint import format as checkpoint
from reddit.checkpoint.format import load_state
from reddit.cli.errors import run as run_command
from reddit.training import loop
from reddit.training.checkpoints import Checkpoints
from reddit.training.finite import check_finite
from reddit.training.logging import Meter
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import TrainingState
from reddit.training.step import train_step
from reddit.utils.errors import UserError


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# Disks


def full_in_safetensors(patch: pytest.MonkeyPatch, due: Callable[[], bool]) -> None:
    real = checkpoint.save_file

    def save_file(tensors: Any, path: Path, metadata: Any) -> None:
        real(tensors, path, metadata)
        if due():
            os.truncate(path, 1000)
            raise SafetensorError("Error while serializing: IoError: No space left on device (os error 28)")

    patch.setattr(checkpoint, "save_file", save_file)


def full_in_torch(patch: pytest.MonkeyPatch, due: Callable[[], bool]) -> None:
    real = torch.save

    def save(state: Any, path: Path) -> None:
        real(state, path)
        if due():
            os.truncate(path, 1000)
            raise RuntimeError(
                "[enforce fail at inline_container.cc:778] . PytorchStreamWriter failed writing file data/3: "
                "file write failed\nframe #0: c10::ThrowEnforceNotMet"
            )

    patch.setattr(torch, "save", save)


def full_in_fsync(patch: pytest.MonkeyPatch, due: Callable[[], bool], code: int = errno.ENOSPC) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if due():
            raise OSError(code, os.strerror(code))
        real(handle)

    patch.setattr(os, "fsync", fsync)


def over_quota(patch: pytest.MonkeyPatch, due: Callable[[], bool]) -> None:
    full_in_fsync(patch, due, errno.EDQUOT)


@pytest.mark.parametrize("fill", [full_in_safetensors, full_in_torch, full_in_fsync, over_quota])
def test_a_full_disk_leaves_the_checkpoint_before(
    fill: Callable[[pytest.MonkeyPatch, Callable[[], bool]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(iterations=6, validate_every=99)
    Run(tmp_path / "whole", settings=chosen).go()
    run = Run(tmp_path / "run", settings=chosen)
    with monkeypatch.context() as patch:
        fill(patch, lambda: run.saved_iteration() == 4)
        with pytest.raises(UserError, match="cannot write the checkpoint") as error:
            run.go()
    assert "free some space and run again; earlier checkpoints are intact" in one_line(error)
    assert run.saved_iteration() == 4
    assert load_file(run.checkpoints / "last.safetensors")
    assert not list(run.checkpoints.glob(".*"))
    Run(tmp_path / "run", settings=chosen).go()  # with space again
    assert same(left_by(tmp_path / "run"), left_by(tmp_path / "whole"))


@pytest.mark.parametrize("case", ["full for weights", "full for the state"])
def test_a_disk_that_is_really_full(forks: Any, case: str) -> None:
    """The system itself cuts the files short."""
    result = forks.results[case]
    lines = result["said"].splitlines()
    assert (result["code"], result["saved"], len(lines)) == (2, 4, 1)
    assert lines[0].startswith("error: cannot write the checkpoint ")
    assert lines[0].endswith("; earlier checkpoints are intact")


def test_a_file_system_that_flushes_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    run = Run(tmp_path, settings=settings(iterations=2, validate_every=99))
    run.go()
    assert run.saved_iteration() == 2


# Commands


def command_ends(
    name: str, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> tuple[object, list[str], list[str]]:
    """A command's exit code and its lines on stdout and on stderr."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda _: call(name, *arguments, "--quiet"))
    out, err = capfd.readouterr()
    return ended.value.code, out.splitlines(), err.splitlines()


@pytest.fixture
def lol(tmp_path: Path) -> list[str]:
    """`-c FILE` for a tiny LOL tree under `tmp_path`."""
    return ["-c", str(write_lol(tmp_path)), "--set", "train.iterations=6", "train.validate_every=99"]


def test_a_run_folder_that_cannot_be(tmp_path: Path, lol: list[str], capfd: pytest.CaptureFixture) -> None:
    (tmp_path / "file").touch()
    code, _, err = command_ends("train", [*lol, f"runs={tmp_path / 'file'}"], capfd)
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith(f"error: cannot write in the run folder {tmp_path / 'file' / 'tiny'}: ")


def test_a_read_only_run_folder(
    tmp_path: Path, lol: list[str], capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, _, err = command_ends("train", lol, capfd)
    assert (code, len(err)) == (2, 1)
    assert "Read-only file system" in err[0] and "choose another --name or --set runs=FOLDER" in err[0]


# Pictures


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 20)


def test_a_damaged_picture_ends_the_run(tmp_path: Path, lol: list[str], capfd: pytest.CaptureFixture) -> None:
    damaged = tmp_path / "data/LOLv1/our485/high/our485-3.png"
    truncate(damaged)
    code, _, err = command_ends("train", lol, capfd)
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith(f"error: {damaged} is damaged")
    assert err[0].endswith("or skip such pairs with data.on_corrupt=skip")
    assert not (tmp_path / "runs/tiny/checkpoints").exists()


def test_a_damaged_picture_is_skipped(tmp_path: Path, lol: list[str], capfd: pytest.CaptureFixture) -> None:
    damaged = tmp_path / "data/LOLv1/our485/high/our485-3.png"
    truncate(damaged)
    code, out, err = command_ends("train", [*lol, "data.on_corrupt=skip"], capfd)
    assert (code, err) == (0, [])
    assert [line for line in out if str(damaged) in line] == [out[0]]
    assert out[0].startswith(f"skipped: {damaged} is damaged")
    assert "4 training and 1 validation pairs" in out[1] or "3 training and 2 validation pairs" in out[1]
    assert (tmp_path / "runs/tiny/checkpoints/best.safetensors").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_is_damaged_during_the_run(
    workers: int,
    tmp_path: Path,
    lol: list[str],
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lows = sorted((tmp_path / "data/LOLv1/our485/low").iterdir())
    real = loop.train_step

    def step(method: Any, micro_batches: Any, state: TrainingState, **rest: Any) -> Any:
        if state.progress.iteration == 2:
            for path in lows:
                if path.stat().st_size:
                    path.write_bytes(b"")
        return real(method, micro_batches, state, **rest)

    monkeypatch.setattr(loop, "train_step", step)
    memory = ["data.memory_gb=0", f"data.workers={workers}", "train.iterations=30"]
    code, _, err = command_ends("train", [*lol, *memory], capfd)
    assert (code, len(err)) == (2, 1), err
    named = re.match(r"error: (\S+) is empty \(0 bytes\)", err[0])
    assert named and Path(named[1]) in lows
    saved = load_state(tmp_path / "runs/tiny/checkpoints/state.pt")["progress"]["iteration"]
    assert 2 <= saved < 30


# Numbers


class Broken:
    """Losses of a run, spoilt from one call on."""

    def __init__(self, run: Run, at: int, spoil: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.calls = 0
        real = run.method.losses

        def losses(*arguments: Any) -> dict[str, torch.Tensor]:
            self.calls += 1
            found = real(*arguments)
            return found | {"loss": spoil(found["loss"]) if self.calls >= at else found["loss"]}

        run.method.losses = losses


def no_number(loss: torch.Tensor) -> torch.Tensor:
    return loss * float("nan")


def steep(loss: torch.Tensor) -> torch.Tensor:
    """The loss as it is, with an infinite gradient: that of a root at 0."""
    return loss + (0 * loss).sqrt()


@pytest.mark.parametrize(
    ("spoil", "what"), [(no_number, "loss"), (steep, "gradient norm")], ids=["loss", "gradient"]
)
@pytest.mark.parametrize("at", [1, 6, 7, 8])
def test_nan_stops_the_run(
    spoil: Callable[[torch.Tensor], torch.Tensor], what: str, at: int, tmp_path: Path
) -> None:
    chosen = settings(iterations=30, log_every=100, validate_every=100, checkpoint_every=4)
    run = Run(tmp_path, settings=chosen)
    Broken(run, at, spoil)
    with pytest.raises(UserError) as error:
        run.go()
    last = f"{run.state} holds the last good state" if at > 4 else "no checkpoint had been written yet"
    assert one_line(error) == (
        f"the {what} is not finite at iteration {at} (learning rate {learning_rate(chosen, at - 1):g}): "
        f"lower train.lr or use precision=fp32; {last}"
    )
    assert run.saved_iteration() == (4 if at > 4 else None)
    if at > 4:
        state = load_state(run.state)
        for part in ("denoiser", "average"):
            assert all(value.isfinite().all() for value in state[part].values())
        assert all(v.isfinite().all() for v in load_file(run.checkpoints / "last.safetensors").values())


def test_nan_in_the_second_micro_batch(tmp_path: Path) -> None:
    run = Run(tmp_path, settings=settings(grad_accum_steps=2, checkpoint_every=1))
    Broken(run, 6, no_number)  # the second part of the third batch
    with pytest.raises(UserError, match="the loss is not finite at iteration 3 "):
        run.go()
    assert run.saved_iteration() == 2


class Scaled:
    """Steps with the scaler of fp16, in fp32 on the processor."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.run = Run(folder)
        self.state = TrainingState(self.run.method.denoiser, self.run.settings, "fp32")
        self.state.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
        self.batches = iter(self.run.loader(0, range(2), 1))

    def step(self) -> dict[str, torch.Tensor]:
        losses = train_step(
            self.run.method, [next(self.batches)], self.state, seed=11, batch_indices=range(2)
        )
        self.state.progress.iteration += 1
        return losses

    def weights(self) -> dict[str, torch.Tensor]:
        return {k: v.clone() for k, v in self.state.denoiser.state_dict().items()}


def test_the_scale_of_fp16_changes_no_step(tmp_path: Path) -> None:
    """Powers of two scale exactly: the clipped gradients and the weights are the same bit for bit."""
    scaled, plain = Scaled(tmp_path, 2.0**16), Scaled(tmp_path, 1.0)
    for _ in range(4):
        assert same(scaled.step(), plain.step())
    assert same(scaled.weights(), plain.weights())
    assert scaled.state.scaler.get_scale() == 2.0**17  # after three good steps
    restored = TrainingState(scaled.run.method.denoiser, scaled.run.settings, "fp32")
    restored.scaler = torch.amp.GradScaler("cpu")
    scaled.state.save(tmp_path / "state.pt")
    restored.load(tmp_path / "state.pt")
    assert restored.scaler.state_dict() == scaled.state.scaler.state_dict()


def test_an_overflow_of_fp16_skips_the_step_and_halves_the_scale(tmp_path: Path) -> None:
    scaled = Scaled(tmp_path, 2.0**127)
    Broken(scaled.run, 1, lambda loss: 1000 * loss)  # with that scale: infinite
    before = scaled.weights()
    losses = scaled.step()
    assert same(scaled.weights(), before)
    assert scaled.state.scaler.get_scale() == 2.0**126
    assert losses["loss"].isfinite() and not losses["gradient_norm"].isfinite()
    meter = Meter(torch.device("cpu"))
    meter.add(1, losses)
    checkpoints = Checkpoints(tmp_path, scaled.run.save, scaled.run.settings)
    scaled.state.precision = "fp16"
    check_finite(meter, scaled.state, checkpoints)  # it is the scaler's business
    scaled.state.precision = "bf16"
    with pytest.raises(UserError, match="the gradient norm is not finite at iteration 1 "):
        check_finite(meter, scaled.state, checkpoints)


def test_fp16_gives_up_where_every_scale_overflows(tmp_path: Path) -> None:
    state: Any = SimpleNamespace(
        scaler=SimpleNamespace(get_scale=lambda: 0.5),
        progress=SimpleNamespace(iteration=40),
        precision="fp16",
        settings=settings(),
    )
    checkpoints = Checkpoints(tmp_path, lambda *_, **__: None, settings())
    meter = Meter(torch.device("cpu"))
    with pytest.raises(
        UserError, match="at iteration 40: use precision=bf16 or fp32; no checkpoint"
    ) as error:
        check_finite(meter, state, checkpoints)
    one_line(error)
    state.scaler.get_scale = lambda: 1.0
    check_finite(meter, state, checkpoints)
    meter.add(39, {"loss": torch.tensor(float("inf"))})
    with pytest.raises(UserError, match="the loss is not finite at iteration 39 "):
        check_finite(meter, state, checkpoints)


# Hostile files


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.trace),)


def hostile(path: Path, trace: Path, form: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"denoiser": Hostile(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_code_in_a_training_state_is_not_run(
    form: str,
    tmp_path: Path,
    lol: list[str],
    capfd: pytest.CaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    trace = tmp_path / "it ran"
    for path, flags in (
        (tmp_path / "runs/tiny/checkpoints/state.pt", []),
        (tmp_path / "elsewhere.pt", ["--resume", str(tmp_path / "elsewhere.pt")]),
    ):
        hostile(path, trace, form)
        code, _, err = command_ends("train", [*lol, *flags], capfd)
        assert (code, len(err)) == (2, 1), err
        assert err[0].startswith(f"error: the training state {path} is damaged")
        path.unlink()
    assert not trace.exists()
    assert not [str(warning.message) for warning in recwarn if "pickle" in str(warning.message)]


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_code_in_weights_is_not_run(
    form: str, tmp_path: Path, lol: list[str], capfd: pytest.CaptureFixture
) -> None:
    trace, path = tmp_path / "it ran", tmp_path / "model.safetensors"
    hostile(path, trace, form)
    low = str(tmp_path / "data/LOLv1/our485/low")
    pairs = [f"data.test_low={low}", f"data.test_high={low}"]
    for name, arguments in (
        ("enhance", ["-i", low, "-o", str(tmp_path / "out"), "--weights", str(path)]),
        ("evaluate", ["--dataset", "pairs", "--checkpoint", str(path), "--set", *pairs]),
        ("distill", ["--steps", "1", "--teacher", str(path)]),
    ):
        code, _, err = command_ends(name, arguments, capfd)
        assert (code, len(err)) == (2, 1), err
        assert err[0].startswith(f"error: {path} is a PyTorch file (.pth), which is not loaded")
    assert not trace.exists()


def test_the_hostile_file_is_hostile(tmp_path: Path) -> None:
    hostile(tmp_path / "state.pt", tmp_path / "it ran", "torch")
    torch.load(tmp_path / "state.pt", weights_only=False)
    assert (tmp_path / "it ran").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"denoiser": 3}, {"denoiser": {}, "average": {}}, torch.zeros(3), "text", None]
)
def test_a_file_that_is_no_state(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt does not match this configuration") as error:
        Run(tmp_path).go(resume=tmp_path / "other.pt")
    one_line(error)
