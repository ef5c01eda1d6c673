from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reddit.image.marks import mark
from reddit.image.read import Photo, read_photo
from reddit.image.write import write_photo
from reddit.inference.enhancer import Enhancer, EnhanceWarning
from reddit.inference.files import Plan, enhance_files, plan_outputs
from reddit.utils.errors import UserError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `in` with pictures in it and below it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.JPG", "c/a.png", "c/d/e.tif", ".hidden/f.png"):
        write_photo(Path("in") / name, Photo(dark()))
    Path("in/notes.txt").write_text("no picture")
    return tmp_path


def dark(dtype: type = np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max // 8
    return np.random.default_rng(0).integers(0, top, (12, 17, 3)).astype(dtype)


def planned(plan: Plan) -> dict[str, str]:
    return {str(source): str(target) for source, target in plan.outputs.items()}


# Plans


def test_a_folder_keeps_names_and_kinds(here: Path) -> None:
    plan = plan_outputs([Path("in")], Path("out"))
    assert planned(plan) == {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG"}
    assert not plan.present and not plan.single


def test_recursion_keeps_the_subfolders(here: Path) -> None:
    plan = plan_outputs([Path("in")], Path("out"), recursive=True, suffix="lit", form="png")
    assert planned(plan) == {
        "in/a.png": "out/a_lit.png",
        "in/b.JPG": "out/b_lit.png",
        "in/c/a.png": "out/c/a_lit.png",
        "in/c/d/e.tif": "out/c/d/e_lit.png",
    }


def test_parts_share_the_files_whatever_results_exist(here: Path) -> None:
    everything = planned(plan_outputs([Path("in")], Path("in/out"), recursive=True))
    assert len(everything) == 4
    parts: dict[str, str] = {}
    for number in (1, 2, 3):  # each begins when the results of those before it lie there
        plan = plan_outputs([Path("in")], Path("in/out"), recursive=True, shard=(number, 3))
        assert len(plan.outputs) == (2 if number == 1 else 1) and not plan.present
        parts |= planned(plan)
        for target in plan.outputs.values():
            write_photo(target, Photo(dark()))
    assert parts == everything
    again = plan_outputs([Path("in")], Path("in/out"), recursive=True, shard=(1, 3))
    assert not again.outputs and len(again.present) == 2
    assert not plan_outputs([Path("in/a.png")], Path("out"), shard=(2, 2)).outputs


def test_existing_results_are_kept_by_default(here: Path) -> None:
    photo = Photo(dark())
    mark(photo.exif)
    write_photo("out/a.png", photo)
    plan = plan_outputs([Path("in")], Path("out"))
    assert planned(plan) == {"in/b.JPG": "out/b.JPG"} and plan.present == [Path("in/a.png")]
    assert len(plan_outputs([Path("in")], Path("out"), overwrite=True).outputs) == 2


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp", ".bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_only_results_are_replaced(extension: str, dtype: type, here: Path, model: Enhancer) -> None:
    """A result knows that it is one until another program writes it."""
    write_photo("in/a.png", Photo(dark(dtype)))
    result = Path("out/a_lit").with_suffix(extension)
    asked = {"suffix": "lit", "form": extension[1:], "overwrite": True}
    for _ in range(2):
        plan = plan_outputs([Path("in/a.png")], Path("out"), **asked)
        assert enhance_files(plan, model, quiet=True).written == [result]
    with Image.open(result) if extension != ".tif" else nullcontext() as image:
        other = image.copy() if image else Image.new("RGB", (4, 4))
    other.save(result)  # without EXIF data, as many programs do
    before = result.read_bytes()
    with pytest.raises(UserError, match=r"--overwrite: out/a_lit\.\w+ is no result of this program: choose"):
        plan_outputs([Path("in/a.png")], Path("out"), **asked)
    assert plan_outputs([Path("in/a.png")], Path("out"), **asked | {"overwrite": False}).present
    assert result.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"mine", None])
