"""Training pairs and test pictures: finding, reading, telling apart, splitting."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np

from reddit.config import DataConfig
from reddit.data.cache import PictureCache
from reddit.data.demo import demo_pairs
from reddit.data.layouts import LAYOUTS, Split, get_layout
from reddit.data.pairing import Frames, Pair, Picture, TestPicture, find_pairs, find_pictures, pair_folders
from reddit.utils.errors import UserError
from reddit.utils.progress import Log, progress


def load_pairs(config: DataConfig, root: Path, split: Split) -> list[Pair]:
    """The pairs that a configuration names.

    Raises:
        UserError: an unknown name, a missing tree or folder, a picture without a partner.
    """
    if config.dataset == "demo":
        return demo_pairs(split)
    if config.dataset == "pairs":
        low, high = (
            (config.train_low, config.train_high) if split == "train" else (config.test_low, config.test_high)
        )
        if not low or not high:
            raise UserError(
                f"data.dataset is pairs: set data.{split}_low and data.{split}_high to two folders"
            )
        return pair_folders(Path(low), Path(high))
    if config.dataset not in LAYOUTS:
        known = ", ".join([*LAYOUTS, "demo", "pairs"])
        raise UserError(f"data.dataset: {config.dataset!r} is not a known data set; known: {known}")
    return find_pairs(config.dataset, root, split)


def load_test_set(name: str, root: Path, frames: Frames = "all") -> list[TestPicture]:
    """The test pictures of any `--dataset` name, each (name, low, high or None); names are unique.

    Args:
        name: a key of `LAYOUTS`, or `demo`.
        root: the data root.
        frames: `first30` keeps the first 30 frames of each video.

    Raises:
        UserError: as `find_pairs` and `find_pictures`.
    """
    if name != "demo" and get_layout(name).kind == "pictures":
        return find_pictures(name, root)
    pairs = demo_pairs("test") if name == "demo" else find_pairs(name, root, "test", frames)
    return [TestPicture(pair.name, pair.low, pair.high) for pair in pairs]


def load_picture(picture: Picture) -> np.ndarray:
    """RGB uint8 (H, W, 3), from a file or from memory."""
    return PictureCache().read(picture)


def fingerprint(picture: np.ndarray) -> str:
    """16 hexadecimal digits of a picture's pixels and shape, whatever file they came in."""
    digest = hashlib.blake2b(np.ascontiguousarray(picture).tobytes(), digest_size=8)
    digest.update(repr(picture.shape).encode())
    return digest.hexdigest()


def readable(
    pairs: list[Pair],
    policy: Literal["error", "skip"],
    cache: PictureCache,
    log: Log = print,
    quiet: bool = False,
) -> list[Pair]:
    """Read every picture once, before an hour of training rather than after it.

    Args:
        policy: what a pair that cannot be read or whose sizes differ does: `error` ends the run, `skip`
            leaves it out and names it.

    Raises:
        UserError: the first such pair, or, with `skip`, none is left.
    """
    kept = []
    for pair in progress(pairs, "reading pictures", "pair", quiet=quiet):
        try:
            low, high = cache.read(pair.low), cache.read(pair.high)
            if low.shape != high.shape:
                where = f" ({pair.low})" if isinstance(pair.low, Path) else ""
                raise UserError(
                    f"pair {pair.name}: low is {low.shape[1]}×{low.shape[0]} and high {high.shape[1]}×"
                    f"{high.shape[0]} pixels; both must have one size{where}"
                )
        except UserError as error:
            if policy == "error":
                raise UserError(f"{error}; or leave such pairs out with data.on_corrupt=skip") from error
            log(f"skipped: {error}")
        else:
            kept.append(pair)
    if not kept:
        raise UserError("no training pair can be read: every one was skipped")
    return kept


def split_validation(
    pairs: list[Pair], share: float, seed: int, quiet: bool = False, cache: PictureCache | None = None
) -> tuple[list[Pair], list[Pair]]:
    """Split training pairs into (train, validation), never parting a scene or pairs of one high picture.

    Groups are drawn in random order until `share` of the pairs is reached; at least one group is left
    on each side.
    """
    cache = cache or PictureCache()
    if share == 0:
        return pairs, []
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in progress(pairs, "grouping by high picture", "pair", quiet=quiet):
        groups[pair.scene or fingerprint(cache.read(pair.high))].append(pair)
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
