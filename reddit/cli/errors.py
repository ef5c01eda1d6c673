"""Errors of a command: one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from reddit.utils.errors import Stopped, UserError
from reddit.utils.text import printable, short

LONGEST_LINE = 900
"""Most characters of an error message."""
_NO_MEMORY = ("not enough memory", "can't allocate memory", "Cannot allocate memory")


class Terminated(KeyboardInterrupt):
    """SIGTERM, or SIGHUP of a terminal that is closed."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block as Ctrl-C does, so that nothing half-written remains.

    A second signal ends the process at once. Signals that are ignored, as under `nohup`, stay ignored.
    """
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    default = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    try:
        for number in default:
            signal.signal(number, handle)
    except ValueError:  # not the main thread
        default = []
    try:
        yield
    finally:
        for number in default:
            signal.signal(number, signal.SIG_DFL)


def run(main: Callable[[list[str] | None], int | None]) -> NoReturn:
    """Run a command's `main` and exit; an error that ends it prints one line.

    The exit code is 2 after an error the user can fix, 130 after Ctrl-C and 143 after SIGTERM.
    """
    try:
        code = main(None) or 0
        if sys.stdout is not None:  # None: it is closed
            sys.stdout.flush()
        _leave()
    except Stopped as stopped:
        if os.environ.get("RANK", "0") == "0":  # one process of a run prints it
            print(stopped, file=sys.stderr)
        code = stopped.code
    except UserError as error:
        print(*(f"error: {_shown(line)}" for line in str(error).split("\n")), sep="\n", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        print("stopped; finished results are kept: repeat the command to continue", file=sys.stderr)
        code = 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)
    except (MemoryError, RuntimeError) as error:
        line = _out_of_memory(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        code = 2
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        print("error: a file name contains a null byte: choose another name", file=sys.stderr)
        code = 2
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended
        _silence_output()
        code = 0
    except OSError as error:  # most are turned into a `UserError` where they happen
        if error.filename is not None:
            print(f"error: {short(str(error.filename))}: {error.strerror}", file=sys.stderr)
        elif error.errno == errno.ENOSPC:
            _silence_output()
            print(
                "error: cannot write to the standard output: no space left; free some space", file=sys.stderr
            )
        else:
            raise
        code = 2
    sys.exit(code)


def _shown(line: str) -> str:
    """A line with control characters escaped, shortened to `LONGEST_LINE`."""
    line = printable(line)
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2 :]}"  # the remedy stands at the end


def _out_of_memory(error: Exception) -> str | None:
    """The message for an out-of-memory error; None for other errors."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which may not be imported
        return "out of GPU memory: lower train.batch_size or data.crop, or use device=cpu"
    if isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY):
        return "out of memory: lower train.batch_size, data.crop or model.width, or --tile"
    return None


def _silence_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave() -> None:
    """Leave the process group of a distributed run, if there is one."""
    if "reddit.training.distributed" in sys.modules:
        sys.modules["reddit.training.distributed"].leave()
