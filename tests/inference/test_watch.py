from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reddit.cli.main import main
from reddit.image.read import Photo, read_photo
from reddit.image.write import write_photo
from reddit.inference.enhancer import Enhancer
from reddit.inference.files import enhance_files, plan_outputs
from reddit.inference.watch import Watch
from reddit.utils.errors import UserError
from reddit.utils.files import write_atomic


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    return tmp_path


def arrive(name: str, share: float = 1.0) -> bytes:
    """Write a dark picture, or its first bytes; returns the bytes of the whole."""
    path = Path("in") / name
    write_photo(path, Photo(np.random.default_rng(0).integers(0, 30, (16, 16, 3)).astype(np.uint8)))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return data


def watch(model: Enhancer, lines: list[str], patience: float = 10.0, overwrite: bool = False) -> Watch:
    return Watch(
        lambda: plan_outputs([Path("in")], Path("out"), overwrite=overwrite, may_be_empty=True),
        lambda plan: enhance_files(plan, model, quiet=True),
        lines.append,
        interval=0.0,
        patience=patience,
    )


def test_what_arrives_is_enhanced_once(here: Path, model: Enhancer) -> None:
    lines: list[str] = []
    watched = watch(model, lines)
    watched.look()
    arrive("a.png")
    watched.look()
    assert lines == []  # it may still be growing
    watched.look()
    watched.look()
    assert lines == ["out/a.png"] and watched.count == 1
    arrive("b.png")
    for _ in range(3):
        watched.look()
    assert lines == ["out/a.png", "out/b.png"]


def test_it_waits_until_a_file_is_whole(here: Path, model: Enhancer) -> None:
    lines: list[str] = []
    watched = watch(model, lines)
    whole = arrive("a.png", share=0.5)
    for _ in range(4):
        watched.look()
    assert lines == [] and not Path("out").exists()
    Path("in/a.png").write_bytes(whole)
    for _ in range(2):
        watched.look()
    assert lines == ["out/a.png"]
    assert read_photo("out/a.png").pixels.shape == (16, 16, 3)


def test_a_damaged_file_is_reported_once_and_tried_again_when_it_changes(here: Path, model: Enhancer) -> None:
    lines: list[str] = []
    watched = watch(model, lines, patience=0.0)
    whole = arrive("a.png", share=0.5)
    for _ in range(4):
        watched.look()
    assert len(lines) == 1 and lines[0].startswith("error: in/a.png is damaged")
    Path("in/a.png").write_bytes(whole)
    for _ in range(3):
        watched.look()
    assert lines[1:] == ["out/a.png"]


def test_with_overwrite_only_what_changes_is_enhanced_again(here: Path, model: Enhancer) -> None:
    lines: list[str] = []
    watched = watch(model, lines, overwrite=True)
    arrive("a.png")
    for _ in range(4):
        watched.look()
    assert lines == ["out/a.png"]
    write_photo("in/a.png", Photo(np.zeros((20, 20, 3), np.uint8)))
    for _ in range(4):
        watched.look()
    assert lines == ["out/a.png"] * 2


def test_a_folder_that_is_gone_is_reported_once(here: Path, model: Enhancer) -> None:
    lines: list[str] = []
    watched = watch(model, lines)
    Path("in").rename("away")
    watched.look()
    watched.look()
    assert lines == ["error: no such file or folder: in"]
    Path("away").rename("in")
    arrive("a.png")
    watched.look()
    watched.look()
    assert lines[1:] == ["out/a.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "in", "-o", "in"], "-o in is watched itself"),
        (["-i", "in/a.png", "-o", "out"], "in/a.png is no folder"),
        (["-i", "in", "-o", "in/a.png"], "-o in/a.png is a file"),
        (["-i", "in", "-o", "out", "--strength", "2"], "strength 2"),
    ],
)
def test_mistakes(arguments: list[str], message: str, here: Path, light_weights: Path) -> None:
    arrive("a.png")
    with pytest.raises(UserError, match=message):
        main(["enhance", *arguments, "--watch", "--weights", str(light_weights)])


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly(number: signal.Signals, here: Path, model: Enhancer) -> None:
    """Even in the middle of writing."""
    arrive("a.png")
    arrive("b.png")
    lines: list[str] = []
    watched = watch(model, lines)
    before = signal.getsignal(signal.SIGTERM)

    def interrupted(path: Path, write: Callable[[Path], object]) -> None:
        def begun(temporary: Path) -> None:
            write(temporary)
            if path.name == "b.png":
                os.kill(os.getpid(), number)

        write_atomic(path, begun)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reddit.utils.files.write_file", interrupted)
        watched.run()
    assert lines == ["out/a.png"] and watched.count == 1
    assert {path.name for path in Path("out").iterdir()} == {"a.png"}
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_command(
    here: Path, light_weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive("a.png")
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: 2.0 * len(looks))
    assert main(["enhance", "-i", "in", "-o", "out", "--watch", "--weights", str(light_weights)]) == 0
    said = capsys.readouterr()
    assert said.out == "out/a.png\n1 picture in out\n" and "watching in; Ctrl-C ends it" in said.err
