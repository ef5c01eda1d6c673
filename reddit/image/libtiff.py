"""What libtiff, by which Pillow decodes some TIFFs, prints about damage: Pillow does not raise all of it."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from reddit.image.containers import DamagedError
from reddit.utils.text import short

_LINE = re.compile(rb"^((?:tempfile\.tif|JPEGLib|_?TIFF\w+|\w*(?:Decode|Setup)\w*): )(.*)\n?", re.MULTILINE)
"""A line of libtiff: the file's name in Pillow or a function of libtiff, and the message."""
_HARMLESS = re.compile(rb"_TIFFVSetField: |\S+ Warning")
"""Lines about tags that describe the picture, and warnings."""
_LOCK = threading.Lock()


@contextmanager
def errors_of_libtiff() -> Iterator[None]:
    """Standard error without libtiff's lines inside the block; they become an exception behind it.

    Lines of others, written meanwhile by another thread, are printed behind the block.

    Raises:
        DamagedError: libtiff has printed an error. Those about tags that describe the picture, and warnings,
            are left out.
    """
    try:
        error = os.dup(2)
    except OSError:  # a program without one
        yield
        return
    failed: Exception | None = None
    with _LOCK, tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except Exception as caught:
            failed = caught
        finally:
            os.dup2(error, 2)
            os.close(error)
        file.seek(0)
        printed = file.read()
    if others := _LINE.sub(b"", printed):
        os.write(2, others)
    errors = [line[2] for line in _LINE.finditer(printed) if not _HARMLESS.match(line[0])]
    if errors:
        raise DamagedError(short(errors[0].decode(errors="replace").rstrip("."))) from failed
    if failed is not None:
        raise failed
