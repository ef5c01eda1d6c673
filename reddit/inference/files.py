"""Enhancing photographs on disk: files and folders in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reddit.image.formats import FORMATS
from reddit.image.read import EXTENSIONS, list_images, read_photo
from reddit.image.write import write_photo
from reddit.inference.enhancer import Enhancer
from reddit.utils.errors import UserError
from reddit.utils.progress import progress


@dataclass(frozen=True)
class Plan:
    """Which file becomes which.

    Attributes:
        outputs: what to enhance → where to write it.
        present: originals whose results are there already.
        single: one file was named, rather than a folder or several.
        others: what else lies in the folders and is no picture of a known kind.
    """

    outputs: dict[Path, Path]
    present: list[Path]
    single: bool
    others: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Enhanced:
    """What happened to a batch of files."""

    written: list[Path]
    failed: list[str]
    """One line a picture that could not be read, enhanced or written."""


def plan_outputs(
    sources: Sequence[Path],
    output: Path,
    *,
    suffix: str = "",
    form: str | None = None,
    recursive: bool = False,
    overwrite: bool = False,
) -> Plan:
    """Which file goes where: `output/STEM[_suffix].EXT`, in the same subfolder as in its source.

    One picture may also go to a file: where `output` has a picture's extension and is no folder. What
    earlier runs wrote is no picture to enhance, even if it lies in a source.

    Args:
        form: the extension of the results, without its dot; None: that of each picture.
        recursive: look into subfolders too.
        overwrite: make results anew that are there already.

    Raises:
        UserError: nothing to do, an original would be overwritten, two files would share an output, or the
            output names a file where a folder is needed.
    """
    if "/" in suffix or "\\" in suffix:
        raise UserError(f"--suffix {suffix}: a part of a file's name, without slashes")
    to_file = output.suffix.lower() in FORMATS and not output.is_dir()
    if output.is_file() and not to_file:
        raise UserError(f"-o {output} is a file: name a folder, or a picture (.png, .jpg …)")
    originals: dict[Path, Path] = {}  # of each output
    for source in sources:
        for file, below in _pictures(source, output, recursive):
            kept = file.suffix if file.suffix.lower() in FORMATS else ".jpg"  # HEIC and raw are not written
            extension = f".{form}" if form else kept
            name = f"{file.stem}{'_' + suffix if suffix else ''}{extension}"
            target = output if to_file else output / below / name
            if target.exists() and target.samefile(file):
                raise UserError(
                    f"{target} would overwrite its original: choose another -o folder, or a --suffix"
                )
            other = originals.setdefault(target, file)
            if other != file and to_file:
                raise UserError(f"-o {output} is one picture, and -i names several: name a folder")
            if other != file:
                raise UserError(f"{other} and {file} would both become {target}; rename one")
    if to_file and (form or suffix):
        raise UserError(f"-o {output} says the whole name: leave --format and --suffix out, or name a folder")
    results = {target.resolve() for target in originals}
    wanted = {file: target for target, file in originals.items() if file.resolve() not in results}
    present = [file for file, target in wanted.items() if target.exists() and not overwrite]
    outputs = {file: target for file, target in wanted.items() if file not in present}
    others = [file for source in sources if source.is_dir() for file in _others(source, recursive)]
    return Plan(outputs, present, len(sources) == 1 and sources[0].is_file(), others)


def _pictures(source: Path, folder: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """The pictures of a file or a folder, each with its subfolder; the folder of results is left out."""
    if source.is_file():
        return [(source, Path())]
    if not source.is_dir():
        raise UserError(f"no such file or folder: {source}")
    found = [(file, Path()) for file in list_images(source, EXTENSIONS)]
    if recursive:
        found += _below(source, folder.resolve(), Path())
    if not found:
        hint = "" if recursive else "; --recursive looks into its subfolders"
        raise UserError(f"no pictures ({', '.join(EXTENSIONS)}) in {source}{hint}")
    return found


def _others(source: Path, recursive: bool) -> list[Path]:
    files = (file for file in (source.rglob("*") if recursive else source.iterdir()) if file.is_file())
    return [
        file
        for file in files
        if file.suffix.lower() not in EXTENSIONS
        and not any(part.startswith(".") for part in file.relative_to(source).parts)
    ]


def _below(source: Path, results: Path, below: Path) -> list[tuple[Path, Path]]:
    found = []
    try:
        children = sorted((source / below).iterdir())
    except OSError:  # a folder that is not ours to read does not end the others
        return []
    for child in children:
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            if child.resolve() == results:
                continue
            inside = below / child.name
            found += [(file, inside) for file in list_images(child, EXTENSIONS)]
            found += _below(source, results, inside)
    return found


def enhance_files(
    plan: Plan,
    model: Enhancer,
    *,
    seed: int = 0,
    strength: float = 1.0,
    ensemble: int = 1,
    guard: bool = True,
    tile: int | None = None,
    tile_overlap: int | None = None,
    quiet: bool = False,
) -> Enhanced:
    """Enhance each file, as `Enhancer.enhance` does; one that fails is reported and the others go on.

    Raises:
        UserError: settings with which none could be enhanced.
    """
    model.check_settings(strength, tile, tile_overlap, ensemble)
    done = Enhanced([], [])
    for source, target in progress(plan.outputs.items(), "enhancing", "picture", quiet=quiet):
        try:
            photo = read_photo(source)
            pixels = model.enhance(
                photo.pixels,
                seed=seed,
                strength=strength,
                ensemble=ensemble,
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
