"""Logging a run: speed, log.jsonl, TensorBoard scalars and panels."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes

Names = tuple[str, ...]
MOST_UNSEEN = 1000
"""Steps after which the meter waits for the device once, so that little is kept."""


class Meter:
    """Accumulates losses and timing between two log entries, without waiting for the device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._unseen: list[tuple[int, Names, Tensor]] = []
        self._bad: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Start over, as after a log entry."""
        self.steps = 0
        self._sums: dict[Names, Tensor] = {}
        self._waited = 0.0
        self._since = time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Context for fetching data; its time is reported as `data_wait`."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context for validation and checkpoints; its time does not count as training."""
        start = time.perf_counter()
        yield
        self._since += time.perf_counter() - start

    def add(self, iteration: int, values: dict[str, Tensor]) -> None:
        """Add the scalars of a step, and remember the first iteration at which each was not finite."""
        names, numbers = tuple(values), torch.stack(list(values.values()))
        before = self._sums.get(names)
        self._sums[names] = numbers if before is None else before + numbers
        self._unseen.append((iteration, names, numbers))
        if len(self._unseen) == MOST_UNSEEN:
            self._look()
        self.steps += 1

    def first_bad(self, name: str) -> int | None:
        """The first iteration so far at which a scalar was not finite, or None. Waits for the device."""
        self._look()
        return self._bad.get(name)

    def _look(self) -> None:
        """Look for numbers that are not finite in the steps since the last time."""
        if self._unseen:
            found = torch.cat([numbers for _, _, numbers in self._unseen]).isfinite().tolist()
            steps = [(iteration, name) for iteration, names, _ in self._unseen for name in names]
            for (iteration, name), finite in zip(steps, found, strict=True):
                if not finite:
                    self._bad.setdefault(name, iteration)
            self._unseen = []

    def seconds(self) -> float:
        """Seconds of training since the last reset."""
        return time.perf_counter() - self._since

    def means(self, batch_size: int, left: int) -> dict[str, float]:
        """Means since the last reset, and speed.

        Args:
            batch_size: samples per step, over all processes.
            left: remaining iterations.
        """
        sums = {
            name: value
            for names, v in self._sums.items()
            for name, value in zip(names, v.tolist(), strict=True)
        }
        values = {name: value / self.steps for name, value in sums.items()}
        seconds, memory = self.seconds(), peak_memory(self.device)
        return values | {
            "seconds_an_iteration": seconds / self.steps,
            "samples_a_second": batch_size * self.steps / seconds,
            "data_wait": self._waited / seconds,
            **({} if memory is None else {"memory_gb": memory / 1e9}),
            "remaining_seconds": left * seconds / self.steps,
        }


def peak_memory(device: torch.device) -> float | None:
    """Peak memory in bytes: of PyTorch on a GPU, else of this process; None if unknown."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return float(torch.mps.driver_allocated_memory())
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


class Tracker:
    """Writes a line of JSON and a TensorBoard point for every log entry.

    A resumed run removes entries logged after the checkpoint it resumes from; a run from the start removes
    all.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path, done: int = 0) -> None:
        self.path = folder / "log.jsonl"
        if self.path.exists():
            kept = [line for line in read_log(folder) if float(line["iteration"]) <= done] if done else []
            write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._thread_hook, threading.excepthook = threading.excepthook, self._thread_failed
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._board = SummaryWriter(str(folder / "tb"), purge_step=done + 1)  # its thread writes at once

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with contextlib.nullcontext() if kind is None else contextlib.suppress(UserError):
            self.close()

    def scalars(self, iteration: int, kind: str, values: dict[str, float]) -> None:
        """Log numbers of one kind (`train`, `validation`) at an iteration."""
        line = {"iteration": iteration, "kind": kind, "time": round(time.time(), 3)} | values
        with self._writing():
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, iteration)

    def panel(self, iteration: int, low: Tensor, ours: Tensor, gt: Tensor) -> None:
        """Log low, ours and gt side by side; each (3, H, W) in [0, 1]."""
        picture = torch.cat([low, ours, gt], dim=2).clamp(0, 1)
        with self._writing():
            self._board.add_image("low | ours | gt", picture.float().cpu(), iteration)

    def close(self) -> None:
        """Flush and close TensorBoard; if that fails, its thread may still do so, too, and stays silent."""
        with self._writing():
            self._board.close()
        threading.excepthook = self._thread_hook

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write the log in {self.path.parent}: {error.strerror or error}; free some space, or "
                "check the folder, and run again: the last checkpoint is intact"
            ) from error

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        """Ignore write errors in TensorBoard's thread: they are raised again at the next call."""
        if not isinstance(failure.exc_value, OSError):
            self._thread_hook(failure)


def read_log(folder: Path) -> list[dict[str, float | str]]:
    """The log entries of a run, oldest first; damaged lines are skipped."""
    lines = []
    path = folder / "log.jsonl"
    content = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for text in content.splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if _is_log_line(line):
            lines.append(line)
    return lines


def _is_log_line(line: object) -> bool:
    """Whether a value is what `Tracker.scalars` writes: a kind, and numbers."""
    return (
        isinstance(line, dict)
        and isinstance(line.get("kind"), str)
        and "iteration" in line
        and all(type(value) in (int, float) for key, value in line.items() if key != "kind")
    )
