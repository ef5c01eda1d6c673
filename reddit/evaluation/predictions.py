"""Pictures that any program wrote, matched to a test set by name, so that they can be scored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from reddit.data import TestPicture
from reddit.data.pairing import Picture, pair_key
from reddit.evaluation.evaluate import Predict
from reddit.image.containers import png_size
from reddit.image.read import EXTENSIONS, list_images, read_image, read_uint8
from reddit.utils.errors import UserError
from reddit.utils.files import is_file
from reddit.utils.text import reason

SHOWN = 4

Place = tuple[str, str]
"""A folder relative to the top one ("" for itself) and what is compared inside it."""


def match_predictions(folder: Path, names: Sequence[str], *, allow_extra: bool = False) -> dict[str, Path]:
    """Find the picture of each name of a test set; every name has one or nothing is returned.

    A file belongs to a name that is its stem. The names left over take the files left over whose stem
    differs from theirs in a low/normal/high prefix or in letter case alone, or whose only number is
    theirs (`result_0023_out.png` ↔ `23`). Numbers count only where each name of the set has one number
    and no two share it. A "/" in a name is a folder: `pair1/0001` is looked for inside `pair1`.

    Args:
        folder: where the pictures lie. Its subfolders are searched only if a name has a "/".
        names: unique, as the test set gives them.
        allow_extra: leave out files that belong to no name instead of refusing them.

    Returns:
        A path for each name, in the order of `names`.

    Raises:
        UserError: one line with all names that no file fits, all that several fit, and all extra files.
    """
    nested = any("/" in name for name in names)
    files = {path: _place(path.relative_to(folder).as_posix()) for path in _pictures(folder, nested)}
    if not files:
        where = "in it or its subfolders" if nested else "directly inside it"
        raise UserError(f"no pictures in {folder}: looked for {' '.join(EXTENSIONS)} {where}")
    fitting = _fitting(folder, files, names)
    claimed = {path for paths in fitting.values() for path in paths}
    missing = [name for name in names if not fitting[name]]
    ambiguous = [
        f"{name} ({' or '.join(p.relative_to(folder).as_posix() for p in paths[:3])})"
        for name, paths in fitting.items()
        if len(paths) > 1
    ]
    extra = [] if allow_extra else [p.relative_to(folder).as_posix() for p in files if p not in claimed]
    faults = [
        _listed(missing, "without a picture"),
        _listed(ambiguous, "with several pictures"),
        _listed(extra, "in the folder that belong to no test picture"),
    ]
    if any(faults):
        raise UserError(
            f"{folder} does not fit the {len(names)} test pictures: {'; '.join(filter(None, faults))}; "
            f"give each file the name of its test picture, like {names[0]}.png"
        )
    return {name: fitting[name][0] for name in names}


def check_sizes(matched: Mapping[str, Path], sizes: Mapping[str, tuple[int, int]]) -> None:
    """Compare the sizes of files with those that the test set asks for, before anything is scored.

    Args:
        matched: as `match_predictions` returns it.
        sizes: (height, width) of each name; names that it lacks are not checked.

    Raises:
        UserError: names the mis-sized files, each with its own and the wanted width×height.
    """
    wrong = [
        f"{path} is {_shown(found)}, not {_shown(sizes[name])}"
        for name, path in matched.items()
        if name in sizes and (found := size_of(path)) != tuple(sizes[name])
    ]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"{len(wrong)} of {len(matched)} pictures have another size than their test picture: "
            f"{'; '.join(wrong[:SHOWN])}{more}; write them at full size, without padding or resizing"
        )


def size_of(picture: Picture) -> tuple[int, int]:
    """(height, width) of a picture, upright; of a PNG that can say nothing of that only headers are read.

    Raises:
        UserError: the file cannot be read.
    """
    if isinstance(picture, np.ndarray):
        return picture.shape[0], picture.shape[1]
    try:
        size = png_size(picture) if is_file(picture) else None  # a pipe would be waited for
    except OSError as error:
        raise UserError(f"cannot read {picture}: {reason(error)}") from error
    return size or read_uint8(picture).shape[:2]


def sizes_of(pictures: Iterable[TestPicture]) -> dict[str, tuple[int, int]]:
    """(height, width) that each picture of a test set asks for, by name: that of its low."""
    return {picture.name: size_of(picture.low) for picture in pictures}


def predict_from(
    folder: Path,
    names: Sequence[str],
    *,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    allow_extra: bool = False,
) -> Predict:
    """A folder of pictures as a source to score: it is matched at once, and read picture by picture.

    Args:
        folder, names, allow_extra: as `match_predictions` takes them.
        sizes: where given, all files' sizes are checked first, as `check_sizes` does.

    Returns:
        (name, low as uint8 (H, W, 3), seed) → (3, H, W) in [0, 1]. The seed changes nothing. A file of
        another size than the low is a UserError with the file and both sizes.

    Raises:
        UserError: as `match_predictions` and `check_sizes`.
    """
    matched = match_predictions(folder, names, allow_extra=allow_extra)
    if sizes is not None:
        check_sizes(matched, sizes)

    def predict(name: str, low: np.ndarray, seed: int) -> Tensor:
        output = read_image(matched[name])
        found, wanted = (output.shape[1], output.shape[2]), (low.shape[0], low.shape[1])
        if found != wanted:
            raise UserError(f"{matched[name]} is {_shown(found)}, but its test picture is {_shown(wanted)}")
        return output

    return predict


def _fitting(folder: Path, files: Mapping[Path, Place], names: Sequence[str]) -> dict[str, list[Path]]:
    """The files that fit each name: those of its stem, or else all that resemble it in any way."""
    fitting: dict[str, list[Path]] = {name: [] for name in names}
    for path in files:
        inside = path.relative_to(folder)
        exact = [n for n in (inside.as_posix(), inside.with_suffix("").as_posix()) if n in fitting]
        if exact:
            fitting[exact[0]].append(path)
    places = {name: _place(name) for name in names}
    looking = [name for name in names if not fitting[name]]
    for likeness in (_key, _number):
        keys = {name: likeness(*place) for name, place in places.items()}
        if likeness is _number and (None in keys.values() or len(set(keys.values())) < len(names)):
            continue
        counts = Counter(keys.values())
        owners = {keys[name]: name for name in looking if counts[keys[name]] == 1}
        for path, place in files.items():
            owner = owners.get(likeness(*place))
            if owner is not None and path not in fitting[owner]:
                fitting[owner].append(path)
    return fitting


def _pictures(folder: Path, nested: bool) -> list[Path]:
    found = list_images(folder)
    if nested:
        inside = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        for subfolder in inside:
            found += _pictures(subfolder, nested)
    return found


def _place(name: str) -> Place:
    """`pair1/0001.png` → ("pair1", "0001"); an extension that is not a picture's belongs to the name."""
    parent, _, last = name.rpartition("/")
    stem, dot, extension = last.rpartition(".")
    return parent, stem if dot and f".{extension.lower()}" in EXTENSIONS else last


def _key(parent: str, last: str) -> Place:
    return parent, pair_key(Path(f"{last}.png")).casefold()  # pair_key takes an extension off


def _number(parent: str, last: str) -> Place | None:
    numbers = re.findall(r"[0-9]+", last)
    return (parent, str(int(numbers[0]))) if len(numbers) == 1 else None


def _listed(things: Sequence[str], what: str) -> str:
    if not things:
        return ""
    return f"{len(things)} {what}: {', '.join(things[:SHOWN])}{', …' if len(things) > SHOWN else ''}"


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]}"
