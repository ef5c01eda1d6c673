"""The check of the folder for restored pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from reddit.data import Pair, TestPicture
from reddit.image.marks import is_result
from reddit.utils.errors import UserError
from reddit.utils.files import check_overwrite


def check_save(
    folder: Path, pictures: Sequence[TestPicture | Pair], others: Iterable[Path] = (), flag: str = "--save"
) -> None:
    """Check that pictures written as `folder/NAME.png` do not go into the folders of a data set.

    Args:
        pictures: the test set, whose folders are protected.
        others: further protected folders, with their subfolders.
        flag: the option that named the folder, for the message.

    Raises:
        UserError: a picture would go into a protected folder, or replace one that is no earlier result.
    """
    files = (file for picture in pictures for file in (picture.low, picture.high))
    inputs = {file.parent.resolve() for file in files if isinstance(file, Path)}
    inputs |= {other.resolve() for other in others}
    for target in {(folder / picture.name).parent.resolve() for picture in pictures}:
        for own in inputs & {target, *target.parents}:
            raise UserError(
                f"{flag} {folder}: would write into {own}, which holds pictures of a data set; "
                "choose another folder"
            )
    for picture in pictures:
        check_overwrite(folder / f"{picture.name}.png", flag, is_result)
