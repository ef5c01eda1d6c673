"""Copying a film with other pictures: everything else stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from reddit.image.films import (
    CONTAINERS,
    MARK,
    Film,
    address,
    frame_of_rgb,
    open_film,
    pyav,
    rgb_of_frame,
    video_track,
)
from reddit.utils.errors import UserError
from reddit.utils.text import reason

Change = Callable[[np.ndarray, float], np.ndarray]
"""(frame (H, W, 3), seconds from the beginning) → the frame that is written, of the same size and dtype."""
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"crf": "17"}),
    "hevc": ("libx265", {"crf": "19", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "3"}),
    "av1": ("libsvtav1", {"crf": "24", "preset": "8"}),
    "prores": ("prores_ks", {}),
}
"""FFmpeg's name of a codec → its encoder and the quality, at which losses are hardly visible."""
_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")
_TRACK_TAGS = ("handler_name", "encoder", "duration", "vendor_id")
"""Metadata of the container and of the video track that the writer sets."""


@dataclass
class FilmCopy:
    """A copy of a film under way.

    Attributes:
        film: what `read_film` found in `source`.
        change: gives the pictures of the copy.
        left_out: tracks that the copy does not hold, for a message.
        seconds: time of the latest frame.
    """

    source: Path
    film: Film
    change: Change
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def write(self, target: Path, extension: str) -> Iterator[int]:
        """Write the copy; yields the number of each frame that is done.

        Sound and subtitles are copied packet by packet; times, rotation, colour space and range, aspect,
        chapters and metadata are kept. Memory does not grow with the length.

        Args:
            extension: decides the container, since the name may be a temporary one.

        Raises:
            UserError: the film is damaged, its size changes on the way, or the container does not hold its
                sound.
            av.FFmpegError, OSError: the copy cannot be written.
        """
        with ExitStack() as stack:
            before = stack.enter_context(open_film(self.source))
            video = video_track(before)
            after = stack.enter_context(self._opened(target, extension, video.time_base))
            after.metadata.update({k: v for k, v in before.metadata.items() if k not in _TAGS})
            if chapters := before.chapters():
                after.set_chapters(chapters)
            encoder = _encoder(after, video, self.film)
            copies = self._copies(before, after, video)
            done = 0
            for packet in self._packets(before, [video, *copies]):
                if packet.stream is not video:
                    if packet.dts is not None:  # the last packet of a track is empty
                        packet.stream = copies[packet.stream]
                        after.mux(packet)
                    continue
                for frame in self._decoded(packet):
                    after.mux(encoder.encode(self._changed(frame, encoder)))
                    done += 1
                    yield done
            after.mux(encoder.encode(None))

    def _opened(self, target: Path, extension: str, time_base: Fraction) -> Any:
        """The container of the copy."""
        options = {}
        if extension in (".mp4", ".m4v", ".mov"):  # which would choose a finer time base
            options["video_track_timescale"] = str(time_base.denominator)
        return pyav(self.source).open(address(target), "w", format=CONTAINERS[extension], options=options)

    def _copies(self, before: Any, after: Any, video: Any) -> dict[Any, Any]:
        """A track of the copy for each track of sound or subtitles; notes those that do not fit."""
        copies = {}
        for track in before.streams:
            if track is video or (
                track.type == "data" and before.chapters()
            ):  # QuickTime's track of chapters
                continue
            kind = f"{track.type} ({track.name or 'unknown'})"
            try:
                if track.type not in ("audio", "subtitle"):
                    raise ValueError
                copies[track] = after.add_stream_from_template(track)
                copies[track].metadata.update(track.metadata)
            except (ValueError, TypeError, pyav(self.source).FFmpegError) as error:
                if track.type == "audio":
                    form = after.format.name
                    raise UserError(f"{self.source}: {form} does not hold its {kind}: use .mkv") from error
                self.left_out.append(kind)
        return copies

    def _packets(self, before: Any, tracks: list[Any]) -> Iterator[Any]:
        packets = before.demux(tracks)
        while True:
            try:
                packet = next(packets, None)
            except pyav(self.source).FFmpegError as error:
                raise self._damaged(error) from error
            if packet is None:
                return
            yield packet

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except pyav(self.source).FFmpegError as error:
            raise self._damaged(error) from error

    @property
    def cut_short(self) -> bool:
        """Whether a copy that is done ends well before the time in the film's header."""
        return self.seconds + 1 / self.film.rate < 0.95 * self.film.seconds - 1

    def _damaged(self, error: Exception) -> UserError:
        return UserError(f"{self.source} is damaged after {self.seconds:.1f} seconds ({reason(error)})")

    def _changed(self, frame: Any, encoder: Any) -> Any:
        """The frame of the copy, at the time of the frame before."""
        film = self.film
        if (frame.width, frame.height) != (film.width, film.height):
            sizes = f"{film.width}×{film.height} to {frame.width}×{frame.height}"
            place = f"after {self.seconds:.1f} seconds"
            raise UserError(f"{self.source} changes its size from {sizes} {place}: cut it there")
        base = frame.time_base or encoder.codec_context.time_base
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:  # some old containers count frames alone
            pts = round((Fraction(self.seconds) + 1 / film.rate) / base)
        self.seconds = float(pts * base)
        pixels = self.change(rgb_of_frame(frame, film), self.seconds)
        changed = frame_of_rgb(pixels, film, encoder.pix_fmt)
        changed.pts, changed.time_base, changed.duration = pts, base, frame.duration
        return changed


def _encoder(after: Any, video: Any, film: Film) -> Any:
    """The video track of the copy."""
    supported = after.supported_codecs
    codec = film.codec if film.codec in ENCODERS and film.codec in supported else "h264"
    name, options = ENCODERS[codec if codec in supported else "vp9"]
    os.environ.setdefault("SVT_LOG", "1")  # AV1's encoder prints its settings otherwise
    encoder = after.add_stream(name, rate=film.rate, options=options)
    encoder.width, encoder.height = film.width, film.height
    encoder.pix_fmt = _pixel_format(encoder.codec, film)
    encoder.codec_context.time_base = encoder.time_base = video.time_base
    encoder.color_range, encoder.colorspace = film.color_range, film.colorspace
    encoder.color_primaries, encoder.color_trc = film.primaries, film.transfer
    if video.sample_aspect_ratio:
        encoder.sample_aspect_ratio = video.sample_aspect_ratio
    if name == "libx265" and after.format.name in ("mp4", "mov"):
        encoder.codec_context.codec_tag = "hvc1"  # without it Apple's players refuse the film
    encoder.set_display_matrix(film.display_matrix)
    kept = {k: v for k, v in video.metadata.items() if k.lower() not in _TRACK_TAGS}
    encoder.metadata.update(kept)
    encoder.metadata["handler_name"] = MARK
    return encoder


def _pixel_format(encoder: Any, film: Film) -> str:
    """The film's pixel format if the encoder has it, or else the most usual one of that depth."""
    known = [form.name for form in encoder.video_formats or []]
    wanted = film.pixel_format.replace("yuvj", "yuv")  # the range is kept apart
    odd = film.width % 2 or film.height % 2
    usual = ["yuv420p10le", "yuv422p10le", "yuv444p10le"] if film.deep else ["yuv420p", "yuv444p"]
    candidates = [wanted, *usual, *known]
    if odd:  # whose colour cannot be halved
        candidates = [form for form in candidates if "444" in form or form in ("gray", "gbrp")]
    return next((form for form in candidates if form in known), known[0])
