"""Pictures of any program, matched to a test set by name, to be scored."""

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
"""(folder relative to the searched one, or "", stem of the file name)."""


def match_predictions(
    folder: Path, names: Sequence[str], *, allow_extra: bool = False, allow_missing: bool = False
) -> dict[str, Path]:
    """Find the picture of each name of a test set.

    A file matches the name that equals its stem. A remaining name matches a remaining file whose stem differs
    only in a low/normal/high prefix or in letter case, or that contains the same single number
    (`result_0023_out.png` ↔ `23`). Numbers are compared only if each name of the set contains one number and
    all are different. A "/" in a name is a folder: `pair1/0001` is searched inside `pair1`.

    Args:
        folder: the folder of the pictures. Its subfolders are searched only if a name has a "/".
        names: the unique names of the test set.
        allow_extra: ignore files that match no name instead of refusing them.
        allow_missing: leave out names without a file instead of refusing the folder.

    Returns:
        A path for each name, in the order of `names`.

    Raises:
        UserError: one line with all names without a file, with several files, and all extra files.
    """
    nested = any("/" in name for name in names)
    files = {path: _place(path.relative_to(folder).as_posix()) for path in _pictures(folder, nested)}
    if not files:
        where = "in it or its subfolders" if nested else "directly inside it"
        raise UserError(f"no pictures in {folder}: looked for {' '.join(EXTENSIONS)} {where}")
    found = _matches(folder, files, names)
    claimed = {path for paths in found.values() for path in paths}
    missing = [name for name in names if not found[name]]
    ambiguous = [
        f"{name} ({' or '.join(p.relative_to(folder).as_posix() for p in paths[:3])})"
        for name, paths in found.items()
        if len(paths) > 1
    ]
    extra = [] if allow_extra else [p.relative_to(folder).as_posix() for p in files if p not in claimed]
    faults = [
        _listed([] if allow_missing and claimed else missing, "without a picture"),
        _listed(ambiguous, "with several pictures"),
        _listed(extra, "in the folder that belong to no test picture"),
    ]
    if any(faults):
        raise UserError(
            f"{folder} does not match the {len(names)} test pictures: {'; '.join(filter(None, faults))}; "
            f"give each file the name of its test picture, like {names[0]}.png"
        )
    return {name: found[name][0] for name in names if found[name]}


def check_sizes(matched: Mapping[str, Path], sizes: Mapping[str, tuple[int, int]]) -> None:
    """Compare the sizes of files with those of the test set.

    Args:
        matched: as `match_predictions` returns it.
        sizes: (height, width) by name; other names are not checked.

    Raises:
        UserError: names the files of a wrong size, with the found and the expected width×height. Files that
            cannot be read are left to `evaluate`, which names each.
    """
    wrong = [
        f"{path} is {_shown(found)}, not {_shown(sizes[name])}"
        for name, path in matched.items()
        if name in sizes and (found := _size_if_read(path)) and found != tuple(sizes[name])
    ]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"{len(wrong)} of {len(matched)} pictures have another size than their test picture: "
            f"{'; '.join(wrong[:SHOWN])}{more}; write them at full size, without padding or resizing"
        )


def size_of(picture: Picture) -> tuple[int, int]:
    """(height, width) of a picture, upright; of a PNG without orientation only the headers are read.

    Raises:
        UserError: the file cannot be read.
    """
    if isinstance(picture, np.ndarray):
        return picture.shape[0], picture.shape[1]
    try:
        size = png_size(picture) if is_file(picture) else None  # reading a pipe would block
    except OSError as error:
        raise UserError(f"cannot read {picture}: {reason(error)}") from error
    return size or read_uint8(picture).shape[:2]


def _size_if_read(picture: Picture) -> tuple[int, int] | None:
    try:
        return size_of(picture)
    except UserError:
        return None


def sizes_of(pictures: Iterable[TestPicture]) -> dict[str, tuple[int, int]]:
    """(height, width) of the low of each test picture that can be read, by name."""
    found = {picture.name: _size_if_read(picture.low) for picture in pictures}
    return {name: size for name, size in found.items() if size}


def predict_from(matched: Mapping[str, Path]) -> Predict:
    """A folder of pictures as a source to score, read one by one.

    Args:
        matched: as `match_predictions` returns it.

    Returns:
        (name, low as uint8 (H, W, 3), seed) → (3, H, W) in [0, 1]; the seed is ignored. It raises a
        UserError if the file and the low have different sizes.
    """

    def predict(name: str, low: np.ndarray, seed: int) -> Tensor:
        output = read_image(matched[name])
        found, wanted = (output.shape[1], output.shape[2]), (low.shape[0], low.shape[1])
        if found != wanted:
            raise UserError(f"{matched[name]} is {_shown(found)}, but its test picture is {_shown(wanted)}")
        return output

    return predict


def _matches(folder: Path, files: Mapping[Path, Place], names: Sequence[str]) -> dict[str, list[Path]]:
    """The files that match each name: by its stem, or else by `_key` or `_number`."""
    found: dict[str, list[Path]] = {name: [] for name in names}
    for path in files:
        inside = path.relative_to(folder)
        exact = [n for n in (inside.as_posix(), inside.with_suffix("").as_posix()) if n in found]
        if exact:
            found[exact[0]].append(path)
    places = {name: _place(name) for name in names}
    unmatched = [name for name in names if not found[name]]
    for rule in (_key, _number):
        keys = {name: rule(*place) for name, place in places.items()}
        if rule is _number and (None in keys.values() or len(set(keys.values())) < len(names)):
            continue
        counts = Counter(keys.values())
        owners = {keys[name]: name for name in unmatched if counts[keys[name]] == 1}
        for path, place in files.items():
            owner = owners.get(rule(*place))
            if owner is not None and path not in found[owner]:
                found[owner].append(path)
    return found


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
    return parent, pair_key(Path(f"{last}.png")).casefold()  # pair_key removes an extension


def _number(parent: str, last: str) -> Place | None:
    numbers = re.findall(r"[0-9]+", last)
    return (parent, str(int(numbers[0]))) if len(numbers) == 1 else None


def _listed(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]}"
