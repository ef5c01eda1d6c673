#!/usr/bin/env python3
"""Enhance a film of a slow pan: frames a second, peak memory, sound, times, and how steady it is.

    python benchmarks/films.py --seconds 10 --size 1280 720

The film is a pan of two pixels a frame over a photograph of scikit-image, darkened by a camera model with
other noise in each frame, and with sound. `reddit-llie enhance` runs in a process of its own. Jumps are
changes of log brightness from frame to frame: of the whole frame, and of the same 32×32 pixels of the scene,
followed along the pan. `frame by frame` is the same without averaging over time, on the first `--unsteady`
frames. --batches times the network on several frames at a time instead, in turn.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

import reddit
from reddit.cli.errors import run
from reddit.data.darken import Camera, darken
from reddit.image.films import open_film, pyav
from reddit.image.luminance import luminance
from reddit.image.read import read_uint8
from reddit.inference.sampling import restore
from reddit.report.tables import Cell, render
from reddit.utils.progress import progress

PHOTOGRAPHS = Path(skimage.data.__file__).parent
SPEED, BLOCK, FLOOR = 2, 32, 2.0
"""Pixels a frame; side of the blocks; levels added to a brightness before its logarithm."""
RATE = 25


def main(argv: list[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    if arguments.batches:
        print(render(batches(arguments.batches, *arguments.size), "md"))
        return
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(arguments.photographs):
            dark, bright = Path(folder) / f"{number}.mp4", Path(folder) / f"{number}-bright.mp4"
            write_pan(dark, PHOTOGRAPHS / name, arguments)
            started = time.perf_counter()
            command = [sys.executable, "-m", "reddit", "enhance", "--quiet"]
            subprocess.run([*command, "-i", str(dark), "-o", str(bright)], check=True)
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            count = arguments.seconds * RATE
            print(f"{name}: {count} frames in {seconds:.0f} s, {count / seconds:.2f} a second", flush=True)
            print(f"    peak memory {peak:.0f} MB")
            print(f"    sound {'identical' if sound(dark) == sound(bright) else 'CHANGED'}, {sound(dark)}")
            print(f"    times {'identical' if times(dark) == times(bright) else 'CHANGED'}")
            alone = list(frame_by_frame(dark, arguments.unsteady))
            for label, frames in (("input", pictures(dark)), ("enhanced", pictures(bright))):
                rows.append({"photograph": name, "film": label, **steadiness(frames)})
            if alone:
                rows.append({"photograph": name, "film": "frame by frame", **steadiness(iter(alone))})
    print("\n" + render(rows, "md"))


def write_pan(path: Path, photograph: Path, arguments: argparse.Namespace) -> None:
    """Write a dark pan with sound."""
    width, height = arguments.size
    count = arguments.seconds * RATE
    scene = read_uint8(photograph)
    scale = max(height / scene.shape[0], (width + SPEED * count) / scene.shape[1])
    scene = cv2.resize(scene, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top = (scene.shape[0] - height) // 2
    camera = Camera(arguments.exposure, full_well=8000, read_noise=3, white_balance=(1, 1, 1))
    av = pyav(path)
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=RATE, options={"crf": "12", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.color_range, video.colorspace = 1, 1
        track = film.add_stream("aac", rate=48000)
        track.layout = "stereo"
        for number in range(count):
            view = scene[top : top + height, SPEED * number : SPEED * number + width]
            noisy = darken(view, camera, np.random.default_rng(number))
            frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        rng = np.random.default_rng(0)
        for number in range(arguments.seconds * 48000 // 1024):
            noise = rng.normal(0, 0.1, (2, 1024)).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = 48000, 1024 * number, Fraction(1, 48000)
            film.mux(track.encode(heard))
        film.mux(track.encode(None))


def sound(path: Path) -> str:
    """Digest of the bytes and the times of all audio packets."""
    digest = hashlib.sha256()
    with open_film(path) as film:
        for packet in film.demux(film.streams.audio):
            if packet.dts is not None:
                digest.update(f"{packet.pts * packet.time_base} ".encode() + bytes(packet))
    return digest.hexdigest()[:16]


def times(path: Path) -> list[Fraction]:
    """Presentation times of the frames, in seconds."""
    with open_film(path) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]


def pictures(path: Path) -> Iterator[np.ndarray]:
    with open_film(path) as film:
        for frame in film.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def frame_by_frame(path: Path, count: int) -> Iterator[np.ndarray]:
    model = reddit.load()
    for number, frame in enumerate(progress(pictures(path), "frame by frame", "frame", total=count)):
        if number == count:
            return
        yield model.enhance(frame)


def batches(sizes: list[int], width: int, height: int, rounds: int = 4) -> list[dict[str, Cell]]:
    """Seconds per frame of the network alone, for batches of these sizes."""
    model = reddit.load()
    low = torch.rand(1, 3, height, width).mul(0.2).expand(max(sizes), -1, -1, -1)
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(rounds + 1):
        for size in sizes:
            started = time.perf_counter()
            restore(model.denoiser, low[:size], 1, [0] * size, precision=model.info.config.precision)
            if number:  # the first round warms up
                seconds[size].append((time.perf_counter() - started) / size)
    return [
        {
            "frames at a time": str(size),
            "median, s a frame": f"{np.median(found):.2f}",
            "best": f"{min(found):.2f}",
        }
        for size, found in seconds.items()
    ]


def steadiness(frames: Iterator[np.ndarray]) -> dict[str, Cell]:
    """Mean brightness and jumps; the frames are a pan."""
    means, blocks = [], []
    before = None
    for frame in frames:
        light = luminance(frame.astype(np.float32))
        means.append(float(light.mean()))
        if before is not None:
            same = np.log(_blocks(light[:, :-SPEED]) + FLOOR) - np.log(_blocks(before[:, SPEED:]) + FLOOR)
            blocks.append(float(np.abs(same).mean()))
        before = light
    jumps = np.abs(np.diff(np.log(means)))
    return {
        "frames": str(len(means)),
        "brightness": f"{np.mean(means):.1f}",
        "mean jump, %": f"{100 * jumps.mean():.3f}",
        "largest jump, %": f"{100 * jumps.max():.2f}",
        "mean jump of a block, %": f"{100 * np.mean(blocks):.2f}",
    }


def _blocks(light: np.ndarray) -> np.ndarray:
    rows, columns = (side // BLOCK for side in light.shape)
    cut = light[: rows * BLOCK, : columns * BLOCK]
    return np.asarray(cut.reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photographs", nargs="+", default=["coffee.png"], help="files of skimage.data")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--exposure", type=float, default=1 / 20, help="share of the light, up to 1")
    parser.add_argument("--unsteady", type=int, default=50, help="frames to enhance one by one, too")
    parser.add_argument("--batches", type=int, nargs="+", help="time the network on batches of these sizes")
    return parser


if __name__ == "__main__":
    run(main)
