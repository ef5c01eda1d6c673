"""Runs that end badly, each in a forked process of its own: python forks.py FOLDER writes results.json.

One process imports everything once; its children train, die and are resumed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # `tiny_set`

from tiny_runs import Run, settings, student, teacher

from reddit.checkpoint import format as checkpoint
from reddit.cli.errors import run as run_command
from reddit.training import loop
from reddit.training.logging import Tracker
from reddit.training.stopping import only_process
from reddit.utils.errors import UserError

KILLS = {
    "teacher": [
        ("in a step", 1),
        ("half of the weights", 2),
        ("half of the best weights", 3),
        ("half of the state", 4),
        ("after the optimiser", 5),
        ("between weights and state", 6),
        ("half a line of the log", 7),
        ("state not renamed", 8),
        ("in validation", 9),
        ("state renamed", 10),
    ],
    "student": [
        ("after the optimiser", 1),
        ("half a line of the log", 2),
        ("state not renamed", 3),
        ("in a step", 4),
        ("after the optimiser", 5),
        ("half of the best weights", 6),
        ("in a step", 8),
        ("between weights and state", 9),
        ("half a line of the log", 11),
        ("half of the state", 12),
    ],
}
METHODS = {"teacher": (teacher, settings()), "student": (student, settings(checkpoint_every=3))}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Hooks:
    """What happens at a step (from 1), or in what follows it."""

    def __init__(self, run: Run, where: str, step: int, act: Callable[[], object] = die) -> None:
        self.now = 0
        real_step, real_save, real_write = loop.train_step, torch.save, checkpoint.save_file
        real_replace, real_losses, real_scalars = Path.replace, run.method.losses, Tracker.scalars

        def due(place: str) -> bool:
            return (place, self.now) == (where, step)

        def hooked_step(method, micro_batches, state, **rest):
            self.now = state.progress.iteration + 1
            result = real_step(method, micro_batches, state, **rest)
            if due("after the optimiser"):
                act()
            return result

        def losses(*arguments):
            if due("in a step"):
                act()
            return real_losses(*arguments)

        def save_file(tensors, path, metadata):
            whole = "best" if "best" in str(path) else "last"
            real_write(tensors, path, metadata)
            if due("half of the weights" if whole == "last" else "half of the best weights"):
                os.truncate(path, path.stat().st_size // 2)
                act()

        def save(state, path):
            if due("between weights and state"):
                act()
            real_save(state, path)
            if due("half of the state"):
                os.truncate(path, path.stat().st_size // 2)
                act()

        def replace(path, target):
            if target.name == "state.pt" and due("state not renamed"):
                act()
            real_replace(path, target)
            if target.name == "state.pt" and due("state renamed"):
                act()

        def scalars(tracker, iteration, kind, values):
            if due("half a line of the log"):
                with tracker.path.open("a") as file:
                    file.write(json.dumps({"iteration": iteration, "kind": kind})[:-9])
                act()
            real_scalars(tracker, iteration, kind, values)

        def look(picture):
            if picture == 1 and due("in validation"):
                act()

        loop.train_step, torch.save, checkpoint.save_file = hooked_step, save, save_file
        Path.replace, Tracker.scalars = replace, scalars
        run.method.losses, run.look = losses, look


def forked(work: Callable[[], object], said: Path) -> int:
    """Do work in a process of its own, what it says in a file; its exit code, minus a signal's number."""
    return os.waitstatus_to_exitcode(os.waitpid(started(work, said), 0)[1])


def started(work: Callable[[], object], said: Path) -> int:
    """Start work in a process of its own, what it says in a file; the process."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = 0
    try:
        run_command(lambda _: work() and None)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def killed_ten_times(folder: Path, kind: str) -> dict[str, object]:
    """A run that is killed and resumed ten times, beside one that is not."""
    make, chosen = METHODS[kind]
    whole, broken = folder / kind / "whole", folder / kind / "broken"

    def attempt(where: str, step: int) -> None:
        run = Run(broken, make, chosen)
        Hooks(run, where, step)
        run.go()

    codes = [forked(lambda: Run(whole, make, chosen).go(), folder / "said.txt")]
    saved: list[int | None] = []
    for where, step in KILLS[kind]:
        codes.append(forked(lambda w=where, s=step: attempt(w, s), folder / "said.txt"))
        saved.append(Run(broken, make, chosen).saved_iteration())
    codes.append(forked(lambda: Run(broken, make, chosen).go(), folder / "said.txt"))
    return {"codes": codes, "saved": saved, "said": (folder / "said.txt").read_text()}


def ended(folder: Path, name: str, act: Callable[[], object], workers: int = 0) -> dict[str, object]:
    """A run in which something happens in the middle of step 5."""

    def attempt() -> None:
        run = Run(folder / name, workers=workers)
        Hooks(run, "in a step", 5, act)
        run.go()

    code = forked(attempt, folder / "said.txt")
    return {
        "code": code,
        "said": (folder / "said.txt").read_text(),
        "saved": Run(folder / name).saved_iteration(),
    }


def stop_the_group() -> None:
    """Have another process, as a scheduler or torchrun, send SIGTERM to this one and its worker together."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(0.3)  # for a worker that dies of it to be missed


def stopped_as_a_group(folder: Path) -> dict[str, object]:
    """A run and its worker are asked to end together; then the run is resumed."""
    result = ended(folder, "group", stop_the_group, workers=1)
    result["resumed"] = forked(lambda: Run(folder / "group", workers=1).go(), folder / "said.txt")
    return result


def lose_the_worker() -> None:
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    time.sleep(10)  # until the system reports it


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def lock_of_a_killed_process(folder: Path) -> dict[str, object]:
    """A run folder is held, is asked for, and is let go of by a kill while a worker lives on."""
    ready, release = os.pipe()
    child = os.fork()
    if not child:
        with only_process(folder / "held"):
            multiprocessing.get_context("fork").Process(target=time.sleep, args=(3,), daemon=True).start()
            os.write(release, b".")
            time.sleep(60)
    os.read(ready, 1)
    result: dict[str, object] = {"holder": child, "refused": "", "freed": ""}
    try:
        with only_process(folder / "held"):
            pass
    except UserError as error:
        result["refused"] = str(error)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        with only_process(folder / "held"):
            result["freed"] = "yes"
    except UserError as error:
        result["freed"] = str(error)
    return result


def warm_up(folder: Path) -> None:
    """Have what is imported at the first use imported once, and not in each child.

    No gradient may be computed here: PyTorch's autograd refuses to work in the child of who has used it.
    """
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.Adam([parameter], fused=True).step()
    with Tracker(folder) as tracker:
        tracker.panel(1, *torch.zeros(3, 3, 4, 4))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    warm_up(folder / "warm")
    results = {kind: killed_ten_times(folder, kind) for kind in KILLS}
    weights = (folder / "teacher" / "whole" / "checkpoints" / "last.safetensors").stat().st_size
    results["group"] = stopped_as_a_group(folder)
    results["worker"] = ended(folder, "worker", lose_the_worker, workers=1)
    results["full for weights"] = ended(folder, "full-1", lambda: limit_files(weights // 2))
    results["full for the state"] = ended(folder, "full-2", lambda: limit_files(2 * weights))
    results["lock"] = lock_of_a_killed_process(folder)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
