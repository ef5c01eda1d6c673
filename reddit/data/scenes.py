"""Pairs by scene, and folds of scenes for cross-validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from reddit.data.cache import PictureCache
from reddit.data.pairing import Pair
from reddit.image.pixels import fingerprint
from reddit.image.read import read_uint8
from reddit.utils.errors import UserError
from reddit.utils.progress import progress
from reddit.utils.text import counted


def by_scene(pairs: Sequence[Pair], cache: PictureCache, quiet: bool = False) -> dict[str, list[Pair]]:
    """Pairs by scene, or by high picture where there is no scene."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in progress(pairs, "grouping by high picture", "pair", quiet=quiet):
        groups[pair.scene or cache.facts_of(pair.high).fingerprint].append(pair)
    return groups


def hold_out(pairs: Sequence[Pair], folds: int, fold: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into (the others, those of a fold). The scenes are dealt out to the folds in random order.

    Args:
        folds: number of folds, at least 2.
        fold: the fold that is held out, from 0.
        seed: seed of the order.

    Returns:
        Pairs in the given order, with the name of their scene.

    Raises:
        UserError: there is no such fold, or there are fewer scenes than folds; a picture cannot be read.
    """
    if not 0 <= fold < folds or folds < 2:
        raise UserError(f"data.fold={fold}, data.folds={folds}: folds are numbered from 0, and at least two")
    named = [replace(pair, scene=pair.scene or _scene(pair)) for pair in pairs]
    scenes = sorted({pair.scene for pair in named})
    if len(scenes) < folds:
        raise UserError(f"data.folds={folds}: the training set has only {counted(len(scenes), 'scene')}")
    held = {scenes[i] for i in np.random.default_rng(seed).permutation(len(scenes))[fold::folds]}
    others = [pair for pair in named if pair.scene not in held]
    return others, [pair for pair in named if pair.scene in held]


def _scene(pair: Pair) -> str:
    if isinstance(pair.high, np.ndarray):
        return fingerprint(pair.high)
    return _fingerprint(pair.high, pair.high.stat().st_mtime_ns)


@lru_cache(maxsize=1 << 16)
def _fingerprint(path: Path, changed: int) -> str:
    """The fingerprint of a file, which is read once by a process; `changed`: its modification time."""
    return fingerprint(read_uint8(path))
