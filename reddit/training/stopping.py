"""Stopping a run safely on SIGTERM and Ctrl-C, and locking its folder."""

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


LOCK = ".lock"


class StopRequest:
    """True once SIGTERM or Ctrl-C was received; a second Ctrl-C stops at once.

    Preemptible machines allow half a minute after SIGTERM, so the loop checks after every step and validation
    after every picture.

    Args:
        aloud: print a message at the first signal; one of several processes is enough.
        alone: no other processes take part in the run.
    """

    def __init__(self, aloud: bool = True, alone: bool = True) -> None:
        self.aloud = aloud
        self.alone = alone
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def error(self, where: str) -> Stopped:
        """The exception for the loop to raise after saving."""
        number = self.signal or signal.SIGTERM
        message = f"stopped by {number.name} {where}; run the same command again to resume"
        return Stopped(message, 128 + number)

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Handle the two signals inside the block, if this is the main thread.

        After an error of one of several processes SIGTERM stays ignored: torchrun sends it to the others when
        one is lost, and they still have to print why they end.
        """
        try:
            before = {s: signal.signal(s, self._handle) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread
            yield self
            return
        try:
            yield self
        except UserError:
            if not self.alone:
                before[signal.SIGTERM] = signal.SIG_IGN
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            line = f"\n{self.signal.name}: writing a checkpoint, then stopping\n" if self.aloud else ""
            with contextlib.suppress(OSError):  # not sys.stderr, which the signal may have interrupted
                os.write(2, line.encode())
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Lock a run folder; the system releases the lock when the process ends.

    Raises:
        UserError: another process uses the folder; the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise UserError(
            f"cannot write in the run folder {folder}: {error.strerror}; "
            "change its permissions, or choose another --name or --set runs=FOLDER"
        ) from error
    with file:
        try:
            if fcntl is not None:  # not inherited by worker processes, which may live a little longer
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
        with contextlib.suppress(OSError):  # a full disk: the lock works without the name
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
