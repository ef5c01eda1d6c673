"""Enhancing files and folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reddit.image.films import CONTAINERS, is_film
from reddit.image.formats import FORMATS
from reddit.image.marks import is_result
from reddit.image.read import EXTENSIONS, list_images
from reddit.inference.file_groups import enhance_each
from reddit.inference.picture_enhancer import PictureEnhancer
from reddit.utils.errors import UserError
from reddit.utils.files import is_file, is_folder
from reddit.utils.progress import progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from reddit.inference.settings import Settings


@dataclass(frozen=True)
class Plan:
    """The files to read and to write.

    Attributes:
        outputs: input file → output file.
        present: input files whose results already exist.
        single: a single file was given, not a folder or several files.
        others: files in the folders that are not pictures of a supported format.
        unreadable: one line for each subfolder that cannot be listed.
    """

    outputs: dict[Path, Path]
    present: list[Path]
    single: bool
    others: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Enhanced:
    """The result of `enhance_files`."""

    written: list[Path]
    failed: list[str]
    """One line for each picture or film that could not be read, enhanced or written."""


def plan_outputs(
    sources: Sequence[Path],
    output: Path,
    *,
    suffix: str = "",
    form: str | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    may_be_empty: bool = False,
    shard: tuple[int, int] = (1, 1),
) -> Plan:
    """Plan the output files: `output/STEM[_suffix].EXT`, in the same subfolder as in the source.

    A single picture may also go to a file, if `output` has the extension of a picture and is not a folder; a
    film likewise. Films that lie in a folder are left alone: each takes long, so it has to be named.
    Results of earlier runs are not enhanced again, even if they are in a source folder.

    Args:
        form: the extension of the results, without the dot; None: that of each picture.
        recursive: include subfolders.
        overwrite: overwrite existing results.
        may_be_empty: folders without pictures are no error.
        shard: (I, N): every Nth of the files, from the Ith on, so that N processes can share the work. Which
            files these are does not depend on the results that exist.

    Raises:
        UserError: no pictures; an original would be overwritten, or another picture that is no result of this
            program; two files have the same output; the output is a file but must be a folder.
    """
    to_file = _is_single(output, suffix, form)
    originals: dict[Path, Path] = {}  # of each output
    unreadable: list[str] = []
    for source in sources:
        found = _pictures(source, output, recursive, unreadable)
        if not found and not may_be_empty:
            hint = "" if recursive else "; --recursive includes its subfolders"
            raise UserError(f"no pictures ({', '.join(EXTENSIONS)}) in {source}{hint}")
        for file, below in found:
            name = f"{file.stem}{'_' + suffix if suffix else ''}{_extension(file, form)}"
            target = output if to_file else output / below / name
            _check_target(file, target, to_file)
            other = originals.setdefault(target, file)
            if other != file and to_file:
                raise UserError(f"-o {output} is a single file, but -i has several pictures: use a folder")
            if other != file:
                raise UserError(f"{other} and {file} would both become {target}; rename one")
    results = set(map(os.path.realpath, originals))  # unlike Path.resolve, at ease with a link to itself
    wanted = {file: target for target, file in originals.items() if os.path.realpath(file) not in results}
    first, count = shard
    wanted = dict(list(wanted.items())[first - 1 :: count])
    there = {file for file, target in wanted.items() if os.path.lexists(target)}
    present = [] if overwrite else [file for file in wanted if file in there]
    if overwrite:
        _check_results([wanted[file] for file in wanted if file in there])
    outputs = {file: target for file, target in wanted.items() if file not in present}
    others = [file for source in sources if is_folder(source) for file in _others(source, recursive)]
    return Plan(outputs, present, len(sources) == 1 and is_file(sources[0]), others, unreadable)


def _check_target(file: Path, target: Path, to_file: bool) -> None:
    """Refuse a target of another kind than the file, and the file itself."""
    if to_file and is_film(file) != (target.suffix.lower() in CONTAINERS):
        kinds = CONTAINERS if is_film(file) else FORMATS
        raise UserError(f"-o {target}: {file} can become {', '.join(kinds)}, or a file in a folder")
    if is_file(target) and target.samefile(file):
        raise UserError(f"{target} would overwrite its original: choose another -o folder, or a --suffix")


def _is_single(output: Path, suffix: str, form: str | None) -> bool:
    """Whether the output is a single file, and not a folder.

    Raises:
        UserError: it is neither, or does not go with the suffix or the format.
    """
    if "/" in suffix or "\\" in suffix:
        raise UserError(f"--suffix {suffix}: must be a part of a file name, without slashes")
    single = output.suffix.lower() in (*FORMATS, *CONTAINERS) and not output.is_dir()
    if is_film(output) and not single and not output.is_dir():
        raise UserError(f"-o {output}: films are written as {', '.join(CONTAINERS)}")
    if output.is_file() and not single:
        raise UserError(f"-o {output} is a file: use a folder, or a file name with .png, .jpg …")
    if single and (form or suffix):
        raise UserError(f"-o {output} is a full file name: omit --format and --suffix, or use a folder")
    return single


def _extension(file: Path, form: str | None) -> str:
    """That of the result: `--format` is for pictures; HEIC, raw files and some films are not written."""
    if is_film(file):
        return file.suffix if file.suffix.lower() in CONTAINERS else ".mkv"
    if form:
        return f".{form}"
    return file.suffix if file.suffix.lower() in FORMATS else ".jpg"


def _check_results(targets: list[Path]) -> None:
    """See that existing files are results of this program, which may be replaced."""
    foreign = [target for target in targets if not is_result(target)]
    if foreign:
        more = f" and {len(foreign) - 1} more are" if len(foreign) > 1 else " is"
        raise UserError(
            f"--overwrite: {foreign[0]}{more} no result of this program: choose another -o folder or another "
            "--suffix, or remove what may be replaced"
        )


def _pictures(source: Path, folder: Path, recursive: bool, unreadable: list[str]) -> list[tuple[Path, Path]]:
    """The pictures of a source, each with its subfolder; skips the folder of results."""
    if is_file(source):
        return [(source, Path())]
    if not is_folder(source):
        raise UserError(f"no such file or folder: {source}")
    found = [(file, Path()) for file in list_images(source, EXTENSIONS)]
    if recursive:
        found += _below(source, folder.resolve(), Path(), unreadable)
    return found


def _others(source: Path, recursive: bool) -> list[Path]:
    files = (file for file in (source.rglob("*") if recursive else source.iterdir()) if is_file(file))
    return [
        file
        for file in files
        if file.suffix.lower() not in EXTENSIONS
        and not any(part.startswith(".") for part in file.relative_to(source).parts)
    ]


def _below(source: Path, results: Path, below: Path, unreadable: list[str]) -> list[tuple[Path, Path]]:
    """The pictures of the subfolders; a line for each that cannot be listed, and the others go on."""
    found = []
    for child in sorted((source / below).iterdir()):
        if is_folder(child) and not child.is_symlink() and not child.name.startswith("."):
            if child.resolve() == results:
                continue
            inside = below / child.name
            try:
                found += [(file, inside) for file in list_images(child, EXTENSIONS)]
            except UserError as error:
                unreadable.append(str(error))
            else:
                found += _below(source, results, inside, unreadable)
    return found


def enhance_files(plan: Plan, model: PictureEnhancer, **settings: Unpack[Settings]) -> Enhanced:
    """Enhance each file by `Enhancer.enhance`, and mark the result as one of this program.

    On a GPU, pictures of equal size that follow each other are restored together, with the same results but
    for rounding. A failure is reported, and the other files are still processed.

    Raises:
        UserError: a setting is out of range.
    """
    model.check_settings(**settings)
    done = Enhanced([], list(plan.unreadable))
    failures = progress(
        enhance_each(plan.outputs, model, **settings),
        "enhancing",
        "picture",
        total=len(plan.outputs),
        quiet=settings.get("quiet", True),
    )
    for target, failure in zip(plan.outputs.values(), failures, strict=True):
        if failure is None:
            done.written.append(target)
        else:
            done.failed.append(failure)
    return done
