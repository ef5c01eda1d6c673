"""Pairing low and high pictures: by name, never by position; a picture without a partner is reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from reddit.data.layouts import LAYOUTS, Layout, Split, get_layout, located, scene_of
from reddit.image.read import EXTENSIONS, list_images
from reddit.utils.errors import UserError

Frames = Literal["all", "first30"]
"""Which frames of a video are used; published scores use either."""
Picture = Path | np.ndarray
"""A file, or RGB uint8 (H, W, 3) already in memory."""

FIRST_FRAMES = 30
_SUFFIXES = (*EXTENSIONS, ".npy")
_SIDE = "(?:low|normal|high|input|target|gt)"
# Set off from the rest of the name, by a sign or by being next to a number: `lowland` is a word.
_PREFIX = re.compile(rf"^{_SIDE}(?:[-_ ]+(?=.)|(?=\d))", re.IGNORECASE)
_SUFFIX = re.compile(rf"(?:(?<=.)[-_ ]+|(?<=\d)){_SIDE}$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A low-light picture and its ground truth; pairs of one `scene` stay on one side of a split."""

    name: str
    low: Picture
    high: Picture
    scene: str = ""


class TestPicture(NamedTuple):
    """A test picture and, where one exists, its ground truth.

    Where only the ground truth is on disk, `low` is the same object. `part` names its part of a mixture.
    """

    name: str
    low: Picture
    high: Picture | None
    part: str = ""


TestPicture.__test__ = False  # type: ignore[attr-defined]  # otherwise pytest collects it because of its name


@dataclass(frozen=True)
class Found:
    """The pairs of a split, and one line for each problem in pairing."""

    pairs: list[Pair]
    faults: list[str]


def survey(name: str, root: Path, split: Split, frames: Frames = "all") -> Found:
    """Pair the pictures on disk and list the problems.

    Raises:
        UserError: an unknown name or frames, a set without ground truth, or missing folders (names the
            expected folders and where to download the set).
    """
    layout = get_layout(name)
    if frames not in ("all", "first30"):
        raise UserError(f"frames: {frames!r} is not known; all or first30")
    if frames == "first30" and layout.kind != "videos":
        videos = ", ".join(n for n, other in LAYOUTS.items() if other.kind == "videos")
        raise UserError(f"frames first30 is for videos ({videos}); {name} has single pictures")
    if layout.kind == "pictures":
        raise UserError(f"data set {name} has no ground truth: it can be enhanced and scored, not trained on")
    low, high = located(layout, root, split)
    if layout.kind == "pairs":
        return match_folders(low, high)
    return _match_scenes(layout, low, high, split, FIRST_FRAMES if frames == "first30" else None)


def find_pairs(name: str, root: Path, split: Split, frames: Frames = "all") -> list[Pair]:
    """The pairs of a data set under the data root, sorted by name; names are unique.

    Args:
        name: a key of `LAYOUTS` whose set has ground truth.
        root: the data root.
        split: `train` or `test`.
        frames: `first30` keeps the first 30 frames of each video.

    Raises:
        UserError: as in `survey`; or a folder is empty or a picture has no partner.
    """
    return _faultless(survey(name, root, split, frames))


def find_pictures(name: str, root: Path) -> list[TestPicture]:
    """The pictures of a set without ground truth, named by stem, or by file name if two share a stem.

    Raises:
        UserError: an unknown name, a missing or empty folder.
    """
    (folder,) = located(get_layout(name), root, "test")
    paths = list_images(folder, _SUFFIXES)
    if not paths:
        raise UserError(f"no pictures in {folder}")
    stems = [path.stem for path in paths]
    return [TestPicture(p.stem if stems.count(p.stem) == 1 else p.name, p, None) for p in paths]


def find_truths(name: str, root: Path) -> list[TestPicture]:
    """The ground truths of a set of pairs whose low pictures are not on disk.

    Raises:
        UserError: an unknown name, another kind of set, or a missing or empty folder.
    """
    layout = get_layout(name)
    if layout.kind != "pairs":
        raise UserError(f"{name} cannot be scored without its low pictures, which name its scenes")
    truths = replace(layout, sides=layout.sides[1:])
    (folder,) = located(truths, root, "test")
    return truths_in(folder)


