"""Small films for tests, and what is in a film."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RATE = Fraction(25)
TIMES = (0, 24, 48, 88, 112, 136, 200, 224)
"""In 1/600 seconds; the rate varies."""


def picture(width: int, height: int) -> np.ndarray:
    """A dark picture of smooth colours, uint8 (H, W, 3)."""
    down, right = np.mgrid[0:height, 0:width]
    planes = [right / width, down / height, 1 - right / width]
    return np.rint(20 + 60 * np.stack(planes, axis=2)).astype(np.uint8)


def write_film(
    path: Path,
    *,
    codec: str = "libx264",
    sound: str | None = "aac",
    size: tuple[int, int] = (64, 48),
    pixel_format: str = "yuv420p",
    colorspace: int = 1,
    color_range: int = 1,
    rotation: int = 0,
    frames: list[np.ndarray] | None = None,
    times: tuple[int, ...] = TIMES,
    **options: str,
) -> Path:
    """Write a film; `frames`: its pictures, else all are `picture`; `times`: in 1/600 seconds."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as film:
        film.metadata["title"] = "night"
        video = film.add_stream(codec, rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = *size, pixel_format
        video.codec_context.time_base = Fraction(1, 600)
        video.color_range, video.colorspace = color_range, colorspace
        video.color_primaries = video.color_trc = 1
        video.sample_aspect_ratio = Fraction(4, 3)
        if rotation:
            video.set_display_rotation(rotation)
        track = None
        if sound:
            track = film.add_stream(sound, rate=48000)
            track.layout = "stereo"
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(frames[number] if frames else picture(*size), format="rgb24")
            frame = frame.reformat(
                format=pixel_format, dst_colorspace=colorspace, dst_color_range=color_range
            )
            frame.pts, frame.time_base = time, Fraction(1, 600)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        if track:
            write_sound(av, film, track)
    return path


def write_sound(av: Any, film: Any, track: Any) -> None:
    """Add 0.4 seconds of noise to a film that is being written."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 960 * 20)).astype(np.float32)
    resampler = av.AudioResampler(format=track.format, layout="stereo", rate=48000)
    for start in range(0, noise.shape[1], 960):
        part = np.ascontiguousarray(noise[:, start : start + 960])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for piece in resampler.resample(frame):
            film.mux(track.encode(piece))
    film.mux(track.encode(None))


@dataclass(frozen=True)
class Contents:
    """What is in a film.

    Attributes:
        sound: digest of the bytes of the audio packets.
        sound_times: presentation times of the audio packets, in seconds.
        times: those of the frames.
        frames: RGB uint8 (H, W, 3).
        look: codec, rotation, colour range, colour space, primaries, transfer, aspect.
    """

    sound: str
    sound_times: list[float]
    times: list[float]
    frames: list[np.ndarray]
    look: dict[str, object]
    tags: dict[str, str]


def contents(path: Path) -> Contents:
    av = pytest.importorskip("av")
    digest, sound_times = hashlib.sha256(), []
    with av.open(f"file:{path}") as film:
        for packet in film.demux(film.streams.audio) if film.streams.audio else ():
            if packet.dts is not None:
                digest.update(bytes(packet))
                sound_times.append(float(packet.pts * packet.time_base))
    with av.open(f"file:{path}") as film:
        video = film.streams.video[0]
        frames = list(film.decode(video))
        look = {
            "codec": video.codec_context.name,
            "bits": frames[0].format.components[0].bits,
            "rotation": frames[0].rotation,
            "range": int(frames[0].color_range),
            "space": int(frames[0].colorspace),
            "primaries": video.codec_context.color_primaries,
            "transfer": video.codec_context.color_trc,
            "aspect": video.sample_aspect_ratio,
        }
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
        times = [float(frame.pts * frame.time_base) for frame in frames]
        return Contents(digest.hexdigest(), sound_times, times, pictures, look, dict(film.metadata))
