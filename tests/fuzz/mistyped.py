"""Mistyped commands."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from forks import forked
from repeated import MISTYPED, README, Clock, grown, make_home, tree
from results import Faults

from reddit.image.marks import is_result
from reddit.inference import watch


class Commands:
    """A command of the documents, mistyped, where all were called before: nothing on the disk is lessened."""

    count = 1_000

    def __init__(self, base: Path, number: int, count: int) -> None:
        self.home = base.with_name("home")
        if not self.home.exists():
            self.home.mkdir()
            code = forked(lambda: make_home(self.home), base.with_name("said.txt"))
            assert code == 0, base.with_name("said.txt").read_text()
        quick = [command for command in README if "figure6" not in command]  # which trains
        self.commands = [*quick, *quick, *MISTYPED]
        words = {word for command in [*README, *MISTYPED] for word in command if not word.startswith("-")}
        self.values = [*sorted(words), "", ".", "..", "0", "-1", "runs", "data", "runs/tiny", "linked/photos"]
        self.values += [str(path.relative_to(self.home)) for path in sorted(self.home.rglob("*"))]

    def prepare(self, rng: random.Random, folder: Path) -> list[list[str]]:
        os.environ.pop("REDDIT_DATA", None)
        shutil.copytree(self.home, folder, symlinks=True, dirs_exist_ok=True)
        self.before = tree(folder)
        command = list(rng.choice(self.commands))
        for _ in range(rng.choice([1, 1, 1, 2])):
            values = [place for place, word in enumerate(command) if place and not word.startswith("-")]
            place, change = rng.choice(values or [0]), rng.randrange(9)
            if change <= 5:
                command[place] = rng.choice(self.values)
            elif change == 6 and len(command) > 1:
                del command[rng.randrange(len(command))]
            elif change == 7:
                other = rng.choice(values or [0])
                command[place], command[other] = command[other], command[place]
            else:
                word = command[place]
                letter = rng.randrange(len(word) + 1)
                command[place] = (
                    word[:letter] + rng.choice(["", "x", "-", "/", " ", "é"]) + word[letter + 1 :]
                )
        if rng.random() < 0.2:
            command.append(rng.choice(["--overwrite", "--chain", "--force", "-r"]))
        watch.time = Clock()  # `--watch` waits until it is ended
        return [command] * 2

    def check(self, folder: Path, command: list[str], code: int, text: str) -> Faults:
        after = tree(folder)
        faults = [("other", f"{name} is gone") for name in self.before if name not in after]
        for name, data in self.before.items():
            same = after.get(name, data) == data or grown(name, data, after[name])
            if not same and not self.is_ours(folder / name):
                faults.append(("other", f"{name} has changed"))
        self.before = after
        return faults

    def is_ours(self, path: Path) -> bool:
        """Whether a file was an earlier result, which the same command may replace."""
        name = path.relative_to(Path.cwd()).as_posix()
        written = path.suffix in (".safetensors", ".md")
        exported = written and not (self.home / name).exists()  # by the first call
        return exported or name in ("scores.json", "scores.html", "student.safetensors") or is_result(path)