def truths_in(folder: Path) -> list[TestPicture]:
    """The pictures of a folder as ground truths, named by `pair_key`, or by stem if two share that.

    Raises:
        UserError: the folder is empty.
    """
    paths = list_images(folder, _SUFFIXES)
    if not paths:
        raise UserError(f"no pictures in {folder}")
    keys = [pair_key(path) for path in paths]
    unique = len(set(keys)) == len(keys)
    return [TestPicture(key if unique else p.stem, p, p) for key, p in zip(keys, paths, strict=True)]


def pair_key(path: Path) -> str:
    """The file name without extension and without `low`, `normal` … at its beginning or end; pairs share it.

    `low00001` and `normal-00001` have the key `00001`, and so has `00001_high`.
    """
    key = _PREFIX.sub("", path.stem)
    return key if key != path.stem else _SUFFIX.sub("", key)


def pair_folders(low: Path, high: Path) -> list[Pair]:
    """Pair the pictures of two folders: those of the same name, then those of the same `pair_key`.

    Raises:
        UserError: a folder is empty, two files share a stem, or a picture has no partner.
    """
    return _faultless(match_folders(low, high))


def _faultless(found: Found) -> list[Pair]:
    if found.faults:
        more = f"; and {len(found.faults) - 3} more such faults" if len(found.faults) > 3 else ""
        raise UserError("; ".join(found.faults[:3]) + more)
    return found.pairs


def match_folders(low: Path, high: Path, scene: str = "") -> Found:
    """Like `pair_folders`, but lists problems instead of raising; `scene` is prepended to the names."""
    left = [list_images(folder, _SUFFIXES) for folder in (low, high)]
    faults = [
        f"no pictures in {folder}" for folder, paths in zip((low, high), left, strict=True) if not paths
    ]
    if faults:
        return Found([], faults)
    matched: dict[str, tuple[Path, Path]] = {}
    for key_of in (_stem, pair_key):
        lows, highs = (_by_key(paths, key_of, faults) for paths in left)
        both = lows.keys() & highs.keys()
        clash = both & matched.keys()  # then names are stems, which are unique
        matched |= {(lows[key].stem if clash else key): (lows[key], highs[key]) for key in both}
        left = [[path for key, path in side.items() if key not in both] for side in (lows, highs)]
    for paths, other in zip(left, (high, low), strict=True):
        faults += [f"{path} has no partner of the same name in {other}" for path in paths]
    prefix = f"{scene}/" if scene else ""
    return Found([Pair(prefix + name, *matched[name], scene_of(scene)) for name in sorted(matched)], faults)


def _stem(path: Path) -> str:
    return path.stem


def _by_key(paths: Sequence[Path], key_of: Callable[[Path], str], faults: list[str]) -> dict[str, Path]:
    """The pictures by key; a fault for each whose key another one has."""
    found: dict[str, Path] = {}
    for path in paths:
        key = key_of(path)
        if key in found:
            faults.append(f"{found[key]} and {path.name} share the name {key!r}; remove or rename one")
        else:
            found[key] = path
    return found


def _match_scenes(layout: Layout, low: Path, high: Path, split: Split, frames: int | None) -> Found:
    lows, highs = (
        {p.name for p in _inside(side) if layout.split_of(p.name) == split} for side in (low, high)
    )
    faults = [f"{low / name} has no partner folder in {high}" for name in sorted(lows - highs)]
    faults += [f"{high / name} has no partner folder in {low}" for name in sorted(highs - lows)]
    if not lows and not highs:
        faults.append(f"no {split} scenes of {layout.name} in {low}")
    pairs = []
    for name in sorted(lows & highs, key=_natural):
        if layout.kind == "videos":
            found = match_folders(low / name, high / name, name)
            pairs += sorted(found.pairs, key=lambda pair: _natural(pair.name))[:frames]
        else:
            found = _match_gt(low / name, high / name, name)
            pairs += found.pairs
        faults += found.faults
    return Found(pairs, faults)


def _match_gt(low: Path, high: Path, scene: str) -> Found:
    """Pair every low picture of a scene with the scene's first high picture."""
    faults: list[str] = []
    lows = _by_key(list_images(low, _SUFFIXES), pair_key, faults)
    highs = list_images(high, _SUFFIXES)
    for folder, found in ((low, lows), (high, highs)):
        if not found:
            return Found([], [*faults, f"no pictures in {folder}"])
    return Found([Pair(f"{scene}/{key}", lows[key], highs[0], scene) for key in sorted(lows)], faults)


def _inside(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that orders numbers by value: `pair2` before `pair10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
