"""The expected folders of each data set.

Folder names match without regard to letter case, `-`, `_` and blanks: `LOL-v2` is `LOLv2`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reddit.utils.errors import UserError

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Layout:
    """The folders of a data set.

    Attributes:
        name: its name in `--dataset`.
        published: where to download it, and its authors.
        parents: for each split the folder that contains `sides`; `a|b` are alternatives, with the name of the
            original release first; `a?` is optional.
        sides: the folders of low and high pictures; none for pictures without ground truth.
        counts: published numbers of pairs, pictures or videos; several if releases differ.
        kind: `pairs`: two flat folders; `shared_gt`: one folder per scene, whose low pictures share the first
            high picture; `videos`: one folder per video, frames paired by name; `pictures`: one flat folder.
        split_of: if the splits have no folders of their own: the split of a scene, or None.
    """

    name: str
    published: str
    parents: Mapping[Split, str]
    sides: tuple[str, ...]
    counts: Mapping[Split, tuple[int, ...]]
    kind: Literal["pairs", "shared_gt", "videos", "pictures"] = "pairs"
    split_of: Callable[[str], Split | None] = field(default=lambda scene: None)

    def folders(self, split: Split) -> tuple[Path, ...]:
        """The folders of the original release, relative to the data root: low and high, or a single one."""
        parts = [part for part in self.parents[split].split("/") if not part.endswith("?")]
        parent = Path(*(part.split("|")[0] for part in parts))
        return tuple(parent / side.split("|")[0] for side in self.sides) or (parent,)


def scene_of(video: str) -> str:
    """The scene of a video. SDSD filmed some scenes twice: `pair1_2` shows the scene of `pair1`."""
    return video.removesuffix("_2")


def _sid_split(scene: str) -> Split | None:
    """SID: names of training scenes start with 0, of validation scenes with 2, of test scenes with 1."""
    return "train" if scene[0] in "02" else "test" if scene[0] == "1" else None


def _test_scenes(names: str) -> Callable[[str], Split]:
    held = frozenset(names.split())
    return lambda scene: "test" if scene_of(scene) in held else "train"


_STATIC = "https://github.com/dvlab-research/SNR-Aware-Low-Light-Enhance"
_COLLECTED = "https://github.com/VITA-Group/EnlightenGAN, testing data"
_LOLV2 = "https://github.com/flyywh/CVPR-2020-Semi-Low-Light (Yang et al. 2021)"


def _without_gt(folder: str, authors: str, *counts: int) -> Layout:
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
            kind="shared_gt",
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
            # The test scenes of SNR-Aware (options/test/SDSD_outdoor.yml), which most papers use.
            split_of=_test_scenes(
                "MVI_0898 MVI_0906 MVI_0928 MVI_0975 MVI_0997 MVI_1001 MVI_1003 MVI_1026 MVI_1030 MVI_1032"
            ),
        ),
        _without_gt("DICM", "Lee et al. 2012", 69, 64, 44),
        _without_gt("LIME", "Guo et al. 2016", 10),
        _without_gt("MEF", "Ma et al. 2015", 17),
        _without_gt("NPE", "Wang et al. 2013", 84, 85, 8),
        _without_gt("VV", "Vonikakis", 24),
    )
}


def get_layout(name: str) -> Layout:
    """The layout of a data set; an unknown name raises a UserError that lists the known ones."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    near = difflib.get_close_matches(name, LAYOUTS, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(f"{name!r} is not a known data set; {hint}known: {', '.join(LAYOUTS)}")


def subfolders(folder: Path, pattern: str) -> list[Path]:
    """The folders inside `folder` that match `a|b`; the first alternative and exact spelling come first."""
    names = pattern.split("|")
    wanted = [_plain(name) for name in names]
    try:
        inside = [path for path in folder.iterdir() if folder_fits(path.name, pattern) and path.is_dir()]
    except OSError:  # missing or not readable: no match
        return []
    return sorted(inside, key=lambda p: (wanted.index(_plain(p.name)), p.name not in names, p.name))


def folder_fits(name: str, pattern: str) -> bool:
    """Whether a folder's name is one of `a|b`, in any accepted spelling."""
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
    """The low and the high folder inside a parent; the parent itself for pictures without ground truth."""
    if not layout.sides:
        return (parent,)
    inside = [subfolders(parent, side) for side in layout.sides]
    return tuple(fits[0] for fits in inside) if all(inside) else None


def locate(layout: Layout, root: Path, split: Split) -> tuple[Path, ...] | None:
    """The folders of a split under the data root, in any accepted spelling; None if missing."""
    if split not in layout.parents:
        return None
    for parent in _parents(root, layout.parents[split].split("/")):
        if folders := sides_of(layout, parent):
            return folders
    return None


def located(layout: Layout, root: Path, split: Split) -> tuple[Path, ...]:
    folders = locate(layout, root, split)
    if folders is None:
        root = root.absolute()
        expected = " + ".join(str(root / folder) for folder in layout.folders(split))
        raise UserError(
            f"data set {layout.name} ({split}) not found under {root}: expected {expected}; download it from "
            f"{layout.published}, then put it there, run `reddit-llie data link --dataset {layout.name} "
            "--from FOLDER`, or set another root with REDDIT_DATA or --set data.root=FOLDER"
        )
    return folders
