"""Thousands of hostile inputs, each through the commands that a user would call; what went wrong is counted.

    python tests/fuzz/many.py FOLDER [--kinds pictures checkpoints] [--counts 100] [--seed 1] [--part 1/4]

Every fault is kept with its input in FOLDER. Interrupted, the same command goes on where it was; `results.md`
and `results.json` there hold the counts. `--only NUMBER` repeats one case and shows what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "training")]

import torch  # noqa: E402
from forks import forked, warm_up  # noqa: E402
from kinds import ALL, write_base  # noqa: E402
from watching import KINDS, Case, Hook, called, obey_permissions, watched  # noqa: E402

import reddit  # noqa: E402

CHUNK = 250
"""Cases of a worker."""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(ALL), default=list(ALL))
    parser.add_argument(
        "--counts", type=int, help="cases of each kind; default: 10,000, 10,000, 1,000, 500 and 1,000"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the K-th of N parts")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one case")
    return parser


def prepared(folder: Path) -> Path:
    """The folder of a tiny data set and its models, made in a process of its own."""
    base = folder / "base"
    if not (base / "a.png").exists():
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        code = forked(lambda: write_base(base), folder / "said.txt")
        if code != 0:
            sys.exit((folder / "said.txt").read_text())
    return base


def import_all() -> None:
    """Import what the commands import, so that no case takes the time for it."""
    names = [module.name for module in pkgutil.walk_packages(reddit.__path__, "reddit.")]
    for name in [*names, "onnxruntime", "matplotlib.pyplot"]:
        if not name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an extra that is not installed
                importlib.import_module(name)


def lines_of(path: Path) -> list[Case]:
    """The cases of an earlier call; a line that was cut short is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(Case(**json.loads(line)))
        except ValueError:
            continue
    return found


def summary(cases: list[Case]) -> dict[str, object]:
    codes = [code for case in cases for code in case.codes]
    return {
        "cases": len(cases),
        "commands": len(codes),
        "exit 0": codes.count(0),
        "exit 1 or 2": codes.count(1) + codes.count(2),
        **{kind: sum(any(k == kind for k, _ in case.faults) for case in cases) for kind in KINDS},
        "longest, s": round(max((case.seconds for case in cases), default=0), 1),
        "most memory, GiB": round(max((case.peak for case in cases), default=0) / 2**20, 2),
    }


def table(results: dict[str, dict[str, object]]) -> str:
    """The counts in Markdown, a kind a column."""
    rows = [f"| | {' | '.join(results)} |", f"|---|{'---:|' * len(results)}"]
    for key in next(iter(results.values())):
        rows.append(f"| {key} | {' | '.join(f'{found[key]:,}' for found in results.values())} |")
    return "\n".join(rows) + "\n"


def run_kind(kind: str, arguments: argparse.Namespace, base: Path) -> list[Case]:
    folder, name = arguments.folder.resolve(), kind.replace(" ", "_")
    part, parts = map(int, arguments.part.split("/"))
    count = arguments.counts or ALL[kind].count
    inputs = ALL[kind](base, arguments.seed, count)
    log = folder / f"{name}-{arguments.seed}.jsonl"
    done = lines_of(log)
    known = {case.number for case in done}
    left = [number for number in range(count) if number % parts == part - 1 and number not in known]
    with log.open("a") as file, tempfile.TemporaryDirectory(dir=folder) as scratch:
        for start in range(0, len(left), CHUNK):
            chunk, began = left[start : start + CHUNK], time.monotonic()
            work, keep = Path(scratch), folder / "failed" / name
            for case in watched(chunk, arguments.seed, inputs.prepare, inputs.check, work, keep):
                file.write(json.dumps(asdict(case)) + "\n")
                file.flush()
                done.append(case)
                for fault, what in case.faults:
                    print(f"{kind} {case.number}: {fault}: {what}", flush=True)
            seconds = (time.monotonic() - began) / len(chunk)
            print(f"{kind}: {len(done)} of {count}, {seconds:.2f} s each", file=sys.stderr, flush=True)
    return [case for case in done if case.number < count]


def main() -> int:
    arguments = parser().parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    home = arguments.folder.resolve()
    os.environ |= {"HOME": str(home), "REDDIT_MAX_MILLION_PARAMETERS": "5", "CUDA_VISIBLE_DEVICES": ""}
    warm_up(home / "warm")
    import_all()
    base = prepared(home)
    if arguments.only is not None:
        return only(arguments, base)
    results = {kind: summary(run_kind(kind, arguments, base)) for kind in arguments.kinds}
    text = f"python tests/fuzz/many.py, seed {arguments.seed}\n\n{table(results)}"
    (home / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (home / "results.md").write_text(text)
    print(text)
    return int(any(found[kind] for found in results.values() for kind in KINDS))


def only(arguments: argparse.Namespace, base: Path) -> int:
    """Repeat one case."""
    import random

    kind = ALL[arguments.kinds[0]]
    inputs = kind(base, arguments.seed, arguments.counts or kind.count)
    folder = arguments.folder.resolve() / "only"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    (folder / "started").touch()
    obey_permissions()
    hook, found = Hook(), 0
    hook.written = folder
    for command in inputs.prepare(random.Random(arguments.seed * 10**7 + arguments.only), folder):
        code, text, faults = called(command, hook)
        faults += inputs.check(folder, command, code, text)
        print("$", *command, "\n" + text, code, faults)
        found += len(faults)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
