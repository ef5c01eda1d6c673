from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from tiny_film import TIMES, contents, picture, write_film

from reddit.cli.main import entry_point, main
from reddit.image.films import is_film_result
from reddit.inference.enhancer import Enhancer, EnhanceWarning
from reddit.inference.files import plan_outputs
from reddit.inference.films import enhance_film
from reddit.inference.steady import Steady
from reddit.utils.errors import UserError

pytest.importorskip("av")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_film(tmp_path / "clip.mp4", rotation=90)


class Tripled:
    """In place of a model: frames three times as bright."""

    def __init__(self) -> None:
        self.settings: list[dict[str, object]] = []

    def enhance_array(self, frame: np.ndarray, **settings: object) -> np.ndarray:
        self.settings.append(settings)
        return 3 * frame


def test_a_film_is_its_enhanced_frames(clip: Path) -> None:
    bright, model = clip.with_name("bright.mp4"), Tripled()
    enhance_film(clip, bright, model, guard=False, seed=3, quiet=True)  # type: ignore[arg-type]
    before, after = contents(clip), contents(bright)
    assert (after.sound, after.times, after.look) == (before.sound, before.times, before.look)
    for frame, result in zip(before.frames, after.frames, strict=True):
        assert np.abs(3 * frame.astype(int) - result).mean() < 5
    assert len(model.settings) == len(TIMES)
    for settings in model.settings:
        assert settings.items() >= {"seed": 3, "guard": False, "same_noise": True}.items()


def test_noise_is_the_same_in_all_frames(model: Enhancer) -> None:
    """Without that, the texture of a network that sees the noise would change from frame to frame."""
    one = picture(64, 48)
    other = one + np.uint8(1)
    same = [model.enhance(frame, guard=False, same_noise=True).astype(int) for frame in (one, other)]
    own = [model.enhance(frame, guard=False).astype(int) for frame in (one, other)]
    assert np.abs(same[0] - same[1]).mean() < 0.3 * np.abs(own[0] - own[1]).mean()


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError, RuntimeError])
def test_nothing_half_written_remains(
    error: type[BaseException], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = []

    def fails(self: Steady, dark: np.ndarray, bright: np.ndarray, time: float) -> np.ndarray:
        frames.append(time)
        if len(frames) == 5:
            raise error("stop")
        return bright

    monkeypatch.setattr(Steady, "__call__", fails)
    with pytest.raises(error):
        enhance_film(clip, clip.with_name("bright.mp4"), Tripled())  # type: ignore[arg-type]
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="processes cannot be asked for there")
def test_what_a_killed_process_left_is_removed(clip: Path) -> None:
    bright = clip.with_name("bright.mp4")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {number: clip.with_name(f".bright.mp4.{number}.tmp") for number in (ended.pid, 1)}
    other = clip.with_name(f".other.mp4.{ended.pid}.tmp")
    for path in (*names.values(), other):
        path.touch()
    enhance_film(clip, bright, Tripled())  # type: ignore[arg-type]
    assert not names[ended.pid].exists()
    assert names[1].exists() and other.exists()  # process 1 runs always


@pytest.mark.skipif(os.name == "nt", reason="signals end a process at once there")
@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_signals_leave_nothing(
    number: str, clip: Path, light_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = getattr(signal, number)
    before = signal.getsignal(which)

    def stops(self: Steady, dark: np.ndarray, bright: np.ndarray, time: float) -> np.ndarray:
        signal.raise_signal(which)
        return bright

    monkeypatch.setattr(Steady, "__call__", stops)
    monkeypatch.setattr(
        sys, "argv", ["reddit-llie", "enhance", "-i", str(clip), "-o", str(clip.parent / "b")]
    )
    sys.argv += ["--weights", str(light_weights), "--force", "--quiet"]
    with pytest.raises(SystemExit) as left:
        entry_point()
    assert left.value.code == 128 + which
    assert [path.name for path in clip.parent.rglob("*") if path.is_file()] == ["clip.mp4"]
    assert signal.getsignal(which) is before


def test_warnings_of_frames_come_once(tmp_path: Path, model: Enhancer) -> None:
    lit = [np.full((48, 64, 3), 80 + k, np.uint8) for k in range(len(TIMES))]
    clip = write_film(tmp_path / "lit.mp4", frames=lit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        enhance_film(clip, tmp_path / "bright.mp4", model)
    (warning,) = caught
    assert warning.category is EnhanceWarning and "lit.mp4 is not dark" in str(warning.message)


def test_a_film_that_ends_early_is_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 80, (48, 64, 3)).astype(np.uint8) for _ in TIMES]
    times = tuple(600 * number for number in range(len(TIMES)))
    whole = write_film(tmp_path / "a.mkv", sound=None, frames=frames, times=times, preset="ultrafast")
    part = tmp_path / "part.mkv"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.warns(EnhanceWarning, match=r"part\.mkv may be truncated: its video ends after \d\.\d of 7"):
        enhance_film(part, tmp_path / "b.mkv", Tripled())  # type: ignore[arg-type]


def test_the_command(clip: Path, light_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bright = clip.with_name("bright.mp4")
    command = ["enhance", "-i", str(clip), "-o", str(bright), "--weights", str(light_weights), "--force"]
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().out == f"1 film in {bright} (light, 2 steps, PyTorch)\n"
    assert is_film_result(bright)
    assert main(command) == 0
    assert "1 existing result kept" in capsys.readouterr().out
    assert main([*command, "--overwrite", "--quiet"]) == 0
    clip.replace(bright)
    write_film(clip)
    with pytest.raises(UserError, match=r"--overwrite: .*bright\.mp4 is no result of this program"):
        main([*command, "--overwrite"])


def test_films_of_a_folder_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in/b.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    plan = plan_outputs([Path("in")], Path("out"))
    assert list(plan.outputs) == [Path("in/a.png")] and plan.others == [Path("in/b.mp4")]


def test_names_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.avi", "c.png"):
        Path(name).touch()
    plan = plan_outputs([Path("a.mp4"), Path("b.avi"), Path("c.png")], Path("out"), form="jpg", suffix="lit")
    assert list(map(str, plan.outputs.values())) == ["out/a_lit.mp4", "out/b_lit.mkv", "out/c_lit.jpg"]
    with pytest.raises(UserError, match=r"-o bright\.png: a\.mp4 can become \.mp4, .*\.webm"):
        plan_outputs([Path("a.mp4")], Path("bright.png"))
    with pytest.raises(UserError, match=r"-o bright\.avi: films are written as \.mp4, "):
        plan_outputs([Path("a.mp4")], Path("bright.avi"))
    with pytest.raises(UserError, match=r"-o bright\.mkv: c\.png can become \.png"):
        plan_outputs([Path("c.png")], Path("bright.mkv"))
