"""Enhancing files: on a GPU, pictures of equal size that follow each other together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice, starmap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reddit.image.films import is_film
from reddit.image.marks import mark
from reddit.image.read import Photo, read_photo
from reddit.image.write import write_photo
from reddit.inference.films import enhance_film
from reddit.inference.picture_enhancer import PictureEnhancer
from reddit.utils.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from reddit.inference.settings import Settings


@dataclass(frozen=True)
class _File:
    """A file to read and one to write; `photo` is None for films and for what cannot be read."""

    source: Path
    target: Path
    photo: Photo | None

    @property
    def kind(self) -> tuple[tuple[int, ...], np.dtype] | None:
        """Files of one kind can be restored together."""
        return None if self.photo is None else (self.photo.pixels.shape, self.photo.pixels.dtype)


def enhance_each(
    outputs: Mapping[Path, Path], model: PictureEnhancer, **settings: Unpack[Settings]
) -> Iterator[str | None]:
    """Enhance photographs and films, and mark the results as those of this program.

    Args:
        outputs: input file → output file.

    Yields:
        For each file, in order: None, or why it could not be read, enhanced or written.
    """
    for kind, alike in groupby(starmap(_opened, outputs.items()), lambda file: file.kind):
        count = 1 if kind is None else model.together(*kind[0][:2])
        while group := list(islice(alike, count)):
            for file, finish in zip(group, _begun(group, model, **settings), strict=True):
                yield _failure(file.source, finish)
            del group, file, finish  # no picture is kept while the next is read


def enhance_file(source: Path, target: Path, model: PictureEnhancer, **settings: Unpack[Settings]) -> None:
    """Enhance one photograph, and mark the result as one of this program.

    Raises:
        UserError: it cannot be read or enhanced, or the result cannot be written.
    """
    (finish,) = _begun([_File(source, target, read_photo(source))], model, **settings)
    finish()


def _opened(source: Path, target: Path) -> _File:
    try:
        photo = None if is_film(source) else read_photo(source)
    except UserError:  # which `enhance_file` meets again, and raises
        photo = None
    return _File(source, target, photo)


def _begun(
    group: Sequence[_File], model: PictureEnhancer, **settings: Unpack[Settings]
) -> list[Callable[[], None]]:
    """For each file of a group of one kind, what finishes it or raises its error."""
    photos = [file.photo for file in group if file.photo is not None]
    if not photos:
        (file,) = group
        enhance = enhance_film if is_film(file.source) else enhance_file
        return [partial(enhance, file.source, file.target, model, **settings)]
    names = [str(file.source) for file in group]
    results = model.enhance_group([photo.pixels for photo in photos], names, **settings)
    return [
        partial(_write, file.target, photo, result)
        for file, photo, result in zip(group, photos, results, strict=True)
    ]


def _failure(source: Path, finish: Callable[[], None]) -> str | None:
    """Finish a file; returns None, or why that failed."""
    try:
        finish()
    except UserError as error:
        message = str(error)
        return message if str(source) in message else f"{source}: {message}"
    return None


def _write(target: Path, photo: Photo, result: Callable[[], np.ndarray]) -> None:
    """Write a result with the metadata of its photograph."""
    pixels = result()
    mark(photo.exif)
    write_photo(target, replace(photo, pixels=pixels))
