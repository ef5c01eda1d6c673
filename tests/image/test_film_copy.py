from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_film import TIMES, Contents, contents, picture, write_film, write_sound

from reddit.image.film_copy import FilmCopy
from reddit.image.films import is_film_result, open_film, read_film
from reddit.utils.errors import UserError

pytest.importorskip("av")
ADTS = 7
"""Bytes of the header of an AAC packet in a transport stream, without a check sum."""


def copied(source: Path, target: Path) -> tuple[Contents, Contents]:
    """A film and its copy with the same pictures."""
    copy = FilmCopy(source, read_film(source), lambda frame, seconds: frame)
    assert list(copy.write(target, target.suffix)) == list(range(1, len(TIMES) + 1))
    assert copy.left_out == []
    return contents(source), contents(target)


def packets(path: Path) -> list[bytes]:
    """The audio packets of a film."""
    with open_film(path) as film:
        return [bytes(packet) for packet in film.demux(film.streams.audio) if packet.dts is not None]


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"rotation": 90, "color_range": 2, "colorspace": 6},
        {"codec": "libx265", "pixel_format": "yuv420p10le", "x265-params": "log-level=none"},
        {"sound": None, "pixel_format": "yuv444p", "size": (63, 47)},
    ],
    ids=["usual", "rotated, full range, BT.601", "hevc, 10 bits", "odd size, silent"],
)
@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_everything_but_the_pictures_is_kept(made: dict[str, object], extension: str, tmp_path: Path) -> None:
    source = write_film(tmp_path / f"a{extension}", **made)  # type: ignore[arg-type]
    before, after = copied(source, tmp_path / f"b{extension}")
    assert after.sound == before.sound and after.sound_times == before.sound_times
    assert bool(made.get("sound", True)) == bool(before.sound_times)
    assert after.times == before.times
    assert after.look == before.look
    assert {k.lower(): v for k, v in after.tags.items()}["title"] == "night"
    change = np.subtract(after.frames, before.frames, dtype=np.float32)
    shift = 2 if made.get("color_range") == 2 else 1  # FFmpeg rounds the full range less well
    assert np.abs(change).mean() < 1.5 and np.abs(change.mean(axis=(0, 1, 2))).max() < shift


def test_webm(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.webm", codec="libvpx-vp9", sound="libopus")
    before, after = copied(source, tmp_path / "b.webm")
    assert (after.sound, after.times, after.look) == (before.sound, before.times, before.look)


def test_av1_stays_av1_and_names_are_no_addresses(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", codec="libsvtav1", size=(128, 96)).rename(tmp_path / "pipe:1.mp4")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path)  # relative, so that the name begins with the colon's word
        before, after = copied(Path(source.name), Path("file:2.mp4"))
        assert is_film_result(Path("file:2.mp4"))
    assert (after.sound, after.times, after.look) == (before.sound, before.times, before.look)
    assert read_film(tmp_path / "file:2.mp4").codec == "av1"


def test_transparency_is_warned_of(tmp_path: Path) -> None:
    form = "yuva444p10le"
    source = write_film(tmp_path / "a.mov", codec="prores_ks", pixel_format=form, sound=None)
    assert read_film(source).warnings == (f"{source} has transparency, which is not kept",)


def test_sound_of_a_transport_stream_loses_its_headers_alone(tmp_path: Path) -> None:
    source, target = write_film(tmp_path / "a.mts"), tmp_path / "b.mkv"
    before, after = copied(source, target)
    assert packets(target) == [packet[ADTS:] for packet in packets(source)] != []
    assert after.sound_times == pytest.approx(before.sound_times, abs=0.001)
    assert after.times == pytest.approx(before.times, abs=0.001)


def test_the_pictures_are_those_of_the_change(tmp_path: Path) -> None:
    source, target = write_film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    seen = []

    def brighter(frame: np.ndarray, seconds: float) -> np.ndarray:
        seen.append(seconds)
        return np.clip(2 * frame.astype(int), 0, 255).astype(np.uint8)

    list(FilmCopy(source, read_film(source), brighter).write(target, ".mp4"))
    assert seen == pytest.approx([time / 600 for time in TIMES])
    assert np.abs(np.mean(contents(target).frames, axis=0) - 2.0 * picture(64, 48)).mean() < 3


def test_the_mark(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4")
    for extension in (".mp4", ".mov", ".mkv"):
        copied(source, tmp_path / f"b{extension}")
        assert is_film_result(tmp_path / f"b{extension}")
    (tmp_path / "c.mp4").write_text("no film")
    assert not is_film_result(source) and not is_film_result(tmp_path / "c.mp4")
    assert not is_film_result(tmp_path / "none.mp4")


def test_sound_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"a\.mp4: webm does not hold its audio \(aac\): use \.mkv"):
        copied(source, tmp_path / "b.webm")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_film_is_an_error(share: float, tmp_path: Path) -> None:
    data = write_film(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match=r"b\.mp4 is damaged, truncated or no film"):
        read_film(tmp_path / "b.mp4")


def test_a_film_without_video_is_an_error(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as film:
        track = film.add_stream("aac", rate=48000)
        track.layout = "stereo"
        write_sound(av, film, track)
    with pytest.raises(UserError, match=r"a\.mp4 has no video track"):
        read_film(tmp_path / "a.mp4")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r"night\.mp4 is a film: pip install 'reddit-llie\[video\]'"):
        read_film(tmp_path / "night.mp4")
