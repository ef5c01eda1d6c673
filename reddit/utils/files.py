"""Atomic writing: a file is written completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from reddit.utils.errors import UserError


def is_file(path: str | Path) -> bool:
    """Whether a path is an existing file; False for invalid paths."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name too long for the system, or one with a null byte
        return False


def is_folder(path: str | Path) -> bool:
    """As `is_file`, for a folder."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def check_overwrite(path: Path, option: str, ours: Callable[[Path], object]) -> None:
    """Check that a file that is to be written is new, or an earlier result of this program.

    Args:
        option: what named the file, for the message.
        ours: whether an existing file is such a result; an error means that it is not.

    Raises:
        UserError: the file would replace something else.
    """
    if not os.path.lexists(path):
        return
    try:
        if is_file(path) and ours(path):
            return
    except Exception:  # whatever fails to read it
        pass
    raise UserError(
        f"{option} {path} exists and is not an earlier result, or was edited: "
        "choose another file or folder, or remove it first"
    )


def begins(path: Path, with_bytes: bytes, within: int = 0) -> bool:
    """Whether a file begins with some bytes, or holds them in its first `within` bytes."""
    with path.open("rb") as file:
        head = file.read(max(within, len(with_bytes)))
    return with_bytes in head if within else head.startswith(with_bytes)


def file_digest(path: Path) -> str:
    """The first 12 hexadecimal digits of the file's SHA-256; reads the whole file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def modified(path: Path) -> float:
    """When a file was last written, in seconds; 0 if it is gone or cannot be asked."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    write_file(path, lambda temporary: temporary.write_bytes(data))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """As `write_bytes`, for a file that `write` writes piece by piece to the path that it receives."""
    try:
        write_atomic(path, write, durable=False)
    except OSError as error:
        remedies = {
            errno.ENOSPC: "free some space and run again",
            errno.ENAMETOOLONG: "choose a shorter name",
        }
        remedy = remedies.get(error.errno or 0, "check the folder")
        raise UserError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def write_atomic(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Write a file atomically: to a temporary file in the same folder, then rename it.

    Args:
        write: receives the temporary path and writes it; its errors are passed on.
        durable: wait until the file is on disk, so that it also survives a power cut.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{_beginning(path)}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        permissions = temporary.stat().st_mode  # from the umask; safetensors writes private files
        write(temporary)
        temporary.chmod(permissions)
        if durable:
            _flush(temporary)
        temporary.replace(path)
        if durable:
            _flush(path.parent)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):  # the folder itself may be the problem
            temporary.unlink()
        raise


def _beginning(path: Path) -> str:
    """How the names of its temporary files begin: a name may have 255 bytes, and theirs are longer."""
    return path.name.encode(errors="surrogateescape")[:200].decode(errors="ignore")


def remove_leftovers_of(path: Path) -> None:
    """Remove the temporary files that killed processes of this machine have left of a file."""
    if os.name == "nt" or not is_folder(path.parent):  # there, asking for a process would end it
        return
    ours = re.compile(rf"\.{re.escape(_beginning(path))}\.(\d+)\.tmp")
    with contextlib.suppress(OSError):  # writing to the folder then fails in words
        for file in path.parent.iterdir():
            found = ours.fullmatch(file.name)
            if found and not _runs(int(found[1])):
                file.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes from a folder that no other process uses."""
    for path in folder.glob(".*.tmp"):
        if re.fullmatch(r"\..+\.\d+\.tmp", path.name):  # as `write_atomic` names them
            path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, from the system's cache to disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # some network file systems cannot flush folders
    finally:
        os.close(handle)
