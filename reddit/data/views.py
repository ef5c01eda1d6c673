"""Laying out good photographs for `data.dataset=photos`: large ones are cut into views and shrunk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reddit.data.photos import find_photos
from reddit.image.arrays import shrink
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.progress import Log, progress
from reddit.utils.text import counted

LONGEST = 800
"""Longest side of a view, in pixels, so that a training crop shows objects and not only texture."""
LARGE = 2 * LONGEST
"""Photographs with a longer side give nine views, others one."""


def lay_out_photos(
    sources: list[Path], name: str, root: Path, *, quiet: bool = False, log: Log = print
) -> list[Path]:
    """Write the views of the photographs of some folders to `photos/NAME` under the data root, as JPEG.

    Existing files are kept, so the command can be repeated.

    Returns:
        The files written.

    Raises:
        UserError: a source holds no pictures, or the name is a path; a photograph cannot be read, after all
            others were written.
    """
    if Path(name).name != name:
        raise UserError(f"--name {name!r} is no name of a folder: choose one without / and ..")
    folder = root / "photos" / name
    if any(folder.resolve() == source.resolve() for source in sources):
        raise UserError(f"--from {folder} is where the views are written: name another folder")
    photos = [photo for source in sources for photo in find_photos(source)]
    written, failed = [], []
    for number, photo in enumerate(progress(photos, "cutting views", "photograph", quiet=quiet)):
        targets = folder.glob(f"{number:05d}-*.jpg")
        if any(targets):
            continue
        try:
            picture = read_uint8(photo)
        except UserError as error:
            failed.append(str(error))
            continue
        for view, pixels in enumerate(views(picture)):
            target = folder / f"{number:05d}-{view}-{photo.stem[:40]}.jpg"
            write_bytes(target, encode(pixels, ".jpg", quality=95))
            written.append(target)
    log(f"{len(written)} views of {len(photos) - len(failed)} photographs in {folder}")
    if failed:
        raise UserError(f"{counted(len(failed), 'photograph')} left out; the first: {failed[0]}")
    return written


def views(picture: np.ndarray) -> Iterator[np.ndarray]:
    """The whole (H, W, 3), shrunk; of a large one also its corners, of 2/3 and of 1/2 of the sides."""
    yield shrink(picture, LONGEST)
    height, width = picture.shape[:2]
    if max(height, width) <= LARGE:
        return
    for down, right in ((height * 2 // 3, width * 2 // 3), (height // 2, width // 2)):
        for rows in (slice(down), slice(height - down, height)):
            for columns in (slice(right), slice(width - right, width)):
                yield shrink(picture[rows, columns], LONGEST)
