"""Making dark pictures good: files or folders in, PNG files out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reddit.errors import UserError
from reddit.evaluation.evaluate import Predict
from reddit.images import list_images, read_uint8, write_image
from reddit.progress import progress


@dataclass(frozen=True)
class Enhanced:
    """What happened to a batch of files."""

    written: list[Path]
    failed: list[str]
    """One line a picture that could not be read or written."""


def plan_outputs(source: Path, folder: Path, suffix: str = "") -> dict[Path, Path]:
    """Which file goes where: `folder/STEM[_suffix].png`.

    Raises:
        UserError: nothing to do, an original would be overwritten, or two files would share an output.
    """
    if source.is_dir():
        files = list_images(source)
        if not files:
            raise UserError(f"no pictures in {source}")
    elif source.is_file():
        files = [source]
    else:
        raise UserError(f"no such file or folder: {source}")
    plan: dict[Path, Path] = {}
    for file in files:
        target = folder / f"{file.stem}{'_' + suffix if suffix else ''}.png"
        if target.exists() and target.samefile(file):
            raise UserError(f"{target} would overwrite its original: choose another -o folder, or a --suffix")
        if target in plan.values():
            other = next(a for a, b in plan.items() if b == target)
            raise UserError(f"{other.name} and {file.name} would both become {target}; rename one")
        plan[file] = target
    return plan


def enhance_files(plan: dict[Path, Path], predict: Predict, seed: int = 0, quiet: bool = False) -> Enhanced:
    """Enhance each file; a damaged one is reported and the others go on."""
    done = Enhanced([], [])
    for source, target in progress(plan.items(), "enhancing", "picture", quiet=quiet):
        try:
            write_image(target, predict(source.stem, read_uint8(source), seed))
        except UserError as error:
            done.failed.append(str(error))
        else:
            done.written.append(target)
    return done
