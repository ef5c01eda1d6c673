"""Linking unpacked archives: found, idempotent, never overwriting."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from reddit.data import LAYOUTS, find_pairs, find_pictures
from reddit.data.link import link
from reddit.image.write import encode
from reddit.utils.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((4, 4, 3), np.uint8)
    np.save(path, picture) if path.suffix == ".npy" else path.write_bytes(encode(picture, path.suffix))
    return path


def tree(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*")) if root.exists() else []


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """LOL-v1 as some unpack it: two levels down, the renamed tree."""
    folder = tmp_path / "downloads"
    for split in ("Train", "Test"):
        put(folder / f"lol/dataset/{split}/input/1.png"), put(folder / f"lol/dataset/{split}/target/1.png")
    return folder


def test_linked_folders_are_found(tmp_path: Path, archive: Path) -> None:
    lines: list[str] = []
    made = link("lolv1", archive, tmp_path / "data", log=lines.append)
    assert [str(p.relative_to(tmp_path / "data")) for p in made] == [
        *("LOLv1/our485/low", "LOLv1/our485/high", "LOLv1/eval15/low", "LOLv1/eval15/high")
    ]
    assert all(p.is_symlink() and p.readlink().is_absolute() for p in made)
    assert len(lines) == 4 and all(line.startswith("linked ") for line in lines)
    for split in ("train", "test"):
        (pair,) = find_pairs("lolv1", tmp_path / "data", split)
        assert pair.low.is_file()


def test_linking_again_changes_nothing(tmp_path: Path, archive: Path) -> None:
    link("lolv1", archive, tmp_path / "data", log=lambda line: None)
    before = tree(tmp_path)
    lines: list[str] = []
    assert link("lolv1", archive, tmp_path / "data", log=lines.append) == []
    assert tree(tmp_path) == before and all("already in place" in line for line in lines)


def test_an_interrupted_link_is_completed(tmp_path: Path, archive: Path) -> None:
    first, *_ = link("lolv1", archive, tmp_path / "data", log=lambda line: None)
    first.unlink()
    assert link("lolv1", archive, tmp_path / "data", log=lambda line: None) == [first]


def test_a_dry_run_writes_nothing(tmp_path: Path, archive: Path) -> None:
    lines: list[str] = []
    assert len(link("lolv1", archive, tmp_path / "data", dry_run=True, log=lines.append)) == 4
    assert not (tmp_path / "data").exists() and all(line.startswith("would link") for line in lines)


def test_an_existing_set_is_not_replaced(tmp_path: Path, archive: Path) -> None:
    put(tmp_path / "data/LOL-v1/eval15/low/9.png"), put(tmp_path / "data/LOL-v1/eval15/high/9.png")
    before = tree(tmp_path)
    with pytest.raises(UserError, match=r"lolv1 \(test\) already exists at .*LOL-v1/eval15/low"):
        link("lolv1", archive, tmp_path / "data")
    assert tree(tmp_path) == before  # the training folders were free, and still nothing was linked


def test_something_in_the_way_is_not_replaced(tmp_path: Path, archive: Path) -> None:
    put(tmp_path / "data/LOLv1/eval15/low/9.png")
    with pytest.raises(UserError, match=r"eval15/low exists and is not a link"):
        link("lolv1", archive, tmp_path / "data")


def test_a_tree_in_the_data_root_itself_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "LOLv1/Test/input/1.png"), put(tmp_path / "LOLv1/Test/target/1.png")
    lines: list[str] = []
    assert link("lolv1", tmp_path, tmp_path, log=lines.append) == []
    assert lines[0].startswith("lolv1 (train): not found") and "already in place" in lines[1]


def test_the_parts_of_lolv2_are_distinguished(tmp_path: Path) -> None:
    for half in ("Real_captured", "Synthetic"):
        for split in ("Train", "Test"):
            for side in ("Low", "Normal"):
                put(tmp_path / f"LOL-v2/{half}/{split}/{side}/{half}.png")
    for name, half in (("lolv2_real", "Real_captured"), ("lolv2_synthetic", "Synthetic")):
        link(name, tmp_path / "LOL-v2", tmp_path / "data", log=lambda line: None)
        assert find_pairs(name, tmp_path / "data", "test")[0].name == half
    # Naming one half itself is enough.
    link("lolv2_synthetic", tmp_path / "LOL-v2/Synthetic", tmp_path / "other", log=lambda line: None)
    with pytest.raises(UserError, match="no folders of lolv2_real"):
        link("lolv2_real", tmp_path / "LOL-v2/Synthetic", tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("sid", ["short_sid2/10003/a.npy", "long_sid2/10003/b.npy"]),
        ("sdsd_indoor", ["indoor_static_np/input/pair1/1.npy", "indoor_static_np/GT/pair1/1.npy"]),
        (
            "sdsd_outdoor",
            ["x/outdoor_static_np/input/MVI_0898/1.npy", "x/outdoor_static_np/GT/MVI_0898/1.npy"],
        ),
    ],
)
def test_arrays(tmp_path: Path, name: str, files: list[str]) -> None:
    for file in files:
        put(tmp_path / "archive" / file)
    made = link(name, tmp_path / "archive", tmp_path / "data", log=lambda line: None)
    assert len(made) == 2 and len(find_pairs(name, tmp_path / "data", "test")) == 1


@pytest.mark.parametrize("source", ["all", "all/test/DICM", "mine"])
def test_sets_without_gt(tmp_path: Path, source: str) -> None:
    put(tmp_path / "all/test/DICM/01.jpg"), put(tmp_path / "mine/01.jpg")
    (made,) = link("dicm", tmp_path / source, tmp_path / "data", log=lambda line: None)
    assert made == tmp_path / "data/DICM" and len(find_pictures("dicm", tmp_path / "data")) == 1


def test_two_matching_folders_are_an_error(tmp_path: Path) -> None:
    for copy in ("a", "b"):
        put(tmp_path / f"{copy}/eval15/low/1.png"), put(tmp_path / f"{copy}/eval15/high/1.png")
    with pytest.raises(UserError, match=r"several folders .* could be lolv1 \(test\)"):
        link("lolv1", tmp_path, tmp_path / "data")
    # The copy whose whole tree is the published one is preferred.
    (tmp_path / "a").rename(tmp_path / "LOLdataset")
    made = link("lolv1", tmp_path, tmp_path / "data", log=lambda line: None)
    assert made[0].readlink() == (tmp_path / "LOLdataset/eval15/low").resolve()


def test_the_search_ends_four_levels_down(tmp_path: Path) -> None:
    put(tmp_path / "1/2/3/4/eval15/low/1.png"), put(tmp_path / "1/2/3/4/eval15/high/1.png")
    with pytest.raises(UserError, match="within 4 levels"):
        link("lolv1", tmp_path, tmp_path / "data")
    assert len(link("lolv1", tmp_path / "1", tmp_path / "data", log=lambda line: None)) == 2


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_to_link(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"no folders of {name} "):
        link(name, tmp_path, tmp_path / "data")
    with pytest.raises(UserError, match="is not a folder"):
        link(name, tmp_path / "missing", tmp_path / "data")


def test_impossible_links_end_in_a_clear_line(tmp_path: Path, archive: Path, monkeypatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(UserError, match=r"cannot link .*Operation not permitted; move the folder there"):
        link("lolv1", archive, tmp_path / "data")


def test_the_script(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDDIT_DATA", str(tmp_path / "data"))
    for source, code in ((archive, 0), (tmp_path / "no", 2)):
        monkeypatch.setattr(
            sys, "argv", ["prepare_data.py", "link", "--dataset", "lolv1", "--from", str(source)]
        )
        with pytest.raises(SystemExit) as leaving:
            runpy.run_path(str(REPOSITORY / "scripts/prepare_data.py"), run_name="__main__")
        assert leaving.value.code == code
    printed = capsys.readouterr()
    assert printed.out.count("linked ") == 4 and printed.err.startswith("error: --from")
