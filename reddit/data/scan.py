"""Reading every picture of a split once, for its size and its fingerprint.

Each thread holds one picture at a time; only sizes and fingerprints are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reddit.data.layouts import Layout, Split, locate
from reddit.data.pairing import Picture, TestPicture, find_pictures, survey
from reddit.data.pairs import load_picture
from reddit.image.pixels import fingerprint
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

THREADS = 2


@dataclass(frozen=True)
class Decoded:
    """A decoded picture: (height, width) and fingerprint."""

    size: tuple[int, int]
    digest: str


@dataclass(frozen=True)
class SplitScan:
    """One split, read from disk.

    Attributes:
        faults: files that have no partner or cannot be paired.
        seen: file → its size and fingerprint, or an error message if it cannot be decoded.
    """

    layout: Layout
    split: Split
    folders: tuple[Path, ...]
    pictures: list[TestPicture]
    faults: list[str]
    seen: dict[Path, Decoded | str]

    @property
    def label(self) -> str:
        return f"{self.layout.name}/{self.split}"

    def look_up(self, picture: Picture | None) -> Decoded | None:
        """Size and fingerprint of a file; None if there is none or it cannot be decoded."""
        seen = self.seen[picture] if isinstance(picture, Path) else None
        return seen if isinstance(seen, Decoded) else None

    def digests(self) -> dict[str, str]:
        """Fingerprint → name, for all low and high pictures."""
        return {
            seen.digest: picture.name
            for picture in self.pictures
            for side in (picture.low, picture.high)
            if (seen := self.look_up(side))
        }


def splits_on_disk(layout: Layout, root: Path) -> list[Split]:
    """The splits of a data set that are under a data root."""
    return [split for split in layout.parents if locate(layout, root, split)]


def scan_split(layout: Layout, root: Path, split: Split, quiet: bool) -> SplitScan:
    """Read a split that is on disk; files that cannot be paired or decoded are recorded, not raised."""
    folders = locate(layout, root, split)
    assert folders is not None  # checked by the caller
    pictures: list[TestPicture] = []
    faults: list[str] = []
    if layout.sides:
        found = survey(layout.name, root, split)
        pictures = [TestPicture(pair.name, pair.low, pair.high) for pair in found.pairs]
        faults = found.faults
    else:
        try:
            pictures = find_pictures(layout.name, root)
        except UserError as error:  # an empty folder
            faults = [str(error)]
    paths = {side: None for p in pictures for side in (p.low, p.high) if isinstance(side, Path)}
    return SplitScan(
        layout, split, folders, pictures, faults, _read_all(list(paths), f"{layout.name}/{split}", quiet)
    )


def _read_all(paths: Sequence[Path], label: str, quiet: bool) -> dict[Path, Decoded | str]:
    pool = ThreadPoolExecutor(THREADS)
    try:
        seen = pool.map(_look, paths)
        bar = progress(seen, label, "picture", total=len(paths), quiet=quiet)
        return dict(zip(paths, bar, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for the rest


def _look(path: Path) -> Decoded | str:
    try:
        picture = load_picture(path)
    except UserError as error:
        return str(error)
    return Decoded((picture.shape[0], picture.shape[1]), fingerprint(picture))
