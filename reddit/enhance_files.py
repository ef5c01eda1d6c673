"""Enhancing photographs on disk: files and folders in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reddit.enhancer import Enhancer
from reddit.errors import UserError
from reddit.images import list_images
from reddit.photos import FORMATS, read_photo, write_photo
from reddit.progress import progress


@dataclass(frozen=True)
class Plan:
    """Which file becomes which.

    Attributes:
        outputs: what to enhance → where to write it.
        present: originals whose results are there already.
        single: one file was named, rather than a folder or several.
    """

    outputs: dict[Path, Path]
    present: list[Path]
    single: bool


@dataclass(frozen=True)
class Enhanced:
    """What happened to a batch of files."""

    written: list[Path]
    failed: list[str]
    """One line a picture that could not be read, enhanced or written."""


def plan_outputs(
    sources: Sequence[Path],
    folder: Path,
    *,
    suffix: str = "",
    form: str | None = None,
    recursive: bool = False,
    overwrite: bool = False,
) -> Plan:
    """Which file goes where: `folder/STEM[_suffix].EXT`, in the same subfolder as in its source.

    What earlier runs wrote is no picture to enhance, even if it lies in a source.

    Args:
        form: the extension of the results, without its dot; None: that of each picture.
        recursive: look into subfolders too.
        overwrite: make results anew that are there already.

    Raises:
        UserError: nothing to do, an original would be overwritten, or two files would share an output.
    """
    originals: dict[Path, Path] = {}  # of each output
    for source in sources:
        for file, below in _pictures(source, folder, recursive):
            extension = f".{form}" if form else file.suffix
            target = folder / below / f"{file.stem}{'_' + suffix if suffix else ''}{extension}"
            if target.exists() and target.samefile(file):
                raise UserError(
                    f"{target} would overwrite its original: choose another -o folder, or a --suffix"
                )
            other = originals.setdefault(target, file)
            if other != file:
                raise UserError(f"{other} and {file} would both become {target}; rename one")
    results = {target.resolve() for target in originals}
    wanted = {file: target for target, file in originals.items() if file.resolve() not in results}
    present = [file for file, target in wanted.items() if target.exists() and not overwrite]
    outputs = {file: target for file, target in wanted.items() if file not in present}
    return Plan(outputs, present, single=len(sources) == 1 and sources[0].is_file())


def _pictures(source: Path, folder: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """The pictures of a file or a folder, each with its subfolder; the folder of results is left out."""
    if source.is_file():
        return [(source, Path())]
    if not source.is_dir():
        raise UserError(f"no such file or folder: {source}")
    found = [(file, Path()) for file in list_images(source, FORMATS)]
    if recursive:
        found += _below(source, folder.resolve(), Path())
    if not found:
        hint = "" if recursive else "; --recursive looks into its subfolders"
        raise UserError(f"no pictures ({', '.join(FORMATS)}) in {source}{hint}")
    return found


def _below(source: Path, results: Path, below: Path) -> list[tuple[Path, Path]]:
    found = []
    for child in sorted((source / below).iterdir()):
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            if child.resolve() == results:
                continue
            inside = below / child.name
            found += [(file, inside) for file in list_images(child, FORMATS)]
            found += _below(source, results, inside)
    return found


def enhance_files(
    plan: Plan,
    model: Enhancer,
    *,
    seed: int = 0,
    strength: float = 1.0,
    guard: bool = True,
    tile: int | None = None,
    tile_overlap: int | None = None,
    quiet: bool = False,
) -> Enhanced:
    """Enhance each file, as `Enhancer.enhance` does; one that fails is reported and the others go on.

    Raises:
        UserError: settings with which none could be enhanced.
    """
    model.check_settings(strength, tile, tile_overlap)
    done = Enhanced([], [])
    for source, target in progress(plan.outputs.items(), "enhancing", "picture", quiet=quiet):
        try:
            photo = read_photo(source)
            pixels = model.enhance(
                photo.pixels,
                seed=seed,
                strength=strength,
                guard=guard,
                tile=tile,
                tile_overlap=tile_overlap,
                name=str(source),
                quiet=quiet,
            )
            write_photo(target, replace(photo, pixels=pixels))
        except UserError as error:
            message = str(error)
            done.failed.append(message if str(source) in message else f"{source}: {message}")
        else:
            done.written.append(target)
    return done