def test_other_files_are_not_replaced(content: bytes | None, here: Path) -> None:
    for name in ("a.png", "b.JPG"):
        path = Path("out") / name
        path.parent.mkdir(exist_ok=True)
        if content is None:
            os.mkfifo(path)
        else:
            path.write_bytes(content)
    with pytest.raises(UserError, match=r"out/a\.png and 1 more are no result"):
        plan_outputs([Path("in")], Path("out"), overwrite=True)


def test_earlier_results_are_no_pictures_to_enhance(here: Path) -> None:
    write_photo("in/out/a.png", Photo(dark()))
    inside = plan_outputs([Path("in")], Path("in/out"), recursive=True)
    assert Path("in/out/a.png") not in [*inside.outputs, *inside.present]
    write_photo("in/a_lit.png", Photo(dark()))
    beside = plan_outputs([Path("in")], Path("in"), suffix="lit")
    assert planned(beside) == {"in/b.JPG": "in/b_lit.JPG"} and beside.present == [Path("in/a.png")]


def test_files_and_folders_can_be_mixed(here: Path) -> None:
    assert plan_outputs([Path("in/a.png")], Path("out")).single
    plan = plan_outputs([Path("in/a.png"), Path("in/c/d")], Path("out"))
    assert planned(plan) == {"in/a.png": "out/a.png", "in/c/d/e.tif": "out/e.tif"} and not plan.single


def test_one_picture_can_go_to_a_file(here: Path) -> None:
    assert planned(plan_outputs([Path("in/a.png")], Path("new/bright.jpg"))) == {"in/a.png": "new/bright.jpg"}
    write_photo("bright.jpg", Photo(dark()))
    assert plan_outputs([Path("in/a.png")], Path("bright.jpg")).present == [Path("in/a.png")]
    Path("folder.png").mkdir()
    assert planned(plan_outputs([Path("in/a.png")], Path("folder.png"))) == {"in/a.png": "folder.png/a.png"}


def test_files_that_are_no_pictures_are_reported(here: Path) -> None:
    for name in (".secret", ".hidden/notes.txt", "c/film.mp4"):
        (Path("in") / name).write_text("")
    assert plan_outputs([Path("in")], Path("out")).others == [Path("in/notes.txt")]
    deep = plan_outputs([Path("in")], Path("out"), recursive=True).others
    assert set(deep) == {Path("in/notes.txt"), Path("in/c/film.mp4")}


@pytest.mark.parametrize(
    ("sources", "folder", "settings", "message"),
    [
        (["in"], "bright.jpg", {}, "-o bright.jpg is a single file, but -i has several"),
        (["in/a.png"], "in/a.png", {}, "would overwrite its original"),
        (["in/a.png"], "bright.jpg", {"suffix": "lit"}, "omit --format and --suffix"),
        (["in/a.png"], "file", {}, "-o file is a file: use a folder"),
        (["in/a.png"], "out", {"suffix": "x/y"}, "--suffix x/y: must be a part of a file name"),
        (["none"], "out", {}, "no such file or folder: none"),
        (["in"], "in", {}, "would overwrite its original"),
        (["in/a.png", "in/c/a.png"], "out", {}, r"in/a\.png and in/c/a\.png would both become out/a\.png"),
        (["empty"], "out", {}, "no pictures .* in empty; --recursive includes its subfolders"),
        (["empty"], "out", {"recursive": True}, r"no pictures \(.*\) in empty$"),
    ],
)
def test_impossible_plans(
    here: Path, sources: list[str], folder: str, settings: dict[str, bool], message: str
) -> None:
    Path("empty").mkdir()
    Path("file").touch()
    with pytest.raises(UserError, match=message):
        plan_outputs([Path(source) for source in sources], Path(folder), **settings)  # type: ignore[arg-type]


# Files


