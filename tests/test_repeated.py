"""No command, repeated or mistyped, lessens what was on the disk: files stay what they are, or only grow."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from documents import USER_DOCUMENTS, commands, named, ours
from repeated import MISTYPED, README, TREES, check, grown, make_home, missing, run, tree
from repository import call

from reddit.utils.errors import UserError

EXCEPTIONS = {
    r"app( --weights \S+ --port \d+)?": "serves a page until it is ended",
    r"push .*--repo .*": "writes to the Hugging Face Hub, not to this disk",
    r"export .*\.(onnx|pt2) --check": "takes ten seconds; mistyped ones are called",
    r"reproduce .*--folds .*": "trains for each fold what it trains without folds",
}
"""Commands of the documents that are not repeated here → why."""
OF_OTHERS = {
    r"(python -m )?pip install .*|git clone .*|hf auth login": "programs of others",
    r"source .*|sbatch .*|pytest .*": "programs of others",
    r"export \w+=.*": "sets a variable",
    r"make \w+": "installs, tests, or calls commands that are repeated here",
    r"python benchmarks/\w+\.py.*|python docs/\w+\.py.*": "measure and draw for the documents",
    r"python docs/demo/build\.py|python -m http\.server .*": "build and show the page of the documents",
    r"python \S+\.py": "a script of the reader",
}
"""Other lines in the documents → what they are."""


def documented() -> list[tuple[str, str]]:
    """The document and the line of each command; their variables have values."""
    lines = ((named(path), line) for path in USER_DOCUMENTS for line in commands(path.read_text()))
    return [(name, re.sub(r"\s+#.*", "", line)) for name, line in dict.fromkeys(lines)]


def kind_of(command: list[str]) -> tuple[str, frozenset[str]]:
    """The subcommand and the names of its flags."""
    verb = " ".join(command[: 2 if command[0] == "data" else 1])
    return verb, frozenset(word for word in command if re.match(r"--?[a-z]", word))


def is_repeated(command: list[str]) -> bool:
    """Whether a command with at least the same flags is repeated."""
    verb, flags = kind_of(command)
    return any(verb == other and flags <= more for other, more in map(kind_of, README))


def excepted(text: str, exceptions: dict[str, str]) -> list[str]:
    return [pattern for pattern in exceptions if re.fullmatch(pattern, text)]


def test_every_command_of_the_documents_is_repeated_here() -> None:
    forgotten, used = [], set()
    for name, line in documented():
        command = ours(line)
        text = " ".join([command[0], *command[1]]) if command else line
        found = excepted(text, EXCEPTIONS if command else OF_OTHERS)
        used |= set(found)
        if text and not found and not (command and is_repeated([command[0], *command[1]])):
            forgotten.append(f"{name}: {line}")
    assert forgotten == []
    assert used == EXCEPTIONS.keys() | OF_OTHERS.keys()  # none is left behind


def test_a_new_command_is_not_forgotten() -> None:
    assert is_repeated(["enhance", "-i", "x", "-o", "y", "--steps", "2"])
    assert not is_repeated(["enhance", "-i", "x", "-o", "y", "--into", "z"])
    assert not is_repeated(["data", "clean", "--dataset", "lolv1"])
    assert not is_repeated(["tidy"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_home(folder)
    return folder


@pytest.fixture
def before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the folder, which becomes the working folder."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    return tree(folder)


@pytest.mark.parametrize("command", README, ids=lambda command: " ".join(command)[:60])
def test_repeated(command: list[str], folder: Path, before: dict[str, bytes]) -> None:
    if why := missing(command):
        pytest.skip(why)
    run(command)
    check(before, tree(folder), grown)


@pytest.mark.parametrize("command", MISTYPED, ids=lambda command: " ".join(command)[:90])
def test_mistyped(command: list[str], folder: Path, before: dict[str, bytes]) -> None:
    """Each is refused, or does what it says beside what is there."""
    if why := missing(command):
        pytest.skip(why)
    with pytest.raises(UserError):
        run(command)
    after = tree(folder)
    assert after.keys() >= before.keys()
    check(before, after, lambda *_: False)


def test_a_finished_run_keeps_its_settings(folder: Path, before: dict[str, bytes]) -> None:
    """Typed with other settings, a command trains nothing, so that they would be those of no weights."""
    for changed in ("seed=5", "diffusion.steps=256", "train.iterations=1"):
        call("train", *TREES, "--set", changed)
    check(before, tree(folder), grown)


def test_a_folder_that_was_emptied_of_states_keeps_its_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People delete the large states; the same commands then replace nothing."""
    shutil.copytree(folder, tmp_path / "home", symlinks=True)
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    for path in Path("runs").rglob("state.pt"):
        path.unlink()
    before = tree(tmp_path / "home")
    for command in README:
        if command[0] in ("train", "distill", "reproduce") and missing(command) is None:
            try:
                run(command)
            except UserError as error:
                assert "would be replaced" in str(error)
    check(before, tree(tmp_path / "home"), grown)
