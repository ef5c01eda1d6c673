from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reddit.data import PictureCache
from reddit.image.write import encode
from reddit.utils.errors import UserError


def picture(size: int, value: int = 0) -> np.ndarray:
    """An array of so many bytes."""
    return np.full((size, 1, 1), value, np.uint8)


class Counting:
    def __init__(self, size: int, value: int = 0) -> None:
        self.size, self.value, self.made = size, value, 0

    def __call__(self) -> np.ndarray:
        self.made += 1
        return picture(self.size, self.value)


def test_what_fits_is_made_once() -> None:
    cache, make = PictureCache(10), Counting(10, 7)
    assert all((cache.get("a", make) == 7).all() for _ in range(3))
    assert (make.made, cache.held, cache.holds("a")) == (1, 10, True)


def test_what_does_not_fit_is_read_again() -> None:
    cache, first, second = PictureCache(15), Counting(10), Counting(6)
    cache.get("a", first)
    for _ in range(3):
        cache.get("b", second)
        cache.get("a", first)  # stays: throwing it out would gain nothing
    assert (first.made, second.made) == (1, 3)
    assert (cache.held, cache.holds("a"), cache.holds("b")) == (10, True, False)


def test_a_smaller_one_still_fits_after_a_larger_did_not() -> None:
    cache = PictureCache(15)
    for key, size in (("a", 10), ("b", 6), ("c", 5)):
        cache.get(key, Counting(size))
    assert cache.held == 15 and not cache.holds("b")


@pytest.mark.parametrize("limit", [0, 1, 99, 100, 1000, 1e9])
def test_the_limit_is_never_passed(limit: float) -> None:
    rng = np.random.default_rng(0)
    cache = PictureCache(limit)
    held = 0
    for key in range(200):
        size = int(rng.integers(1, 100))
        cache.get(key, Counting(size))
        held += size if held + size <= limit else 0
        assert cache.held == held <= limit
    assert all(map(cache.holds, range(200))) == (limit > 20_000)


def test_a_cache_of_nothing_holds_nothing() -> None:
    cache, make = PictureCache(), Counting(1)
    cache.get("a", make)
    cache.get("a", make)
    assert (make.made, cache.held, cache.holds("a")) == (2, 0, False)


def test_a_closed_cache_is_not_used() -> None:
    cache, held, late = PictureCache(100), Counting(10), Counting(10)
    cache.get("a", held)
    cache.close()
    for _ in range(2):
        cache.get("a", held)
        cache.get("b", late)
    assert (held.made, late.made, cache.held) == (1, 2, 10)


def test_memory_is_counted_in_bytes() -> None:
    cache = PictureCache(100)
    cache.get("a", lambda: np.zeros((2, 3, 4), np.float32))
    assert cache.held == 96


def test_files_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(np.full((4, 5, 3), 9, np.uint8)))
    cache = PictureCache(60)
    assert (cache.read(path) == 9).all() and cache.held == 60
    path.unlink()
    assert (cache.read(path) == 9).all()
    with pytest.raises(UserError, match="cannot read"):
        PictureCache(0).read(path)


def test_pictures_in_memory_take_no_more() -> None:
    cache, array = PictureCache(10**6), picture(100)
    assert cache.read(array) is array
    assert cache.held == 0


def test_a_failure_is_not_kept() -> None:
    cache = PictureCache(100)

    def fail() -> np.ndarray:
        raise UserError("damaged")

    makes: list[Callable[[], np.ndarray]] = [fail, Counting(10, 3)]
    with pytest.raises(UserError):
        cache.get("a", makes[0])
    assert (cache.get("a", makes[1]) == 3).all()


# On disk


def test_what_does_not_fit_into_memory_is_mapped(tmp_path: Path) -> None:
    cache, first, second = PictureCache(15, tmp_path), Counting(10, 1), Counting(6, 2)
    for _ in range(3):
        assert (cache.get("a", first) == 1).all() and (cache.get("b", second) == 2).all()
    assert (first.made, second.made, cache.holds("b")) == (1, 1, False)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [6]
    assert not cache.get("b", second).flags.writeable


def test_arrays_on_disk_keep_type_and_shape(tmp_path: Path) -> None:
    cache = PictureCache(0, tmp_path)
    array = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    cache.get("a", lambda: array)
    found = pickle.loads(pickle.dumps(cache)).get("a", Counting(1))  # as a worker process receives it
    assert found.dtype == np.float32 and np.array_equal(found, array)


def test_equal_pictures_share_a_file(tmp_path: Path) -> None:
    one, other = PictureCache(0, tmp_path), PictureCache(0, tmp_path)
    one.get("a", Counting(6))
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    other.get("b", Counting(6))
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [written]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"12"), Path.touch])
def test_a_file_that_is_gone_or_cut_is_made_again(damage: Callable[[Path], object], tmp_path: Path) -> None:
    cache, make = PictureCache(0, tmp_path), Counting(6, 3)
    cache.get("a", make)
    (file,) = tmp_path.iterdir()
    damage(file)
    for _ in range(2):
        assert (cache.get("a", make) == 3).all()
    assert make.made == (1 if damage is Path.touch else 2)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*check the folder"):
        PictureCache(0, tmp_path / "file" / "below").get("a", Counting(6))
