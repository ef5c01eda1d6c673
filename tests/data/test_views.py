from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from repository import call

from reddit.data.views import lay_out_photos, views
from reddit.image.read import list_images, read_uint8
from reddit.image.write import encode
from reddit.utils.errors import UserError


def test_a_small_photograph_is_one_view() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (600, 800, 3)).astype(np.uint8)
    (only,) = views(picture)
    assert np.array_equal(only, picture)


def test_a_large_photograph_is_nine_views_that_cover_it() -> None:
    marked = np.zeros((1200, 1800, 3), np.uint8)
    marked[:40, :40] = marked[-40:, -40:] = 255
    found = list(views(marked))
    assert [view.shape[:2] for view in found] == [(533, 800)] * 9
    assert [k for k, view in enumerate(found) if view[0, 0, 0]] == [0, 1, 5]
    assert [k for k, view in enumerate(found) if view[-1, -1, 0]] == [0, 4, 8]


def test_photographs_are_laid_out_once(tmp_path: Path) -> None:
    source = tmp_path / "holiday" / "june"
    source.mkdir(parents=True)
    picture = np.full((30, 40, 3), 90, np.uint8)
    for name in ("a.png", "b.png"):
        (source / name).write_bytes(encode(picture))
    command = ("data", "photos", "--from", str(tmp_path / "holiday"), "--name", "own")
    call(*command, "--data-root", str(tmp_path / "sets"), "--quiet")
    files = list_images(tmp_path / "sets" / "photos" / "own")
    assert [file.name for file in files] == ["00000-0-a.jpg", "00001-0-b.jpg"]
    assert np.array_equal(read_uint8(files[0]), picture)
    before = [file.stat().st_mtime_ns for file in files]
    assert lay_out_photos([tmp_path / "holiday"], "own", tmp_path / "sets", quiet=True) == []
    assert [file.stat().st_mtime_ns for file in files] == before


def test_the_views_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="where the views are written"):
        lay_out_photos([tmp_path / "photos" / "own"], "own", tmp_path, quiet=True)
    with pytest.raises(UserError, match="is no name of a folder"):
        lay_out_photos([tmp_path], "../own", tmp_path, quiet=True)
    with pytest.raises(UserError, match="holds no pictures"):
        lay_out_photos([tmp_path], "own", tmp_path, quiet=True)


def test_a_damaged_photograph_does_not_end_the_others(tmp_path: Path) -> None:
    source = tmp_path / "holiday"
    source.mkdir()
    (source / "a.jpg").write_bytes(b"no picture")
    (source / "b.png").write_bytes(encode(np.full((30, 40, 3), 90, np.uint8)))
    with pytest.raises(UserError, match=r"1 photograph left out; the first: .*a\.jpg is damaged"):
        lay_out_photos([source], "own", tmp_path, quiet=True)
    assert [file.name for file in list_images(tmp_path / "photos" / "own")] == ["00001-0-b.jpg"]
