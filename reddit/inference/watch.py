"""Watching folders: enhancing pictures as they arrive."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from reddit.inference.files import Enhanced, Plan
from reddit.utils.errors import UserError

INTERVAL = 1.0
"""Seconds between two looks; a file that is unchanged so long is tried."""
PATIENCE = 10.0
"""Seconds that a file must be unchanged before it counts as damaged: a slow copy may pause."""
State = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""


@dataclass
class Watch:
    """Looks for new pictures again and again.

    Attributes:
        plan: the pictures that lie in the folders now, and where their results go.
        enhance: enhances those of a plan.
        log: receives a line for each result and for each error.
        interval, patience: see `INTERVAL` and `PATIENCE`.
        count: pictures enhanced so far.
    """

    plan: Callable[[], Plan]
    enhance: Callable[[Plan], Enhanced]
    log: Callable[[str], object]
    interval: float = INTERVAL
    patience: float = PATIENCE
    count: int = 0
    _seen: dict[Path, tuple[State, float]] = field(default_factory=dict)
    _finished: dict[Path, State] = field(default_factory=dict)
    _complaint: str = ""

    def run(self) -> None:
        """Look until Ctrl-C or SIGTERM, which remove what is half written and end it."""
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while True:
                self.look()
                time.sleep(self.interval)
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)

    def look(self) -> None:
        """Enhance what is whole and new; a problem with a folder is logged once."""
        try:
            plan = self.plan()
            self._complaint = ""
        except UserError as error:  # such as a folder that is gone for a while
            if str(error) != self._complaint:
                self._complaint = str(error)
                self.log(f"error: {error}")
            return
        now = time.monotonic()
        for source, target in plan.outputs.items():
            state = _state(source)
            if state is None or self._finished.get(source) == state:
                continue
            known, since = self._seen.get(source, (None, now))
            if known != state:
                self._seen[source] = (state, now)
            elif now - since >= 0.9 * self.interval:  # sleeping is not exact
                self._try(replace(plan, outputs={source: target}, unreadable=[]), source, state, now - since)

    def _try(self, plan: Plan, source: Path, state: State, unchanged: float) -> None:
        """Enhance one picture; a failure counts once its file has been unchanged for long."""
        done = self.enhance(plan)
        for target in done.written:
            self.count += 1
            self.log(str(target))
        if done.failed and unchanged < self.patience:
            return
        for line in done.failed:
            self.log(f"error: {line}")
        self._finished[source] = state
        self._seen.pop(source, None)


def _state(path: Path) -> State | None:
    """None if the file is gone or empty: a copy has only begun."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if found.st_size else None
