"""Arguments that no file or folder can have end in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import call

from reddit.cli.errors import run
from reddit.cli.flags import find_config
from reddit.config import load_config
from reddit.utils.errors import UserError

ODD = {"long": "x" * 5000, "null": "a\0b", "red": "\x1b[31mred", "deep": "a/" * 3000}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    "command",
    [
        ["train", "-c", "ODD"],
        ["train", "--name", "ODD"],
        ["train", "-c", "demo", "--set", "ODD"],
        ["train", "-c", "demo", "--set", "name=ODD"],
        ["train", "-c", "demo", "--resume", "ODD"],
        ["distill", "--steps", "1", "--teacher", "ODD"],
        ["enhance", "-i", "ODD", "-o", "out"],
        ["enhance", "-i", "dark.png", "-o", "out", "--weights", "ODD"],
        ["evaluate", "--dataset", "ODD"],
        ["evaluate", "--dataset", "demo", "--weights", "ODD"],
        ["evaluate", "--dataset", "demo", "--predictions", "ODD"],
        ["report", "--name", "ODD"],
        ["export", "--weights", "ODD", "-o", "x.onnx"],
    ],
    ids=" ".join,
)
def test_an_odd_argument(
    command: list[str],
    odd: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dark.png").touch()
    name, *arguments = (part.replace("ODD", odd) for part in command)
    with pytest.raises(SystemExit) as ended:
        run(lambda _: call(name, *arguments))
    lines = capfd.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert lines[0].isprintable()
    assert len(lines[0]) < 1000
    assert {path.name for path in tmp_path.iterdir()} <= {"dark.png", "runs"}


@pytest.mark.parametrize("base", ["demo", "demo.yaml", "configs/demo.yaml"])
def test_a_shipped_configuration_is_a_base(base: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {base}\nname: mine\n")
    assert load_config(path) == load_config(find_config("demo"), ["name=mine"])
    near = tmp_path / base
    near.parent.mkdir(exist_ok=True)
    near.write_text("seed: 7\n")  # a file of one's own goes first
    assert load_config(path) == load_config(None, ["name=mine", "seed=7"])


@pytest.mark.parametrize("base", ["5", "[demo]", '"a\\0b"', "none.yaml", "x" * 5000, ".", '""'])
def test_an_unknown_base(base: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {base}\n")
    with pytest.raises(UserError) as error:
        load_config(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 1000


@pytest.mark.parametrize("name", [".", "/tmp/x", "../x", "a/../b", "", " ", "a\\nb", "x" * 201])
def test_names_are_checked_in_files_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f'name: "{name}"\n')
    with pytest.raises(UserError, match=r"mine\.yaml: name: '.*; choose"):
        load_config(path)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/", "/2", "1/2/3", "٣/٤", "1/" + "9" * 5000])
def test_a_part_that_does_not_exist(shard: str) -> None:
    with pytest.raises(UserError, match=r"^--shard .*(write I/N, e.g. 1/8|must be between 1 and N)"):
        call("enhance", "-i", "in", "-o", "out", "--shard", shard)


def test_parts_of_a_watched_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--watch: the parts of --shard would change"):
        call("enhance", "-i", str(tmp_path), "-o", str(tmp_path / "out"), "--watch", "--shard", "1/2")
