"""The runs as shell commands, for a cluster's job array."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable

from reddit.reproduce.runs import Run, Runs


def commands(parts: Iterable[Runs], file: str | None, again: Iterable[str]) -> list[str]:
    """Shell commands: teachers, then students, then the command that scores and plots.

    The lines between two comments are independent of each other. A chain of halvings is one line. Finished
    runs are omitted.

    Args:
        parts: the runs, of each fold if there are folds.
        file: the configuration.
        again: the arguments of this `reddit-llie reproduce`, without `--commands`.
    """
    pending = [run for runs in parts for run in runs.pending()]
    teachers = [_command(run, file) for run in pending if run.teacher is None]
    chains: dict[tuple[str, int, str], list[str]] = defaultdict(list)
    for run in pending:
        if run.teacher is not None:
            halving = run.teacher.teacher is not None or run.steps * 2 == run.teacher.steps
            chains[run.arm.key, run.seed, "" if halving else run.name].append(_command(run, file))
    students = [" && ".join(chain) for chain in chains.values()]
    lines = ["# the teachers, in any order", *teachers] if teachers else []
    lines += ["# then the students, in any order, one job per line", *students] if students else []
    return [
        *lines,
        "# then the scores, the plot and the page",
        shlex.join(["reddit-llie", "reproduce", *again]),
    ]


def _command(run: Run, file: str | None) -> str:
    if run.teacher is None:
        words = ["reddit-llie", "train"]
    else:
        words = ["reddit-llie", "distill", "--steps", str(run.steps), "--teacher", str(run.teacher.folder)]
        words += ["--name", run.name]
    words += ["-c", file] if file else []
    return shlex.join([*words, "--quiet", "--set", *run.settings])
