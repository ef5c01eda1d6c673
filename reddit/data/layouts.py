"""Where each data set keeps its pictures, and how low and high are paired.

Pairs are matched by stem, never by position: `low00690.png` ↔ `normal00690.png`, `1.png` ↔ `1.jpg`.
Folder names are matched without regard to letter case, `-`, `_` and blanks: `LOL-v2` is `LOLv2`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from reddit.errors import UserError
from reddit.images import EXTENSIONS, list_images

Split = Literal["train", "test"]
Frames = Literal["all", "first30"]
"""Which frames of a video: published scores use either."""
Picture = Path | np.ndarray
"""A file, or RGB uint8 (H, W, 3) already in memory."""

FIRST_FRAMES = 30
_SUFFIXES = (*EXTENSIONS, ".npy")
_PREFIX = re.compile(r"^(low|normal|high|input|target|gt)[-_ ]?(?=.)", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A low-light picture and its truth; pairs of one `scene` belong on one side of a split."""

    name: str
    low: Picture
    high: Picture
    scene: str = ""


class TestPicture(NamedTuple):
    """A test picture and, where one exists, its truth."""

    name: str
    low: Picture
    high: Picture | None


TestPicture.__test__ = False  # type: ignore[attr-defined]  # the name would have pytest collect it


@dataclass(frozen=True)
class Found:
    """What a split's folders hold: the pairs, and one line for each thing that cannot be paired."""

    pairs: list[Pair]
    faults: list[str]


@dataclass(frozen=True)
class Layout:
    """A data set's tree.

    Attributes:
        name: as in `--dataset`.
        published: where it can be had, and whose it is.
        parents: for each split the folder that holds `sides`; `a|b` are alternatives, the original
            release's name first, and `a?` is a part that may be absent.
        sides: the folders of the lows and of the highs; none for pictures without truth.
        counts: published numbers of pairs, pictures or (`videos`) videos; several where releases differ.
        kind: `pairs`: two flat folders; `shared_truth`: a folder a scene, whose lows share the first
            high; `videos`: a folder a video, frames paired by name; `pictures`: one flat folder.
        split_of: for a tree without folders for the splits: which one a scene belongs to, if any.
    """

    name: str
    published: str
    parents: Mapping[Split, str]
    sides: tuple[str, ...]
    counts: Mapping[Split, tuple[int, ...]]
    kind: Literal["pairs", "shared_truth", "videos", "pictures"] = "pairs"
    split_of: Callable[[str], Split | None] = field(default=lambda scene: None)

    def folders(self, split: Split) -> tuple[Path, ...]:
        """The folders of the original release, relative to the data root: low and high, or one."""
        parts = [part for part in self.parents[split].split("/") if not part.endswith("?")]
        parent = Path(*(part.split("|")[0] for part in parts))
        return tuple(parent / side.split("|")[0] for side in self.sides) or (parent,)


def scene_of(video: str) -> str:
    """SDSD filmed some scenes twice: `pair1_2` shows the scene of `pair1`."""
    return video.removesuffix("_2")


def _sid_split(scene: str) -> Split | None:
    """SID numbers its training scenes 0…, its validation scenes 2… and its test scenes 1…."""
    return "train" if scene[0] in "02" else "test" if scene[0] == "1" else None


def _test_scenes(names: str) -> Callable[[str], Split]:
    held = frozenset(names.split())
    return lambda scene: "test" if scene_of(scene) in held else "train"


_STATIC = "https://github.com/dvlab-research/SNR-Aware-Low-Light-Enhance"
_COLLECTED = "https://github.com/VITA-Group/EnlightenGAN, testing data"
_LOLV2 = "https://github.com/flyywh/CVPR-2020-Semi-Low-Light (Yang et al. 2021)"


