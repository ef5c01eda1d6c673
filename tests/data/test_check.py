"""Findings of the data check on small made-up trees, and the measured facts of complete LOL-v1."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from reddit.data import find_pairs, fingerprint, load_picture, load_test_set, overlap
from reddit.data.check import CheckResult, check
from reddit.image.write import encode
from reddit.utils.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]


def put(path: Path, seed: int, size: tuple[int, int] = (8, 12)) -> Path:
    """Noise, so that equal seeds mean equal pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    np.save(path, picture[..., ::-1]) if path.suffix == ".npy" else path.write_bytes(
        encode(picture, path.suffix)
    )
    return path


def lolv1(root: Path, train: int = 4, test: int = 2) -> Path:
    """Lows have seeds 0…, highs 1000…; the test pictures follow the training pictures."""
    for number in range(train + test):
        part = "our485" if number < train else "eval15"
        put(root / f"LOLv1/{part}/low/{number}.png", number)
        put(root / f"LOLv1/{part}/high/{number}.png", 1000 + number)
    return root


def texts(result: CheckResult, severity: str) -> list[str]:
    return [finding.text for finding in result.findings if finding.severity == severity]


def test_a_sound_set_is_usable_and_its_count_compared(tmp_path: Path) -> None:
    result = check("lolv1", lolv1(tmp_path), quiet=True)
    assert result.usable
    assert texts(result, "warning") == [
        "lolv1/train: 4 pairs here, 485 published",
        "lolv1/test: 2 pairs here, 15 published",
    ]
    assert "4 different lows, 4 different highs, 12×8 pixels" in result.text()
    assert "lolv1/test: no low or high is in lolv1/train" in result.text()


def test_a_truncated_picture_is_an_error(tmp_path: Path) -> None:
    path = lolv1(tmp_path) / "LOLv1/eval15/low/4.png"
    path.write_bytes(path.read_bytes()[:-30])
    result = check("lolv1", tmp_path, quiet=True)
    (error,) = texts(result, "error")
    assert not result.usable and str(path) in error and "truncated" in error
    assert "NOT USABLE: 1 error" in result.text()


def test_a_pair_of_two_sizes_is_an_error(tmp_path: Path) -> None:
    put(lolv1(tmp_path) / "LOLv1/our485/high/1.png", 7, size=(9, 12))
    (error,) = texts(check("lolv1", tmp_path, quiet=True), "error")
    assert error == "lolv1/train: 1 has low and high of different sizes, 12×8 and 12×9"


def test_an_unpaired_picture_is_an_error_and_the_rest_is_checked(tmp_path: Path) -> None:
    (lolv1(tmp_path) / "LOLv1/our485/high/1.png").unlink()
    result = check("lolv1", tmp_path, quiet=True)
    (error,) = texts(result, "error")
    assert "our485/low/1.png has no partner" in error
    assert "3 pairs" in result.text()


def test_many_faults_of_one_kind_are_counted(tmp_path: Path) -> None:
    for path in (lolv1(tmp_path, train=9) / "LOLv1/our485/high").iterdir():
        path.write_bytes(b"")
    errors = texts(check("lolv1", tmp_path, quiet=True), "error")
    assert len(errors) == 6 and errors[-1] == "lolv1/train: and 4 more like the last"


def test_copies_are_found_by_pixels_whatever_the_file(tmp_path: Path) -> None:
    root = lolv1(tmp_path)
    put(root / "LOLv1/our485/low/0.png", 0).rename(root / "LOLv1/our485/low/0.PNG")
    put(root / "LOLv1/our485/low/3.png", 0).unlink()
    put(root / "LOLv1/our485/low/3.bmp", 0)
    put(root / "LOLv1/our485/high/2.png", 1001)
    result = check("lolv1", root, quiet=True)
    assert "3 different lows, 3 different highs" in result.text()
    assert any("2 lows are copies of one another: 0 = 3" in text for text in texts(result, "warning"))
    assert any("2 pairs share 1 highs" in text for text in texts(result, "note"))


def test_a_missing_split_is_a_warning_and_a_missing_set_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lolv1 .*not found under"):
        check("lolv1", tmp_path, quiet=True)
    with pytest.raises(UserError, match=r"npe .*not found under"):
        check("npe", tmp_path, quiet=True)
    lolv1(tmp_path, train=0)
    result = check("lolv1", tmp_path, quiet=True)
    assert "lolv1/train is not on disk" in texts(result, "warning")[0] and result.usable


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "VV").mkdir()
    result = check("vv", tmp_path, quiet=True)
    assert not result.usable and "no pictures in" in texts(result, "error")[0]


def lolv2_with_pictures_of_lolv1(root: Path) -> Path:
    """As measured on the real sets, a tenth: of 10 test lows 8 are in our485, 1 in eval15."""
    lolv1(root, train=8, test=1)
    for number in range(10):
        name = f"{690 + number:05d}"
        put(root / f"LOLv2/Real_captured/Test/Low/low{name}.png", number)
        put(root / f"LOLv2/Real_captured/Test/Normal/normal{name}.png", 1000 + number)
    for number in range(20, 24):
        put(root / f"LOLv2/Real_captured/Train/Low/low{number:05d}.png", number)
        put(root / f"LOLv2/Real_captured/Train/Normal/normal{number:05d}.png", 1000 + number)
    return root


