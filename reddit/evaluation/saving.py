"""Where restored pictures may be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from reddit.data import Pair, TestPicture
from reddit.utils.errors import UserError


def check_save(
    folder: Path, pictures: Sequence[TestPicture | Pair], others: Iterable[Path] = (), flag: str = "--save"
) -> None:
    """See that pictures which are written as `folder/NAME.png` lie apart from those of a data set.

    Args:
        pictures: the test set: neither its lows nor its ground truth may get a new neighbour.
        others: further folders of pictures that are to stay as they are, with their subfolders.

    Raises:
        UserError: one would lie among them.
    """
    files = (file for picture in pictures for file in (picture.low, picture.high))
    inputs = {file.parent.resolve() for file in files if isinstance(file, Path)}
    inputs |= {other.resolve() for other in others}
    for target in {(folder / picture.name).parent.resolve() for picture in pictures}:
        for own in inputs & {target, *target.parents}:
            raise UserError(
                f"{flag} {folder}: would write among the pictures of {own} and could replace some; "
                "name another folder"
            )
