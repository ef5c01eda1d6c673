from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from reddit.config import DataConfig
from reddit.data import Pair, load_pairs, split_validation
from reddit.data.scenes import hold_out
from reddit.image.write import encode
from reddit.utils.errors import UserError


def picture(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


def exposures() -> list[Pair]:
    """Twelve scenes of one to six exposures."""
    return [
        Pair(f"{exposure}-{scene}", picture(100 + exposure), picture(scene))
        for scene in range(12)
        for exposure in range(1 + scene % 6)
    ]


@pytest.mark.parametrize(("folds", "seed"), [(2, 0), (4, 0), (4, 7), (12, 1)])
def test_every_pair_is_held_out_once_with_its_whole_scene(folds: int, seed: int) -> None:
    pairs = exposures()
    held: Counter[str] = Counter()
    for fold in range(folds):
        others, out = hold_out(pairs, folds, fold, seed)
        assert sorted(p.name for p in others + out) == sorted(p.name for p in pairs)
        assert not {p.high.tobytes() for p in others} & {p.high.tobytes() for p in out}  # type: ignore[union-attr]
        assert len({p.scene for p in out}) in (12 // folds, -(-12 // folds))
        held.update(p.name for p in out)
    assert set(held.values()) == {1} and len(held) == len(pairs)


def test_the_seed_decides_and_named_scenes_stay_together() -> None:
    parts = [{p.name for p in hold_out(exposures(), 3, 0, seed)[1]} for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    named = [Pair(str(k), picture(k), picture(k), scene="ab"[k % 2]) for k in range(6)]
    assert {p.scene for p in hold_out(named, 2, 0, 0)[1]} in ({"a"}, {"b"})


def test_validation_lies_inside_the_other_folds(tmp_path: Path) -> None:
    for side in ("low", "high"):
        (tmp_path / "LOLv1" / "our485" / side).mkdir(parents=True)
        for k in range(12):
            (tmp_path / "LOLv1" / "our485" / side / f"{k}.png").write_bytes(
                encode(picture(10 * (k // 2) + 1))
            )
    config = DataConfig(dataset="lolv1", folds=3, fold=2)
    train, test = load_pairs(config, tmp_path, "train"), load_pairs(config, tmp_path, "test")
    assert (len(train), len(test)) == (8, 4)
    inside, held = split_validation(train, 0.3, 0)
    assert {p.name for p in inside + held} == {p.name for p in train} and held


@pytest.mark.parametrize(
    ("folds", "fold", "expected"),
    [(1, 0, "at least two"), (4, 4, "numbered from 0"), (13, 0, "has only 12 scenes")],
)
def test_folds_that_cannot_be(folds: int, fold: int, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        hold_out(exposures(), folds, fold, 0)