def test_files_keep_format_and_metadata(here: Path, model: Enhancer) -> None:
    deep = Photo(dark(np.uint16), dpi=(300.0, 300.0))
    write_photo("in/deep.tif", deep)
    done = enhance_files(plan_outputs([Path("in/deep.tif")], Path("out")), model, seed=2, quiet=True)
    assert done.written == [Path("out/deep.tif")] and not done.failed
    again = read_photo("out/deep.tif")
    assert again.dpi == (300, 300)
    assert np.array_equal(again.pixels, model.enhance(deep.pixels, seed=2))


def test_a_bad_file_does_not_stop_the_others(here: Path, model: Enhancer) -> None:
    whole = Path("in/a.png").read_bytes()
    Path("in/a.png").write_bytes(whole[:100])
    done = enhance_files(plan_outputs([Path("in")], Path("out")), model, quiet=True)
    assert done.written == [Path("out/b.JPG")] and Path("out/b.JPG").exists()
    assert len(done.failed) == 1 and "in/a.png is damaged" in done.failed[0]


def test_a_pipe_is_reported_and_the_others_are_enhanced(here: Path, model: Enhancer) -> None:
    Path("in/a.png").unlink()
    os.mkfifo("in/a.png")
    done = enhance_files(plan_outputs([Path("in")], Path("out")), model, quiet=True)
    assert done.written == [Path("out/b.JPG")]
    assert len(done.failed) == 1 and "in/a.png is no file but a folder, a pipe or a device" in done.failed[0]


@pytest.mark.parametrize("name", ["in/c", "in/c/d"])
def test_a_subfolder_that_cannot_be_listed_is_named(
    name: str, here: Path, model: Enhancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder == Path(name):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)  # root, who may run this, can list all
    done = enhance_files(plan_outputs([Path("in")], Path("out"), recursive=True), model, quiet=True)
    assert done.failed == [f"cannot list {name}: Permission denied"]
    assert set(done.written) >= {Path("out/a.png"), Path("out/b.JPG")}
    assert (Path("out/c/a.png") in done.written) == (name == "in/c/d")


@pytest.mark.parametrize("length", [245, 251, 255])
def test_long_names(length: int, here: Path, model: Enhancer) -> None:
    """A result may have the longest name; what has none fails alone."""
    name = "ä" * ((length - 4) // 2) + "x" * ((length - 4) % 2) + ".png"
    assert len(name.encode()) == length
    write_photo(Path("in") / name, Photo(dark()))
    done = enhance_files(plan_outputs([Path("in")], Path("out")), model, quiet=True)
    assert Path("out") / name in done.written and not done.failed
    done = enhance_files(plan_outputs([Path("in")], Path("lit"), suffix="brighter"), model, quiet=True)
    assert len(done.written) == 2 + (length == 245)
    assert all("File name too long; choose a shorter name" in line for line in done.failed)


def test_a_result_that_cannot_be_written_names_its_picture(here: Path, model: Enhancer) -> None:
    clear = np.dstack([dark(), np.full((12, 17), 99, np.uint8)])
    write_photo("in/clear.png", Photo(clear))
    done = enhance_files(plan_outputs([Path("in/clear.png")], Path("out"), form="jpg"), model, quiet=True)
    assert "in/clear.png" in done.failed[0] and "--format png" in done.failed[0]


def test_a_lit_picture_is_named(here: Path, model: Enhancer) -> None:
    write_photo("in/day.png", Photo(np.full((9, 9, 3), 200, np.uint8)))
    plan = plan_outputs([Path("in/day.png")], Path("out"))
    with pytest.warns(EnhanceWarning, match=r"in/day\.png is not dark"):
        enhance_files(plan, model, quiet=True)
    assert read_photo("out/day.png").pixels.min() == 200


def test_settings_that_fit_no_picture_are_refused_at_once(here: Path, model: Enhancer) -> None:
    with pytest.raises(UserError, match="tile 5"):
        enhance_files(plan_outputs([Path("in")], Path("out")), model, tile=5, quiet=True)
