"""Commands that are watched while they meet hostile inputs: time, memory, exit code, output, code run, NaN.

`Watch` forks a worker which calls the commands of many cases; the parent ends it where a case takes too long
or too much memory, and starts another one for the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from reddit.cli.errors import run
from reddit.cli.main import main

SLOW, HUNG = 10.0, 30.0
"""Seconds: what counts as a hang, and when a case is ended."""
MOST_MEMORY = 3 * 2**20
"""Kibibytes of a process."""
CAPABILITIES, PASS_PERMISSIONS = 0x20080522, (1, 2)
"""The version of the structures in `linux/capability.h`; CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
LONGEST_OUTPUT = 20_000
"""Most bytes that a command prints."""
PROCESSES = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"}
PROCESSES |= {"subprocess.Popen", "socket.connect", "shutil.unpack_archive"}
UNPICKLED = {"os", "posix", "nt", "subprocess", "builtins", "sys", "shutil", "socket"}
TRACING = {"fx", "_dynamo", "_export", "_inductor"}
DECODER = re.compile(r"^(?:tempfile\.tif|JPEGLib|_?TIFF\w+|\w+Decode\w*): ", re.MULTILINE)
"""Lines of libtiff."""
KINDS = ("traceback", "hang", "memory", "code run", "NaN", "exit code", "message", "other")
"""What can go wrong."""


@dataclass
class Case:
    """What commands on one input did.

    Attributes:
        peak: kibibytes of the process at most.
        codes: exit codes.
        faults: pairs of one of `KINDS` and what was seen.
    """

    number: int
    seconds: float = 0.0
    peak: int = 0
    codes: list[int] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)


class Hook:
    """Notes code that an input has run, and values that are not finite."""

    def __init__(self) -> None:
        self.watching = False
        self.seen: list[tuple[str, str]] = []
        self.written: Path | None = None
        """Where files may be written."""
        sys.addaudithook(self.audit)
        torch.nn.modules.module.register_module_forward_hook(self.forward)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event in PROCESSES:
            self.seen.append(("code run", f"{event} {arguments!r:.200}"))
        elif event == "ctypes.dlopen" and arguments[0] is not None:  # None: the C library, for its allocator
            self.seen.append(("code run", f"loads {arguments!r:.200}"))
        elif event == "pickle.find_class" and arguments[0] in UNPICKLED:
            self.seen.append(("code run", f"unpickled {arguments!r:.200}"))
        elif event == "exec" and getattr(arguments[0], "co_filename", "") == "<string>":
            if not _by_a_library():
                self.seen.append(("code run", f"exec {arguments!r:.200}"))
        elif event == "open" and isinstance(arguments[0], str) and _writes(arguments):
            path = Path(arguments[0]).absolute()
            # A temporary file without a name; the weights of LPIPS, which PyTorch downloads.
            allowed = path == Path(tempfile.gettempdir()) or path.is_relative_to(torch.hub.get_dir())
            inside = self.written and path.is_relative_to(self.written)
            if self.written and not (allowed or inside or path.parts[1] == "dev"):
                self.seen.append(("other", f"opens {str(path)!r:.200} to write"))

    def forward(self, module: torch.nn.Module, _: object, output: object) -> None:
        if not self.watching or type(output) is not torch.Tensor or torch.compiler.is_compiling():
            return  # traced tensors hold no values
        if not output.isfinite().all():
            self.seen.append(("NaN", f"{type(module).__name__} gives values that are not finite"))


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _by_a_library() -> bool:
    """Whether a library makes a class by `exec`, such as a dataclass, or PyTorch a traced function."""
    path = Path(sys._getframe(2).f_code.co_filename)
    return path.name in ("dataclasses.py", "__init__.py", "_make.py") or bool(TRACING & set(path.parts))