@pytest.mark.parametrize("name", ["lolv1", "lolv2_real"])
def test_pictures_of_a_training_set_in_another_test_set_are_found(tmp_path: Path, name: str) -> None:
    result = check(name, lolv2_with_pictures_of_lolv1(tmp_path), quiet=True)
    (warning,) = (text for text in texts(result, "warning") if "published" not in text)
    assert warning.startswith("lolv2_real/test: 8 lows and 8 highs of 10 are also in lolv1/train: 00690, ")
    assert "a model trained on lolv1 has seen them" in warning
    assert any("1 lows and 1 highs of 10 are also in lolv1/test: 00698" in t for t in texts(result, "note"))
    assert "lolv1/test: no low or high is in" in result.text()
    assert result.usable


def test_alone_leaves_other_sets_out(tmp_path: Path) -> None:
    result = check("lolv2_real", lolv2_with_pictures_of_lolv1(tmp_path), alone=True, quiet=True)
    assert "lolv1" not in result.text()


def test_a_training_picture_in_its_own_test_split_is_found(tmp_path: Path) -> None:
    put(lolv1(tmp_path) / "LOLv1/eval15/high/5.png", 1000)
    warnings = texts(check("lolv1", tmp_path, quiet=True), "warning")
    assert any("lolv1/test: 0 lows and 1 highs of 2 are also in lolv1/train: 5" in text for text in warnings)


def test_a_video_set_is_counted_in_videos(tmp_path: Path) -> None:
    for video in ("pair1", "pair1_2", "pair2"):
        for frame in range(3):
            for side, offset in (("input", 0), ("GT", 1000)):
                seed = offset + 10 * int(video[4]) + frame + 5 * video.endswith("_2")
                put(tmp_path / f"SDSD/indoor_static_np/{side}/{video}/{frame:04d}.npy", seed)
    result = check("sdsd_indoor", tmp_path, quiet=True)
    assert "sdsd_indoor/test: 2 or 1 videos here, 6 published" in texts(result, "warning")
    assert "6 frames, 6 different lows" in result.text() and result.usable


def test_sid_shares_gts_by_design(tmp_path: Path) -> None:
    for exposure in ("0.04s", "0.1s"):
        put(tmp_path / f"SID/short_sid2/10003/10003_00_{exposure}.npy", len(exposure))
    put(tmp_path / "SID/long_sid2/10003/10003_00_10s.npy", 9)
    result = check("sid", tmp_path, quiet=True)
    assert "2 different lows, 1 different highs" in result.text() and not texts(result, "note")


def test_overlap_names_the_test_pictures_that_a_model_has_seen(tmp_path: Path) -> None:
    root = lolv2_with_pictures_of_lolv1(tmp_path)
    training = find_pairs("lolv1", root, "train")
    seen = frozenset(fingerprint(load_picture(side)) for pair in training for side in (pair.low, pair.high))
    assert overlap(seen, load_test_set("lolv2_real", root)) == [f"{690 + n:05d}" for n in range(8)]
    assert overlap(seen, find_pairs("lolv1", root, "test")) == []
    assert overlap(frozenset(), load_test_set("lolv2_real", root)) == []
    put(root / "MEF/a.png", 3), put(root / "MEF/b.png", 77)
    assert overlap(seen, load_test_set("mef", root)) == ["a"]


@pytest.mark.parametrize(("damage", "code"), [("nothing", 0), ("picture", 1), ("tree", 2)])
def test_the_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: str,
    code: int,
) -> None:
    if damage != "tree":
        lolv1(tmp_path)
    if damage == "picture":
        (tmp_path / "LOLv1/our485/low/1.png").write_bytes(b"")
    monkeypatch.setenv("REDDIT_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", "check", "--dataset", "lolv1", "--quiet"])
    with pytest.raises(SystemExit) as leaving:
        runpy.run_path(str(REPOSITORY / "scripts/prepare_data.py"), run_name="__main__")
    assert leaving.value.code == code
    printed = capsys.readouterr()
    if code == 2:
        assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    else:
        assert printed.out.endswith("usable: 0 errors, 2 warnings, 0 notes\n") is (code == 0)


def test_the_measured_facts_of_complete_lolv1() -> None:
    roots = [Path(os.environ.get("REDDIT_DATA") or "data"), REPOSITORY / "data"]
    root = next(
        (r for r in roots if (r / "LOLv1/our485/low").is_dir() and (r / "LOLv1/eval15").is_dir()), None
    )
    if root is None or len(list((root / "LOLv1/our485/low").iterdir())) < 485:
        pytest.skip("complete LOL-v1 is neither under REDDIT_DATA nor under data")
    result = check("lolv1", root, alone=True, quiet=True)
    assert result.usable and not texts(result, "warning")
    assert "485 pairs (485 published), 485 different lows, 399 different highs, 600×400" in result.text()
    assert "15 pairs (15 published), 15 different lows, 15 different highs, 600×400" in result.text()
    assert "lolv1/test: no low or high is in lolv1/train" in result.text()
