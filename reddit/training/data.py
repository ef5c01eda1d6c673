"""From the configuration to what a run learns from: training crops, validation pairs, fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reddit.config import Config, DataConfig, MixPart
from reddit.data import (
    MixedCrops,
    Pair,
    PhotoCrops,
    PictureCache,
    TrainingCrops,
    examine,
    find_photos,
    load_pairs,
    photo_pairs,
    split_validation,
    usable,
)
from reddit.data.crops import Denoise
from reddit.training.distributed import World
from reddit.utils.progress import Log, progress

PHOTO_VALIDATION, NIGHT_VALIDATION = 12, 4
"""Photographs of a folder, and drawn nights, that are kept for choosing weights."""


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        crops: what the steps are made of.
        validation: the pairs that choose the weights; empty: none.
        pictures: fingerprints of every picture of the training set, the validation pictures included.
        validation_pictures: of these, the validation pairs'.
    """

    crops: TrainingCrops | PhotoCrops | MixedCrops
    validation: list[Pair]
    pictures: frozenset[str]
    validation_pictures: frozenset[str]


class TrainingSet:
    """The pictures that a configuration names, found but not yet read.

    Raises:
        UserError: an unknown data set, a missing folder, a picture without a partner.
    """

    def __init__(self, config: Config) -> None:
        data, root = config.data, config.data_root()
        self.config = config
        self.parts = data.mix or [MixPart(dataset=data.dataset, folder=data.photos)]
        self.found = [_find(part, config) for part in self.parts]
        self.test = load_pairs(data, root, "test") if config.train.select_on_test else None

    def prepare(
        self, seed: int, denoise: Denoise | None, world: World, log: Log, quiet: bool = False
    ) -> TrainingData:
        """Read and check every picture once, denoise where needed, and keep what fits into memory.

        Args:
            seed: of crops and flips.
            denoise: D of equation 7, where the method needs it.
            world: the processes that share the work.
            log: told of pairs that are left out.
            quiet: no progress bars.

        Raises:
            UserError: a picture that cannot be read, or is too small for a crop.
        """
        settings = self.config.data
        cache = PictureCache(settings.memory_gb * 1e9)
        sets: list[TrainingCrops | PhotoCrops] = []
        held: list[Pair] = []
        for part, found in zip(self.parts, self.found, strict=True):
            if part.dataset in ("photos", "nights"):
                photographs = _photos(found, settings, seed, denoise)  # type: ignore[arg-type]
                _look_at(photographs[0].photos or [], photographs[0].cache, world, quiet)
                photographs[0].check_sizes()
                sets.append(photographs[0])
                held += photographs[1]
            else:
                pairs = _pairs(found, settings, seed, denoise, cache, world, log, quiet)  # type: ignore[arg-type]
                sets.append(pairs[0])
                held += pairs[1]
        if self.test is not None:
            held = self.test
            log(
                "WARNING: train.select_on_test: the weights are chosen by GT-mean PSNR on the TEST set "
                "(fault D6); never report their scores there beside others'"
            )
        cache.close()
        held_files = [side for pair in held for side in (pair.low, pair.high) if isinstance(side, Path)]
        _look_at([path for path in held_files if path not in cache.facts], cache, world, quiet)
        held_out = frozenset(
            cache.facts_of(side).fingerprint for pair in held for side in (pair.low, pair.high)
        )
        pictures = held_out.union(*(crops.fingerprints() for crops in sets))
        crops = sets[0] if len(sets) == 1 else MixedCrops(sets, [part.weight for part in self.parts])
        return TrainingData(crops, held, pictures, held_out)


def _find(part: MixPart, config: Config) -> Sequence[Pair] | Sequence[Path] | None:
    """The pairs or photographs of a part; None where they are drawn."""
    if part.dataset == "nights":
        return None
    if part.dataset == "photos":
        return find_photos(config.data_root() / (part.folder or "photos"))
    data = config.data.model_copy(update={"dataset": part.dataset})
    return load_pairs(data, config.data_root(), "train")


def _photos(
    photos: list[Path] | None, settings: DataConfig, seed: int, denoise: Denoise | None
) -> tuple[PhotoCrops, list[Pair]]:
    """Crops of photographs or drawn nights, and some that are kept for validation."""
    if photos is None:
        count = NIGHT_VALIDATION if settings.validation else 0
        return PhotoCrops(None, settings, seed, denoise), photo_pairs(None, count, settings.split_seed)
    count = min(PHOTO_VALIDATION, len(photos) // 2) if settings.validation else 0
    order = [photos[i] for i in np.random.default_rng(settings.split_seed).permutation(len(photos))]
    held = photo_pairs(order[:count], count, settings.split_seed)
    return PhotoCrops(order[count:], settings, seed, denoise), held


def _pairs(
    pairs: list[Pair],
    settings: DataConfig,
    seed: int,
    denoise: Denoise | None,
    cache: PictureCache,
    world: World,
    log: Log,
    quiet: bool,
) -> tuple[TrainingCrops, list[Pair]]:
    """Crops of pairs, and the validation split.

    Each process reads its share once, denoises it, and tells the others what it saw. Where all of it fits
    into memory, each then reads the others' shares, too, to hold them; else what it does not hold is read
    when a crop needs it.
    """
    problems = {}
    mine = examine(
        world.share(pairs),
        cache,
        also=TrainingCrops(pairs, settings, seed, denoise, cache).keep,
        first_only=settings.on_corrupt == "error",
        quiet=quiet,
    )
    for theirs in world.gather(mine):
        problems.update(theirs)
    _tell(cache, world)
    kept = usable(pairs, problems, settings.on_corrupt, log)
    train, held = split_validation(kept, settings.validation, settings.split_seed, quiet, cache)
    crops = TrainingCrops(train, settings, seed, denoise, cache)
    crops.check_sizes()
    if world.size > 1 and cache.held + crops.missing() <= cache.limit:
        crops.prepare(quiet)
    return crops, held


def _look_at(paths: Sequence[Path], cache: PictureCache, world: World, quiet: bool) -> None:
    """Have the cache know size and fingerprint of some files; each process reads its share."""
    for path in progress(world.share(paths), "reading pictures", "picture", quiet=quiet):
        cache.facts_of(path)
    _tell(cache, world)


def _tell(cache: PictureCache, world: World) -> None:
    """What each process saw of the pictures that it read, in every process."""
    for facts in world.gather(cache.facts):
        cache.facts.update(facts)