@contextlib.contextmanager
def _output_in(file: Any) -> Iterator[None]:
    """Standard output and error in a file, those of libraries in C as well."""
    streams, saved = (sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    for stream in streams:
        stream.flush()
    for number in (1, 2):
        os.dup2(file.fileno(), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        sys.stdout, sys.stderr = streams
        for number, copy in enumerate(saved, 1):
            os.dup2(copy, number)
            os.close(copy)


def called(command: Sequence[str], hook: Hook) -> tuple[int, str, list[tuple[str, str]]]:
    """Call a command in this process; its exit code, what it prints, and what went wrong."""
    hook.seen, code = [], 0
    with tempfile.TemporaryFile() as file:
        with _output_in(file):
            hook.watching = True
            try:
                run(lambda _: main(list(command)))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
                code = 70
            hook.watching = False
        file.seek(0)
        text = file.read().decode(errors="replace")
    return code, text, [*_judged(code, text), *_of_hook(hook.seen, code)]


def _of_hook(seen: list[tuple[str, str]], code: int) -> list[tuple[str, str]]:
    """Values that are not finite are a fault where the command says that all is well."""
    found = list(dict.fromkeys(seen))
    return [fault for fault in found if fault[0] != "NaN" or code == 0]


def _judged(code: int, text: str) -> list[tuple[str, str]]:
    if code == 70 or "Traceback (most recent call last)" in text:
        return [("traceback", text[-1500:])]
    faults = []
    if code not in (0, 1, 2):
        faults.append(("exit code", f"{code}: {text[-300:]}"))
    if code == 2 and not any("error: " in line for line in text.split("\n")):
        faults.append(("message", f"exit code 2 without a line: {text[-300:]!r}"))
    if line := DECODER.search(text):
        faults.append(("message", f"a decoder's line: {text[line.start() :][:200]!r}"))
    if len(text) > LONGEST_OUTPUT:
        faults.append(("message", f"{len(text)} characters"))
    if odd := {character for character in text if not character.isprintable()} - set("\n\r\t"):
        faults.append(("message", f"control characters {sorted(odd)} in {text[:300]!r}"))
    return faults


Prepare = Callable[[random.Random, Path], list[list[str]]]
"""Writes the input of a case into a folder, and gives the commands that are called there."""
Check = Callable[[Path, list[str], int, str], list[tuple[str, str]]]
"""What is wrong with what a command left in the folder; receives its exit code and what it printed."""


def one_case(number: int, seed: int, prepare: Prepare, check: Check, folder: Path, hook: Hook) -> Case:
    """Prepare a case and call its commands, in the current process."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    case, hook.written = Case(number), folder
    (folder / "started").touch()
    commands = prepare(random.Random(seed * 10**7 + number), folder)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = time.monotonic()
    for command in commands:
        began = time.monotonic()
        code, text, faults = called(command, hook)
        seconds = time.monotonic() - began
        case.codes.append(code)
        if seconds > SLOW:
            faults.append(("hang", f"{seconds:.1f} s"))
        faults += check(folder, command, code, text)
        if faults:
            case.faults += [(kind, f"{' '.join(command)!r:.300}: {what}") for kind, what in faults]
    case.seconds, case.peak = time.monotonic() - start, peak()
    if case.peak > MOST_MEMORY:
        case.faults.append(("memory", f"{case.peak / 2**20:.1f} GiB"))
    return case


def peak() -> int:
    """Kibibytes of this process at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize() // 1024


def watched(
    numbers: Sequence[int], seed: int, prepare: Prepare, check: Check, folder: Path, keep: Path
) -> Iterator[Case]:
    """The outcomes of cases, called in forked workers.

    Args:
        folder: holds a folder for the case at hand.
        keep: a folder for copies of the inputs that failed.
    """
    left = list(numbers)
    while left:
        (reading, writing), (ready, go) = os.pipe(), os.pipe()
        worker = os.fork()
        if worker == 0:
            os.close(reading)
            os.close(go)
            _work(left, seed, prepare, check, folder, writing, ready)
        os.close(writing)
        os.close(ready)
        for case in _until_it_ends(worker, reading, left):
            if case.faults:
                target = keep / str(case.number)
                shutil.rmtree(target, ignore_errors=True)
                with contextlib.suppress(OSError, shutil.Error):
                    shutil.copytree(folder / str(case.number), target, symlinks=True, ignore=_no_pipes)
                with contextlib.suppress(BrokenPipeError):  # it was ended
                    os.write(go, b".")
            _remove(folder / str(case.number))
            yield case
        os.close(reading)
        os.close(go)


def _remove(folder: Path) -> None:
    """Remove a folder, even if some folders in it may not be listed."""
    for inner, names, _ in os.walk(folder):
        for name in names:
            if not (path := Path(inner) / name).is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _no_pipes(folder: str, names: list[str]) -> list[str]:
    paths = {name: Path(folder) / name for name in names}
    return [name for name, path in paths.items() if path.is_fifo() or path.is_socket()]


def _work(
    numbers: Sequence[int], seed: int, prepare: Prepare, check: Check, folder: Path, pipe: int, ready: int
) -> None:
    os.setsid()
    obey_permissions()
    hook = Hook()
    try:
        for number in numbers:
            os.write(pipe, json.dumps({"start": number}).encode() + b"\n")
            case = one_case(number, seed, prepare, check, folder / str(number), hook)
            os.write(pipe, json.dumps(asdict(case)).encode() + b"\n")
            if case.faults:  # what it left is copied before the next begins
                os.read(ready, 1)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def obey_permissions() -> None:
    """Give up the capabilities of root for which no file is unreadable (capabilities(7))."""
    if os.geteuid() != 0:
        return
    libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    libc.capget(header, sets)
    for place in (0, 1):
        sets[place] &= ~sum(1 << capability for capability in PASS_PERMISSIONS)
    libc.capset(header, sets)


def _until_it_ends(worker: int, pipe: int, left: list[int]) -> Iterator[Case]:
    """The cases of a worker, in order; they are taken from those that are left."""
    buffer, start, number, most = b"", time.monotonic(), None, 0
    while True:
        ready, _, _ = select.select([pipe], [], [], 0.02)
        most = max(most, _resident(worker))
        if ready:
            chunk = os.read(pipe, 65536)
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in map(json.loads, lines):
                if "start" in line:
                    start, number, most = time.monotonic(), line["start"], 0
                    continue
                left.remove(line["number"])
                number = None
                yield Case(**line)
        elif number is not None and (most > MOST_MEMORY or time.monotonic() - start > HUNG):
            break
    lost = number is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)
    status = os.waitpid(worker, 0)[1]
    if lost and number is not None:
        left.remove(number)
        seconds = time.monotonic() - start
        kind = "memory" if most > MOST_MEMORY else "hang" if seconds > HUNG else "traceback"
        what = f"ended after {seconds:.1f} s, {most / 2**20:.1f} GiB, status {status}"
        yield Case(number, seconds, most, faults=[(kind, what)])
