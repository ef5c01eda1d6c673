"""Linking an unpacked archive into the expected folders. Nothing is copied or moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from reddit.data.layouts import Layout, Split, folder_fits, get_layout, locate, sides_of
from reddit.image.read import list_images
from reddit.utils.errors import UserError
from reddit.utils.progress import Log, print_out
from reddit.utils.text import reason

DEPTH = 4


def link(name: str, source: Path, root: Path, *, dry_run: bool = False, log: Log = print_out) -> list[Path]:
    """Link a data set's folders, found up to four levels below `source`, into the data root.

    The links are absolute: the data root may move, the archive must stay in place. Existing links are kept,
    so the command can be repeated.

    Args:
        name: a key of `LAYOUTS`.
        source: the unpacked archive.
        root: the data root; created if missing.
        dry_run: print what would be linked, and do nothing.
        log: receives one line per folder.

    Returns:
        The links made; with `dry_run`, those that would be made.

    Raises:
        UserError: an unknown name, no such source, no or several matching folders, another file in the way,
            or links are not supported.
    """
    layout = get_layout(name)
    if not source.is_dir():
        raise UserError(f"--from {source} is not a folder: name the unpacked archive")
    found = {split: _find(layout, source, split) for split in layout.parents}
    if not any(found.values()):
        expected = " + ".join(str(folder) for folder in layout.folders(next(iter(layout.parents))))
        raise UserError(
            f"no folders of {name} within {DEPTH} levels below {source.absolute()}: expected {expected} "
            "or a common renaming; unpack the archive and name its folder with --from"
        )
    plan: dict[Path, Path] = {}
    for split, folders in found.items():
        if folders is None:
            log(f"{name} ({split}): not found below {source.absolute()}")
        else:
            plan |= _plan(layout, root, split, folders)
    made = []
    for target, folder in plan.items():
        if target.resolve() == folder:
            log(f"already in place: {target} → {folder}")
            continue
        if not dry_run:
            _make(target, folder)
        log(f"{'would link' if dry_run else 'linked'} {target} → {folder}")
        made.append(target)
    return made


def _find(layout: Layout, source: Path, split: Split) -> tuple[Path, ...] | None:
    """The folders of a split below the source; the parent that matches the longest path is used."""
    parts = [part for part in layout.parents[split].split("/") if not part.endswith("?")]
    # The top folder (LOLv1, SDSD) is often lost in unpacking; sets without ground truth have no other.
    needed = len(parts) - 1 if layout.sides else len(parts)
    best: dict[int, list[tuple[Path, ...]]] = {}
    for parent in _walk(source.resolve(), DEPTH):
        fit = _tail_fit(parent, parts)
        if fit >= needed and (folders := sides_of(layout, parent)):
            best.setdefault(fit, []).append(tuple(folder.resolve() for folder in folders))
    if not best:
        # A folder of pictures named by the user is the set, whatever its name.
        return (source.resolve(),) if not layout.sides and list_images(source) else None
    fitting = best[max(best)]
    if len(fitting) > 1:
        places = " and ".join(str(folders[0]) for folders in fitting[:3])
        raise UserError(
            f"several folders below {source} could be {layout.name} ({split}): {places}; narrow --from"
        )
    return fitting[0]


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth == 0:
        return
    try:
        inside = sorted(Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:  # not readable
        return
    for path in inside:
        if not path.name.startswith((".", "__MACOSX")):
            yield from _walk(path, depth - 1)


def _tail_fit(folder: Path, parts: list[str]) -> int:
    """The number of trailing `parts` that the folder's path ends with."""
    fit = 0
    for name, part in zip(reversed(folder.parts), reversed(parts), strict=False):
        if not folder_fits(name, part):
            break
        fit += 1
    return fit


def _plan(layout: Layout, root: Path, split: Split, folders: tuple[Path, ...]) -> dict[Path, Path]:
    """Link → folder, for one split; raises a UserError if something else is in the way."""
    there = locate(layout, root, split)
    if there:
        if tuple(folder.resolve() for folder in there) != folders:
            raise UserError(
                f"{layout.name} ({split}) already exists at {there[0].absolute()} and differs from "
                f"{folders[0]}: remove it first, or link into another --data-root"
            )
        return dict(zip((folder.absolute() for folder in there), folders, strict=True))
    targets = [root.absolute() / folder for folder in layout.folders(split)]
    for target, folder in zip(targets, folders, strict=True):
        if os.path.lexists(target) and target.resolve() != folder:
            raise UserError(f"{target} exists and is not a link to {folder}: move it out of the way first")
    return dict(zip(targets, folders, strict=True))


def _make(target: Path, folder: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(folder, target_is_directory=True)
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"cannot link {target} to {folder}: {reason(error)}; move the folder there, or set its parent as "
            "data root with --data-root or REDDIT_DATA"
        ) from error
