"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from reddit.utils.errors import UserError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    try:
        write_atomic(path, lambda temporary: temporary.write_bytes(data), durable=False)
    except OSError as error:
        remedy = "free some space and run again" if error.errno == errno.ENOSPC else "check the folder"
        raise UserError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def write_atomic(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Write a file whole or not at all: to a temporary neighbour, then renamed.

    Args:
        write: writes the file that it is given; whatever it raises is raised here.
        durable: wait until the file is on the disk, so that it also survives a power cut.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        permissions = temporary.stat().st_mode  # as the umask grants; safetensors makes private files
        write(temporary)
        temporary.chmod(permissions)
        if durable:
            _flush(temporary)
        temporary.replace(path)
        if durable:
            _flush(path.parent)
    except Exception:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            temporary.unlink()
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote left in a folder that is ours alone."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the system put a file or a folder's list of files on the disk, not only in its memory."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # some network file systems flush no folders
    finally:
        os.close(handle)
