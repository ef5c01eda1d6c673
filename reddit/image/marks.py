"""Results of this program are marked, so that it replaces them alone.

By the EXIF tag Software; in a BMP, which has no EXIF data, by the bytes that its header leaves to programs;
in a film by the name of its video track's handler.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import ExifTags, Image

from reddit.image.films import is_film, is_film_result
from reddit.image.tiff import opened
from reddit.utils.files import is_file

SOFTWARE = "reddit-llie"
_IN_BMP, _PLACE = b"rdli", slice(6, 10)


def mark(exif: Image.Exif) -> None:
    """Note in EXIF data that this program wrote the picture. A program that edits it notes its own name."""
    exif[ExifTags.Base.Software] = SOFTWARE


def is_marked(exif: Image.Exif) -> bool:
    """Whether `mark` was the last to note a program."""
    return exif.get(ExifTags.Base.Software) == SOFTWARE


def marked_bmp(data: bytes) -> bytes:
    """A BMP file with the mark in its header."""
    return data[: _PLACE.start] + _IN_BMP + data[_PLACE.stop :]


def is_result(path: Path) -> bool:
    """Whether a file carries the mark; False where it cannot be read."""
    if is_film(path):
        return is_film_result(path)
    if not is_file(path):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of big pictures: only their headers are read
            if path.suffix.lower() in (".tif", ".tiff"):  # Pillow knows fewer kinds of pixels
                with path.open("rb") as data, opened(data) as file:
                    return file.pages[0].aspage().software == SOFTWARE
            with Image.open(path) as image:
                if image.format == "BMP":
                    with path.open("rb") as header:
                        return header.read(_PLACE.stop)[_PLACE] == _IN_BMP
                return is_marked(image.getexif())
    except Exception:  # damaged, or no picture
        return False
