"""From the configuration to what a run learns from: training crops, validation pairs, fingerprints."""

from __future__ import annotations

from dataclasses import dataclass

from reddit.config import Config
from reddit.data import (
    Pair,
    PictureCache,
    TrainingCrops,
    fingerprint,
    load_pairs,
    readable,
    split_validation,
)
from reddit.data.crops import Denoise
from reddit.training.distributed import World
from reddit.utils.progress import Log


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        crops: what the steps are made of.
        validation: the pairs that choose the weights; empty: none.
        pictures: fingerprints of every picture of the training set, the validation pictures included.
        validation_pictures: of these, the validation pairs'.
    """

    crops: TrainingCrops
    validation: list[Pair]
    pictures: frozenset[str]
    validation_pictures: frozenset[str]


class TrainingSet:
    """The pictures that a configuration names, found but not yet read.

    Raises:
        UserError: an unknown data set, a missing folder, a picture without a partner.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pairs = load_pairs(config.data, config.data_root(), "train")
        self.test = (
            load_pairs(config.data, config.data_root(), "test") if config.train.select_on_test else None
        )

    def prepare(
        self, seed: int, denoise: Denoise | None, world: World, log: Log, quiet: bool = False
    ) -> TrainingData:
        """Read and check every picture, denoise where needed, and keep what fits into memory.

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
        pairs = readable(self.pairs, settings.on_corrupt, cache, log, quiet)
        train, validation = split_validation(
            pairs, settings.validation, settings.split_seed, quiet, cache
        )
        if self.test is not None:
            validation = self.test
            log(
                "WARNING: train.select_on_test: the weights are chosen by GT-mean PSNR on the TEST set "
                "(fault D6); never report their scores there beside others'"
            )
        crops = TrainingCrops(train, settings, seed, denoise, cache)
        # Each process denoises its share, which the others then find in the cache on disk.
        crops.prepare(world.share(range(len(crops))), quiet)
        world.wait()
        crops.prepare(quiet=quiet)
        cache.close()
        held_out = frozenset(fingerprint(cache.read(p)) for pair in validation for p in (pair.low, pair.high))
        return TrainingData(crops, validation, crops.fingerprints(quiet) | held_out, held_out)
