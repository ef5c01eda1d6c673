"""Commands that several processes carry out together: torchrun … commands.py FOLDER.

One start for all of them: PyTorch takes seconds to import. Each process writes FOLDER/done-RANK.json: the
exit code of every command of FOLDER/commands.json, what each printed, and what the process wrote under
FOLDER/runs.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from reddit.training import loop
from reddit.training.distributed import leave
from reddit.utils.errors import Stopped, UserError

sys.path.insert(0, str(Path(__file__).parents[1]))

from repository import call


def watch_writes(folder: Path) -> list[str]:
    """A list that takes in whatever this process writes, renames or makes under a folder from now on."""
    found: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if event in ("open", "os.rename", "os.mkdir", "os.link", "os.remove", "os.truncate"):
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and str(path).startswith(str(folder)):
                found.append(f"{event} {path}")

    sys.addaudithook(hook)
    return found


@contextlib.contextmanager
def stopped_at(iteration: int | None):
    """The system asks this process to end in the middle of a step."""
    real = loop.train_step

    def step(method: Any, micro_batches: Any, state: Any, **rest: Any) -> Any:
        if state.progress.iteration == iteration:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(method, micro_batches, state, **rest)

    loop.train_step = step
    try:
        yield
    finally:
        loop.train_step = real


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    written = watch_writes(folder / "runs")
    codes: list[object] = []
    printed: list[str] = []
    for command in json.loads((folder / "commands.json").read_text()):
        said = io.StringIO()
        try:
            with (
                stopped_at(command.get("stop") if rank == 1 else None),
                contextlib.redirect_stdout(said),
            ):
                codes.append(call(command["command"], *command["arguments"]))
        except Stopped as stopped:
            codes.append(stopped.code)
        except UserError as error:
            codes.append(str(error))
        printed.append(said.getvalue())
    leave()
    done = {"codes": codes, "printed": printed, "written": written, "pid": os.getpid()}
    (folder / f"done-{rank}.json").write_text(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