def _without_truth(folder: str, authors: str, *counts: int) -> Layout:
    return Layout(
        folder.lower(),
        f"{_COLLECTED} ({authors})",
        parents={"test": f"unpaired?/{folder}"},
        sides=(),
        counts={"test": counts},
        kind="pictures",
    )


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "lolv1",
            "https://daooshee.github.io/BMVC2018website/ (Wei et al. 2018)",
            parents={
                "train": "LOLv1|LOLdataset|LOL/our485|Train",
                "test": "LOLv1|LOLdataset|LOL/eval15|Test",
            },
            sides=("low|input", "high|target"),
            counts={"train": (485,), "test": (15,)},
        ),
        Layout(
            "lolv2_real",
            _LOLV2,
            parents={"train": "LOLv2/Real_captured|Real/Train", "test": "LOLv2/Real_captured|Real/Test"},
            sides=("Low|input", "Normal|high|target"),
            counts={"train": (689,), "test": (100,)},
        ),
        Layout(
            "lolv2_synthetic",
            _LOLV2,
            parents={"train": "LOLv2/Synthetic|Syn/Train", "test": "LOLv2/Synthetic|Syn/Test"},
            sides=("Low|input", "Normal|high|target"),
            counts={"train": (900,), "test": (100,)},
        ),
        Layout(
            "sid",
            f"{_STATIC} (Chen et al. 2018, resized)",
            parents={"train": "SID", "test": "SID"},
            sides=("short_sid2|short", "long_sid2|long"),
            counts={"train": (2099,), "test": (598,)},
            kind="shared_truth",
            split_of=_sid_split,
        ),
        Layout(
            "sdsd_indoor",
            f"{_STATIC} (Wang et al. 2021, static version)",
            parents=dict.fromkeys(("train", "test"), "SDSD/indoor_static_np|indoor"),
            sides=("input", "GT"),
            counts={"train": (62,), "test": (6,)},
            kind="videos",
            split_of=_test_scenes("pair1 pair4 pair9 pair11 pair19 pair21"),
        ),
        Layout(
            "sdsd_outdoor",
            f"{_STATIC} (Wang et al. 2021, static version)",
            parents=dict.fromkeys(("train", "test"), "SDSD/outdoor_static_np|outdoor"),
            sides=("input", "GT"),
            counts={"train": (116,), "test": (10,)},
            kind="videos",
            # The held-out scenes of SNR-Aware (options/test/SDSD_outdoor.yml), which the field follows.
            split_of=_test_scenes(
                "MVI_0898 MVI_0906 MVI_0928 MVI_0975 MVI_0997 MVI_1001 MVI_1003 MVI_1026 MVI_1030 MVI_1032"
            ),
        ),
        _without_truth("DICM", "Lee et al. 2012", 69, 64, 44),
        _without_truth("LIME", "Guo et al. 2016", 10),
        _without_truth("MEF", "Ma et al. 2015", 17),
        _without_truth("NPE", "Wang et al. 2013", 84, 85, 8),
        _without_truth("VV", "Vonikakis", 24),
    )
}


def get_layout(name: str) -> Layout:
    """The layout of a data set; an unknown name is a UserError that lists the known ones."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    near = difflib.get_close_matches(name, LAYOUTS, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(f"{name!r} is not a known data set; {hint}known: {', '.join(LAYOUTS)}")


def subfolders(folder: Path, pattern: str) -> list[Path]:
    """Folders inside `folder` that fit `a|b`, the first alternative and its exact spelling first."""
    names = pattern.split("|")
    wanted = [_plain(name) for name in names]
    try:
        inside = [path for path in folder.iterdir() if folder_fits(path.name, pattern) and path.is_dir()]
    except OSError:  # not there, or not ours to read: nothing fits
        return []
    return sorted(inside, key=lambda p: (wanted.index(_plain(p.name)), p.name not in names, p.name))


def folder_fits(name: str, pattern: str) -> bool:
    """Whether a folder's name is one of `a|b`, in whatever spelling."""
    return _plain(name) in map(_plain, pattern.split("|"))


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()


