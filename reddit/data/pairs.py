"""Training pairs and test pictures: finding, reading, checking, splitting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from reddit.config import DataConfig
from reddit.data.cache import PictureCache
from reddit.data.demo import demo_pairs
from reddit.data.layouts import LAYOUTS, Split, get_layout, locate
from reddit.data.pairing import Frames, Pair, Picture, TestPicture, find_pairs, find_pictures, pair_folders
from reddit.data.scenes import by_scene, hold_out
from reddit.utils.errors import UserError
from reddit.utils.progress import Log, print_out, progress


def load_pairs(config: DataConfig, root: Path, split: Split) -> list[Pair]:
    """The pairs of a split of the configured data set; with `data.folds`, of its training set.

    Raises:
        UserError: an unknown name, a missing folder, a picture without a partner, or no such fold.
    """
    if not config.folds:
        return _load_split(config, root, split)
    others, held = hold_out(_load_split(config, root, "train"), config.folds, config.fold, config.split_seed)
    return others if split == "train" else held


def _load_split(config: DataConfig, root: Path, split: Split) -> list[Pair]:
    if config.dataset == "demo":
        return demo_pairs(split)
    if config.dataset == "pairs":
        low, high = (
            (config.train_low, config.train_high) if split == "train" else (config.test_low, config.test_high)
        )
        if not low or not high:
            raise UserError(f"data.dataset=pairs: set data.{split}_low and data.{split}_high to two folders")
        return pair_folders(Path(low), Path(high))
    if config.dataset not in LAYOUTS:
        known = ", ".join([*LAYOUTS, "demo", "pairs"])
        raise UserError(f"data.dataset: {config.dataset!r} is not a known data set; known: {known}")
    return find_pairs(config.dataset, root, split)


def data_folders(config: DataConfig, root: Path) -> list[Path]:
    """The existing picture folders of the configured data set, of both splits."""
    if config.dataset in LAYOUTS:
        layout = get_layout(config.dataset)
        return [folder for split in layout.parents for folder in locate(layout, root, split) or ()]
    named = (config.train_low, config.train_high, config.test_low, config.test_high)
    return [Path(folder) for folder in named if folder and Path(folder).is_dir()]


def load_test_set(name: str, root: Path, frames: Frames = "all") -> list[TestPicture]:
    """The test pictures of a data set, each (name, low, high or None); names are unique.

    Args:
        name: a key of `LAYOUTS`, or `demo`.
        root: the data root.
        frames: `first30` keeps the first 30 frames of each video.

    Raises:
        UserError: as in `find_pairs` and `find_pictures`.
    """
    if name != "demo" and get_layout(name).kind == "pictures":
        return find_pictures(name, root)
    pairs = demo_pairs("test") if name == "demo" else find_pairs(name, root, "test", frames)
    return [TestPicture(pair.name, pair.low, pair.high) for pair in pairs]


def load_picture(picture: Picture) -> np.ndarray:
    """RGB uint8 (H, W, 3), from a file or from memory."""
    return PictureCache().read(picture)


def examine(
    pairs: Sequence[Pair],
    cache: PictureCache,
    *,
    also: Callable[[Pair, np.ndarray], object] = lambda pair, low: None,
    first_only: bool = False,
    quiet: bool = False,
) -> dict[str, str]:
    """Read every picture once before training, so that problems are found early.

    Args:
        cache: keeps pictures up to its limit, and the size and fingerprint of each.
        also: called with each good pair and its low picture, to compute from it without a second read.
        first_only: stop at the first problem.

    Returns:
        Name → problem, for pairs that cannot be read or whose sizes differ.
    """
    problems: dict[str, str] = {}
    for pair in progress(pairs, "reading pictures", "pair", quiet=quiet):
        try:
            picture = cache.read(pair.low)
            low, high = picture.shape[:2], cache.facts_of(pair.high).size
            if low != high:
                where = f" ({pair.low})" if isinstance(pair.low, Path) else ""
                raise UserError(
                    f"pair {pair.name}: low is {low[1]}×{low[0]} and high {high[1]}×{high[0]} pixels; both "
                    f"must have the same size{where}"
                )
        except UserError as error:
            problems[pair.name] = str(error)
            if first_only:
                break
        else:
            also(pair, picture)
    return problems


def usable(
    pairs: list[Pair], problems: dict[str, str], policy: Literal["error", "skip"], log: Log = print_out
) -> list[Pair]:
    """The pairs without problems.

    Args:
        problems: from `examine`.
        policy: `error`: a problem ends the run; `skip`: the pair is skipped and named.

    Raises:
        UserError: the first problem, or, with `skip`, no pair is left.
    """
    for pair in pairs:
        if pair.name in problems:
            if policy == "error":
                raise UserError(f"{problems[pair.name]}; or skip such pairs with data.on_corrupt=skip")
            log(f"skipped: {problems[pair.name]}")
    kept = [pair for pair in pairs if pair.name not in problems]
    if not kept:
        raise UserError("no training pair can be read: all were skipped")
    return kept


def split_validation(
    pairs: list[Pair], share: float, seed: int, quiet: bool = False, cache: PictureCache | None = None
) -> tuple[list[Pair], list[Pair]]:
    """Split training pairs into (train, validation). Pairs of one scene or one high picture stay together.

    Groups are drawn in random order until `share` of the pairs is reached; each side gets at least one group.
    """
    cache = cache or PictureCache()
    if share == 0:
        return pairs, []
    groups = by_scene(pairs, cache, quiet)
    if len(groups) < 2:
        raise UserError("data.validation: one scene or high picture cannot be split; set data.validation=0")
    order = np.random.default_rng(seed).permutation(sorted(groups))
    held: set[str] = set()
    count = 0
    for key in order[:-1]:
        if count >= share * len(pairs):
            break
        held.add(str(key))
        count += len(groups[str(key)])
    train = [p for key in groups for p in groups[key] if key not in held]
    validation = [p for key in groups for p in groups[key] if key in held]
    return sorted(train, key=lambda p: p.name), sorted(validation, key=lambda p: p.name)


def split_as_before(
    pairs: list[Pair], held_before: Sequence[tuple[str, str]], cache: PictureCache, quiet: bool = False
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Split training pairs into (train, validation, left out), with the validation pairs of an earlier split.

    Args:
        held_before: the fingerprints of low and high of its validation pairs; those that are still there are
            returned in this order.

    Returns:
        Left out are pairs that share a scene or high picture with a validation pair and are none themselves.
    """
    found: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in progress(pairs, "finding the validation pairs", "pair", quiet=quiet):
        low, high = (cache.facts_of(side).fingerprint for side in (pair.low, pair.high))
        found[low, high].append(pair)
    held = [found[prints].pop(0) for prints in held_before if found[prints]]
    names = {pair.name for pair in held}
    groups = by_scene(pairs, cache, quiet).values()
    apart = {pair.name for group in groups if names & {p.name for p in group} for pair in group}
    train = sorted((pair for pair in pairs if pair.name not in apart), key=lambda p: p.name)
    return train, held, [pair for pair in pairs if pair.name in apart - names]
