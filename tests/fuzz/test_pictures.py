"""Damaged and hostile pictures: each is read, everywhere alike, or refused in a line; a batch goes on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import drawing, drawn, mutated_bytes, refused
from hypothesis import given
from hypothesis import strategies as st
from picture_files import Files, whole_files

from reddit.image.containers import PNG_MAGIC, png_size
from reddit.image.marks import is_result
from reddit.image.pixels import eight_bits, rgb_of
from reddit.image.read import Photo, read_photo, read_uint8
from reddit.image.write import write_photo
from reddit.inference.enhancer import Enhancer
from reddit.inference.files import enhance_files, plan_outputs
from reddit.inference.loading import load

BOMB = zlib.compress(bytes(10**8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return whole_files(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def model(light_weights: Path) -> Enhancer:
    return load(str(light_weights), device="cpu")


@st.composite
def mutated_png(draw: Any, data: bytes) -> bytes:
    """A PNG with some chunks changed, removed or repeated, and their check sums right."""
    chunks, place = [], len(PNG_MAGIC)
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(chunks) - 1))
        kind, content = chunks[number]
        change = draw(st.sampled_from(["content", "size", "remove", "repeat", "kind", "bomb"]))
        if change == "content":
            chunks[number] = kind, draw(mutated_bytes(content or b"\0"))
        elif change == "size":
            width, height = (draw(st.sampled_from([0, 1, 2**15, 2**31 - 1])) for _ in range(2))
            chunks[0] = chunks[0][0], struct.pack(">II", width, height) + chunks[0][1][8:]
        elif change == "remove" and len(chunks) > 1:
            del chunks[number]
        elif change == "repeat":
            chunks.insert(number, chunks[number])
        elif change == "kind":
            kinds = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"iCCP", b"zTXt", b"eXIf", b"abcd"]
            chunks[number] = draw(st.sampled_from(kinds)), content
        else:
            chunks.insert(1, (draw(st.sampled_from([b"zTXt", b"iCCP"])), b"a\0\0" + BOMB))
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return PNG_MAGIC + b"".join(parts)


def check(path: Path) -> Photo | None:
    """See that a file is read, by all readers alike, and written again; or refused by all."""
    photo = refused(lambda: read_photo(path), lines=1) if path.suffix != ".npy" else None
    flat = refused(lambda: read_uint8(path), lines=1)
    assert is_result(path) is False
    if photo is None:
        assert flat is None or path.suffix == ".npy"
        return None
    assert photo.pixels.dtype in (np.uint8, np.uint16) and photo.pixels.size > 0
    assert photo.pixels.ndim == 2 or photo.pixels.shape[2] in (2, 3, 4)
    assert np.array_equal(flat, eight_bits(rgb_of(photo.pixels)))
    size = png_size(path)
    assert size is None or size == photo.pixels.shape[:2]
    for extension in (".png", ".tif"):
        again = path.with_name(f"again{extension}")
        write_photo(again, photo)
        assert np.array_equal(read_photo(again).pixels, photo.pixels)
    return photo


def test_whole_files_are_read_or_refused_for_what_they_are(whole: Files, tmp_path: Path) -> None:
    refused_kinds = {"animated.png", "CMYK.jpg", "animated.webp", "CMYK.tif", "float.tif", "a.gif", "a.ppm"}
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
        read = check(tmp_path / name) is not None or name.endswith(".npy")
        if name != "big.tif" or read:  # Pillow 11.0 knows no big-endian BigTIFF
            assert read == (name not in refused_kinds), name


@drawn
@given(data=st.data())
def test_bytes(data: st.DataObject, whole: Files, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(sorted(whole)))
    path = tmp_path / f"a{Path(name).suffix}"
    path.write_bytes(data.draw(mutated_bytes(whole[name])))
    check(path)


@drawn
@given(data=st.data())
def test_chunks_of_a_png(data: st.DataObject, whole: Files, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(sorted(name for name in whole if name.endswith(".png"))))
    (tmp_path / "a.png").write_bytes(data.draw(mutated_png(whole[name])))
    check(tmp_path / "a.png")


@drawn
@given(data=st.data())
def test_what_is_damaged_is_not_taken_for_whole(data: st.DataObject, whole: Files, tmp_path: Path) -> None:
    """A PNG has a check sum on each chunk."""
    name = data.draw(st.sampled_from(["RGB.png", "L.png", "RGBA.png", "deep.png", "deep grey.png"]))
    path = tmp_path / "a.png"
    path.write_bytes(whole[name])
    before = read_photo(path).pixels
    path.write_bytes(data.draw(mutated_bytes(whole[name])))
    photo = check(path)
    assert photo is None or np.array_equal(photo.pixels, before)


TAGS = [254, 256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 282, 284, 296, 305, 317, 320, 322, 338, 339]


@drawn
@given(data=st.data())
def test_tags_of_a_tiff(data: st.DataObject, whole: Files, tmp_path: Path) -> None:
    """Entries of the directory with another tag, type, count or value."""
    names = sorted(name for name in whole if name.endswith(".tif") and name != "big.tif")
    content = bytearray(whole[data.draw(st.sampled_from(names))])
    start = struct.unpack_from("<I", content, 4)[0]
    (count,) = struct.unpack_from("<H", content, start)
    for _ in range(data.draw(st.integers(1, 2))):
        entry = start + 2 + 12 * data.draw(st.integers(0, count - 1))
        field = data.draw(st.sampled_from(["tag", "type", "count", "value"]))
        small = st.one_of(st.integers(0, 9), st.sampled_from([16, 32, 255, 2**15, 2**16 - 1]))
        large = st.one_of(small, st.sampled_from([2**24, 2**31, 2**32 - 1]))
        if field == "tag":
            struct.pack_into("<H", content, entry, data.draw(st.sampled_from(TAGS)))
        elif field == "type":
            struct.pack_into("<H", content, entry + 2, data.draw(st.integers(0, 18)))
        else:
            struct.pack_into("<I", content, entry + (4 if field == "count" else 8), data.draw(large))
    (tmp_path / "a.tif").write_bytes(content)
    check(tmp_path / "a.tif")


ODD: dict[str, Callable[[Path], object]] = {
    "empty.png": lambda path: path.touch(),
    "folder.jpg": lambda path: path.mkdir(),
    "itself.png": lambda path: path.symlink_to(path),
    "nothing.tif": lambda path: path.symlink_to("none"),
    "zeros.bmp": lambda path: path.write_bytes(bytes(5000)),
    "text.webp": lambda path: path.write_text("mine"),
}


@drawing(5)
@given(data=st.data())
def test_a_batch_goes_on(
    data: st.DataObject,
    whole: Files,
    model: Enhancer,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", "0.01")
    folder = tmp_path_factory.mktemp("batch")
    for name, make in ODD.items():
        make(folder / name)
    for number, name in enumerate(
        data.draw(st.lists(st.sampled_from(sorted(whole)), min_size=1, max_size=4))
    ):
        content = data.draw(st.one_of(st.just(whole[name]), mutated_bytes(whole[name])))
        (folder / f"{number}{Path(name).suffix}").write_bytes(content)
    (folder / "good.png").write_bytes(whole["RGB.png"])
    plan = plan_outputs([folder], folder / "out")
    done = enhance_files(plan, model, guard=False, quiet=True)
    assert folder / "out/good.png" in done.written
    assert len(done.written) + len(done.failed) == len(plan.outputs)
    assert len(done.failed) >= len(ODD)
    for path in done.written:
        assert is_result(path)
