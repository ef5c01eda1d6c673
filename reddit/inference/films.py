"""Enhancing films: frame by frame, with a steady brightness."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reddit.image.film_copy import FilmCopy
from reddit.image.films import pyav, read_film
from reddit.inference.picture_enhancer import PictureEnhancer
from reddit.inference.steady import Steady
from reddit.inference.warn import EnhanceWarning, warn
from reddit.utils.errors import UserError
from reddit.utils.files import remove_leftovers_of, write_file
from reddit.utils.progress import progress
from reddit.utils.text import reason

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from reddit.inference.settings import Settings


def enhance_film(source: Path, target: Path, model: PictureEnhancer, **settings: Unpack[Settings]) -> None:
    """Enhance a film; sound, times, rotation, colour space and metadata are kept.

    The result appears under its name when it is whole. Needs the extra `video`.

    Args:
        target: its extension decides the container, one of `reddit.image.films.CONTAINERS`.
        settings: as of `Enhancer.enhance`; all frames get the same noise.

    Warns:
        EnhanceWarning: what is not kept; warnings about frames come once a film.

    Raises:
        UserError: the film cannot be read, or the result cannot be written.
    """
    film = read_film(source)
    for line in film.warnings:
        warn(line)
    steady = Steady()
    warned: set[str] = set()
    each: Settings = {**settings, "same_noise": True, "name": str(source), "quiet": True}

    def change(frame: np.ndarray, seconds: float) -> np.ndarray:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", EnhanceWarning)
            bright = model.enhance_array(frame, **each)
        _pass_on(caught, warned)
        return steady(frame, bright, seconds)

    copy = FilmCopy(source, film, change)

    def write(temporary: Path) -> None:
        frames = copy.write(temporary, target.suffix.lower())
        for _ in progress(frames, source.name, "frame", total=film.frames, quiet=settings.get("quiet", True)):
            pass

    remove_leftovers_of(target)
    try:
        write_file(target, write)
    except pyav(source).FFmpegError as error:
        raise UserError(
            f"cannot write {target} ({reason(error)}): use .mkv, which holds most films"
        ) from error
    if copy.cut_short:
        ends = f"{copy.seconds:.1f} of {film.seconds:.1f} seconds"
        warn(f"{source} may be truncated: its video ends after {ends}")
    if copy.left_out:
        warn(f"{target} is without {', '.join(copy.left_out)}")


def _pass_on(caught: list[warnings.WarningMessage], warned: set[str]) -> None:
    """Repeat the first warning of each kind: the numbers in them differ from frame to frame."""
    for warning in caught:
        kind = str(warning.message).split("(")[0]
        if kind not in warned:
            warned.add(kind)
            warn(warning.message)
