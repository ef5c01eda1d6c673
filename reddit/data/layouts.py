"""Where each data set keeps its pictures, and how low and high are paired.

Pairs are matched by stem, never by position: `low00690.png` ↔ `normal00690.png`, `1.png` ↔ `1.jpg`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from reddit.errors import UserError
from reddit.images import list_images

Split = Literal["train", "test"]
Picture = Path | np.ndarray
"""A file, or RGB uint8 (H, W, 3) already in memory."""

_PREFIX = re.compile(r"^(low|normal|high|input|target|gt)[-_ ]?(?=.)", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A low-light picture and its truth."""

    name: str
    low: Picture
    high: Picture


@dataclass(frozen=True)
class Layout:
    """The folders of a paired data set, original release first, then common renamings."""

    name: str
    published: str
    train: tuple[tuple[str, str], ...]
    test: tuple[tuple[str, str], ...]

    def folders(self, split: Split) -> tuple[tuple[str, str], ...]:
        return self.train if split == "train" else self.test


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "lolv1",
            "https://daooshee.github.io/BMVC2018website/ (Wei et al. 2018)",
            train=(("LOLv1/our485/low", "LOLv1/our485/high"), ("LOLv1/Train/input", "LOLv1/Train/target")),
            test=(("LOLv1/eval15/low", "LOLv1/eval15/high"), ("LOLv1/Test/input", "LOLv1/Test/target")),
        ),
        Layout(
            "lolv2_real",
            "https://github.com/flyywh/CVPR-2020-Semi-Low-Light (Yang et al. 2021)",
            train=(("LOLv2/Real_captured/Train/Low", "LOLv2/Real_captured/Train/Normal"),),
            test=(("LOLv2/Real_captured/Test/Low", "LOLv2/Real_captured/Test/Normal"),),
        ),
        Layout(
            "lolv2_synthetic",
            "https://github.com/flyywh/CVPR-2020-Semi-Low-Light (Yang et al. 2021)",
            train=(("LOLv2/Synthetic/Train/Low", "LOLv2/Synthetic/Train/Normal"),),
            test=(("LOLv2/Synthetic/Test/Low", "LOLv2/Synthetic/Test/Normal"),),
        ),
    )
}


def find_pairs(name: str, root: Path, split: Split) -> list[Pair]:
    """The pairs of a known data set under the data root, sorted by name.

    Raises:
        UserError: the tree is missing (with the expected tree and where it is published), or a picture
            has no partner.
    """
    layout = LAYOUTS[name]
    for low, high in layout.folders(split):
        if (root / low).is_dir() and (root / high).is_dir():
            return pair_folders(root / low, root / high)
    raise UserError(_missing_tree(layout, root, split))


def _missing_tree(layout: Layout, root: Path, split: Split) -> str:
    ways = " or ".join(f"{root / low} + {root / high}" for low, high in layout.folders(split))
    return (
        f"data set {layout.name} ({split}) is not under {root.absolute()}: expected {ways}; "
        f"it is published at {layout.published}; say where yours is with REDDIT_DATA or --set data.root=FOLDER"
    )


def pair_key(path: Path) -> str:
    """The stem without a `low`/`normal`/`high` prefix: what the two halves of a pair share."""
    return _PREFIX.sub("", path.stem)


def pair_folders(low: Path, high: Path) -> list[Pair]:
    """Pair the pictures of two folders by stem.

    Raises:
        UserError: a folder is empty, two files share a stem, or a picture has no partner.
    """
    lows, highs = _by_key(low), _by_key(high)
    alone = [f"{low / lows[k].name}" for k in sorted(lows.keys() - highs.keys())]
    alone += [f"{high / highs[k].name}" for k in sorted(highs.keys() - lows.keys())]
    if alone:
        more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
        raise UserError(
            f"pictures without a partner of the same name: {', '.join(alone[:3])}{more}; "
            f"add or remove them ({len(lows)} in {low}, {len(highs)} in {high})"
        )
    return [Pair(key, lows[key], highs[key]) for key in sorted(lows)]


def _by_key(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder):
        key = pair_key(path)
        if key in found:
            raise UserError(f"{found[key]} and {path.name} share the name {key!r}; remove or rename one")
        found[key] = path
    if not found:
        raise UserError(f"no pictures in {folder}")
    return found
