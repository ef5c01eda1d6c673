"""Ending a run early without losing it: SIGTERM, Ctrl-C, and one process a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from reddit.utils.errors import Stopped, UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class StopRequest:
    """Whether SIGTERM or Ctrl-C has asked the run to end; a second Ctrl-C ends it at once.

    Pre-emptible machines give half a minute between SIGTERM and the end: the loop asks after every
    step, validation after every picture.

    Args:
        aloud: acknowledge the first signal on stderr; of many processes one is enough.
    """

    def __init__(self, aloud: bool = True) -> None:
        self.aloud = aloud
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def error(self, where: str) -> Stopped:
        """What the loop raises once everything is saved."""
        number = self.signal or signal.SIGTERM
        return Stopped(f"stopped by {number.name} {where}; run the same command again to go on", 128 + number)

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Catch the two signals inside the block, where this thread may."""
        try:
            before = {s: signal.signal(s, self._handle) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: whoever started it decides
            yield self
            return
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            line = f"\n{self.signal.name}: writing a checkpoint, then stopping\n" if self.aloud else ""
            with contextlib.suppress(OSError):  # past sys.stderr, which the signal may have interrupted
                os.write(2, line.encode())
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold a run folder; the system lets go of it however the process ends.

    Raises:
        UserError: another process holds it; the folder cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise UserError(
            f"cannot write in the run folder {folder}: {error.strerror}; "
            "give yourself the right to write there, or choose another --name or --set runs=FOLDER"
        ) from error
    with file:
        try:
            if fcntl is not None:  # a lock that worker processes do not inherit: they may live on a little
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise UserError(
                    f"cannot lock the run folder {folder}: {error.strerror}; put the runs on another file "
                    "system with --set runs=FOLDER"
                ) from error
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{folder} is in use by {holder}: wait for it, stop it, or choose another --name"
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
