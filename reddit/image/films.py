"""Films through PyAV, an extra: what a file holds, and its frames as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from reddit.utils.errors import UserError, install
from reddit.utils.files import is_file
from reddit.utils.text import reason

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Extension → FFmpeg's name of the container, of those that are written."""
EXTENSIONS = (*CONTAINERS, ".avi", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp", ".wmv", ".flv")
MARK = "reddit-llie"
"""Name of the handler in the video track of results."""
DEFAULT_RATE = Fraction(25)
_UNSPECIFIED, _BT709, _BT601 = 2, 1, 6
"""Colour spaces, as numbered in ITU-T H.273."""
_LIMITED, _FULL = 1, 2
"""FFmpeg's numbers of the colour ranges 16 to 235 and 0 to 255."""
_HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics (ITU-T H.273) that are not those of pictures."""


@dataclass(frozen=True)
class Film:
    """What the video track of a film holds.

    Attributes:
        width, height: as stored, before a rotation.
        rate: frames a second, a mean where it varies.
        frames: about how many there are; None if unknown.
        seconds: how long it lasts by its header; 0 if unknown.
        codec, pixel_format: FFmpeg's names.
        display_matrix: the nine numbers of its rotation; None: upright.
        color_range, colorspace, primaries, transfer: as numbered in ITU-T H.273.
        warnings: what is not kept, or not treated as it should be; one line each.
    """

    width: int
    height: int
    rate: Fraction
    frames: int | None
    seconds: float
    codec: str
    pixel_format: str
    display_matrix: tuple[int, ...] | None
    color_range: int
    colorspace: int
    primaries: int
    transfer: int
    warnings: tuple[str, ...]

    @property
    def deep(self) -> bool:
        """Whether it has more than 8 bits."""
        from av import VideoFormat

        return max(part.bits for part in VideoFormat(self.pixel_format).components) > 8

    @property
    def matrix(self) -> int:
        """The colour space of the conversion to RGB; if unspecified BT.709 from 720 rows on, else BT.601."""
        if self.colorspace not in (0, _UNSPECIFIED):
            return self.colorspace
        return _BT709 if min(self.width, self.height) >= 720 else _BT601


def is_film(path: Path) -> bool:
    """Whether a name is that of a film."""
    return path.suffix.lower() in EXTENSIONS


def pyav(path: Path) -> ModuleType:
    """The package PyAV.

    Raises:
        UserError: it is not installed, or too old.
    """
    try:
        import av
        import av.video.stream
    except ImportError as error:
        raise UserError(f"{path} is a film: {install('video')} (Python 3.11 or newer)") from error
    if not hasattr(av.video.stream.VideoStream, "set_display_matrix"):
        raise UserError(f"PyAV {av.__version__} is too old for films: {install('video')}")
    av.logging.set_level(av.logging.PANIC)  # errors are raised; the encoders' own lines are of no use
    return av


def address(path: Path) -> str:
    """A path as FFmpeg takes it, for which `a:b.mp4` would be an address on a network."""
    return f"file:{path}"


def is_film_result(path: Path) -> bool:
    """Whether a film carries this program's mark; False where it cannot be read."""
    if not is_file(path):
        return False
    try:
        with pyav(path).open(address(path)) as container:
            tags = container.streams.video[0].metadata
            return MARK in (tags.get("handler_name"), tags.get("HANDLER_NAME"))
    except Exception:  # damaged, or no film
        return False


def open_film(path: Path) -> Any:
    """Open a film for reading: an `av.container.InputContainer`.

    Raises:
        UserError: the file is missing, damaged or no film.
    """
    av = pyav(path)
    if not is_file(path):
        raise UserError(f"no such file or folder: {path}")
    try:
        return av.open(address(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is damaged, truncated or no film ({reason(error)}): copy it again"
        ) from error


def video_track(container: Any) -> Any:
    """The first video track that is not a cover picture; None if there is none."""
    from av.stream import Disposition

    tracks = (t for t in container.streams.video if not t.disposition & Disposition.attached_pic)
    return next(tracks, None)


def read_film(path: Path) -> Film:
    """What a film holds; reads its first frame.

    Raises:
        UserError: the file is missing, damaged or no film, or has no video that can be decoded.
    """
    with open_film(path) as container:
        video = video_track(container)
        if video is None or video.codec_context is None:
            raise UserError(f"{path} has no video track that can be decoded")
        frame = _first_frame(path, container, video)
        rate = video.guessed_rate or video.average_rate or DEFAULT_RATE
        seconds = _seconds(container, video)
        matrix = frame.side_data.get("DISPLAYMATRIX")
        return Film(
            width=frame.width,
            height=frame.height,
            rate=rate,
            frames=video.frames or round(seconds * rate) or None,
            seconds=seconds,
            codec=video.codec_context.codec.canonical_name,  # not that of its decoder
            pixel_format=frame.format.name,
            display_matrix=matrix and tuple(int(value) for value in np.frombuffer(bytes(matrix), np.int32)),
            color_range=int(frame.color_range),
            colorspace=int(frame.colorspace),
            primaries=int(video.codec_context.color_primaries),
            transfer=int(video.codec_context.color_trc),
            warnings=tuple(_warnings(path, container, video, frame)),
        )


def _first_frame(path: Path, container: Any, video: Any) -> Any:
    try:
        for frame in container.decode(video):
            return frame
    except pyav(path).FFmpegError as error:
        raise UserError(f"{path} is damaged, or of a kind that is not decoded ({reason(error)})") from error
    raise UserError(f"{path} has no frames: it is damaged or truncated; copy it again")


def _seconds(container: Any, video: Any) -> float:
    if video.duration and video.time_base:
        return float(video.duration * video.time_base)
    return (container.duration or 0) / 1_000_000


def _warnings(path: Path, container: Any, video: Any, frame: Any) -> list[str]:
    found = []
    if kind := _HDR.get(int(video.codec_context.color_trc)):
        found.append(f"{path} is an HDR film ({kind}): models know ordinary films; convert it first")
    if frame.interlaced_frame:
        found.append(f"{path} is interlaced: its fields are enhanced as whole frames")
    if any(part.is_alpha for part in frame.format.components):
        found.append(f"{path} has transparency, which is not kept")
    return found


def rgb_of_frame(frame: Any, film: Film) -> np.ndarray:
    """The pixels of a frame, RGB (H, W, 3), uint8, or uint16 if the film has more than 8 bits."""
    converted = frame.reformat(
        format="rgb48le" if film.deep else "rgb24",
        src_colorspace=film.matrix,
        src_color_range=film.color_range or _LIMITED,
        dst_color_range=_FULL,
        interpolation=_exact(),
    )
    return np.asarray(converted.to_ndarray())


def frame_of_rgb(pixels: np.ndarray, film: Film, pixel_format: str) -> Any:
    """A frame of RGB pixels, in the colour space and range of the film."""
    from av import VideoFrame

    frame = VideoFrame.from_ndarray(pixels, format="rgb48le" if pixels.dtype == np.uint16 else "rgb24")
    converted = frame.reformat(
        format=pixel_format,
        src_color_range=_FULL,
        dst_colorspace=film.matrix,
        dst_color_range=film.color_range or _LIMITED,
        interpolation=_exact(),
    )
    converted.colorspace, converted.color_range = film.colorspace, film.color_range
    return converted


def _exact() -> Any:
    """How colours are converted: the default rounds dark ones down by one level in 255."""
    from av.video.reformatter import Interpolation

    flags = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    return Interpolation.BICUBIC | flags