def _parents(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    head, rest = parts[0], parts[1:]
    if head.endswith("?"):
        yield from _parents(folder, rest)
    for inside in subfolders(folder, head.removesuffix("?")):
        yield from _parents(inside, rest)


def sides_of(layout: Layout, parent: Path) -> tuple[Path, ...] | None:
    """The low and the high folder inside a parent (the parent itself for pictures without truth)."""
    if not layout.sides:
        return (parent,)
    inside = [subfolders(parent, side) for side in layout.sides]
    return tuple(fits[0] for fits in inside) if all(inside) else None


def locate(layout: Layout, root: Path, split: Split) -> tuple[Path, ...] | None:
    """The folders of a split under the data root, in whatever accepted spelling; None if missing."""
    if split not in layout.parents:
        return None
    for parent in _parents(root, layout.parents[split].split("/")):
        if folders := sides_of(layout, parent):
            return folders
    return None


def _located(layout: Layout, root: Path, split: Split) -> tuple[Path, ...]:
    folders = locate(layout, root, split)
    if folders is None:
        root = root.absolute()
        expected = " + ".join(str(root / folder) for folder in layout.folders(split))
        raise UserError(
            f"data set {layout.name} ({split}) is not under {root}: expected {expected}; it is published at "
            f"{layout.published}; put it there, run `scripts/prepare_data.py link --dataset {layout.name} "
            "--from FOLDER`, or name another root with REDDIT_DATA, --data-root or --set data.root=FOLDER"
        )
    return folders


def survey(name: str, root: Path, split: Split, frames: Frames = "all") -> Found:
    """Pair what is on disk and list what cannot be paired.

    Raises:
        UserError: an unknown name or frames, a set without truth, a missing tree (with the expected tree
            and where it is published).
    """
    layout = get_layout(name)
    if frames not in ("all", "first30"):
        raise UserError(f"frames: {frames!r} is not known; all or first30")
    if frames == "first30" and layout.kind != "videos":
        videos = ", ".join(n for n, other in LAYOUTS.items() if other.kind == "videos")
        raise UserError(f"frames first30 is for videos ({videos}); {name} has single pictures")
    if layout.kind == "pictures":
        raise UserError(f"data set {name} has no truth: it can be enhanced and scored, not trained on")
    low, high = _located(layout, root, split)
    if layout.kind == "pairs":
        return match_folders(low, high)
    return _match_scenes(layout, low, high, split, FIRST_FRAMES if frames == "first30" else None)


def find_pairs(name: str, root: Path, split: Split, frames: Frames = "all") -> list[Pair]:
    """The pairs of a known data set under the data root, sorted by name; names are unique.

    Args:
        name: a key of `LAYOUTS` whose set has truth.
        root: the data root.
        split: `train` or `test`.
        frames: `first30` keeps the first 30 frames of each video.

    Raises:
        UserError: as `survey`, or a folder is empty, or a picture has no partner.
    """
    return _faultless(survey(name, root, split, frames))


def find_pictures(name: str, root: Path) -> list[TestPicture]:
    """The pictures of a set without truth, named by stem (by file name where two share a stem).

    Raises:
        UserError: an unknown name, a missing or empty folder.
    """
    (folder,) = _located(get_layout(name), root, "test")
    paths = list_images(folder, _SUFFIXES)
    if not paths:
        raise UserError(f"no pictures in {folder}")
    stems = [path.stem for path in paths]
    return [TestPicture(p.stem if stems.count(p.stem) == 1 else p.name, p, None) for p in paths]


def pair_key(path: Path) -> str:
    """The stem without a `low`/`normal`/`high` prefix: what the two halves of a pair share."""
    return _PREFIX.sub("", path.stem)


def pair_folders(low: Path, high: Path) -> list[Pair]:
    """Pair the pictures of two folders by stem.

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
    """`pair_folders` that lists faults instead of raising; `scene` goes before the names."""
    lows, faults = _by_key(low)
    highs, more = _by_key(high)
    faults += more
    if lows and highs:
        for here, there, folder in ((lows, highs, high), (highs, lows, low)):
            alone = sorted(here.keys() - there.keys())
            faults += [f"{here[key]} has no partner of the same name in {folder}" for key in alone]
    prefix = f"{scene}/" if scene else ""
    both = sorted(lows.keys() & highs.keys())
    return Found([Pair(prefix + k, lows[k], highs[k], scene_of(scene)) for k in both], faults)


def _by_key(folder: Path) -> tuple[dict[str, Path], list[str]]:
    found: dict[str, Path] = {}
    faults = []
    for path in list_images(folder, _SUFFIXES):
        key = pair_key(path)
        if key in found:
            faults.append(f"{found[key]} and {path.name} share the name {key!r}; remove or rename one")
        else:
            found[key] = path
    if not found:
        faults.append(f"no pictures in {folder}")
    return found, faults


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
            found = _match_truth(low / name, high / name, name)
            pairs += found.pairs
        faults += found.faults
    return Found(pairs, faults)


def _match_truth(low: Path, high: Path, scene: str) -> Found:
    """Every low of a scene with the scene's first high."""
    lows, faults = _by_key(low)
    highs = list_images(high, _SUFFIXES)
    if not highs:
        return Found([], [*faults, f"no pictures in {high}"])
    return Found([Pair(f"{scene}/{key}", lows[key], highs[0], scene) for key in sorted(lows)], faults)


def _inside(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `pair2` before `pair10`, and frames whose numbers lack leading zeros."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
