"""The training data of a run: crops, validation pairs, fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reddit.config import Config, DataConfig, MixPart
from reddit.data import (
    MixedCrops,
    Pair,
    PhotoCrops,
    PictureCache,
    TrainingCrops,
    examine,
    load_pairs,
    photo_pairs,
    split_as_before,
    split_validation,
    usable,
)
from reddit.data.crops import Denoise
from reddit.data.parts import Photographs, find_part, parts_of, split_photos
from reddit.training.data_record import DataRecord, Prints
from reddit.training.distributed import World
from reddit.utils.progress import Log, progress


@dataclass(frozen=True)
class TrainingData:
    """The data of a run.

    Attributes:
        crops: training crops.
        validation: the validation pairs, which choose the weights; may be empty.
        record: fingerprints of all pictures of the training set, of the validation pairs, and of the pictures
            that the run was trained on before.
        change: how the training set differs from that before, in one line; None if it does not.
    """

    crops: TrainingCrops | PhotoCrops | MixedCrops
    validation: list[Pair]
    record: DataRecord
    change: str | None = None

    @property
    def validation_pictures(self) -> frozenset[str]:
        """Fingerprints of the validation pictures."""
        return frozenset(one for both in self.record.validation for one in both)


class TrainingSet:
    """The files of the configured data sets, found but not yet read.

    Raises:
        UserError: an unknown data set, a missing folder, a picture without a partner.
    """

    def __init__(self, config: Config) -> None:
        data, root = config.data, config.data_root()
        self.settings = data
        self.decoded = config.runs_folder() / "cache" / "decoded" if data.decoded else None
        self.parts = parts_of(data)
        self.found = [find_part(part, data, root) for part in self.parts]
        self.test = load_pairs(data, root, "test") if config.train.select_on_test else None

    def prepare(
        self,
        seed: int,
        denoise: Denoise | None,
        world: World,
        log: Log,
        quiet: bool = False,
        before: DataRecord | None = None,
    ) -> TrainingData:
        """Read and check every picture once, denoise if needed, and keep what fits into memory.

        Args:
            seed: seed of crops and flips.
            denoise: D of equation 7, if the method needs it.
            world: the processes that share the work.
            log: receives the names of skipped pairs.
            quiet: no progress bars.
            before: the record of a run that is resumed; its validation pairs stay what they were.

        Raises:
            UserError: a picture cannot be read or is too small for a crop.
        """
        reading = _Reading(self.settings, seed, denoise, world, log, quiet, self.decoded)
        kept_out = before.kept_out if before and len(before.kept_out) == len(self.found) else None
        prepared = [
            reading.photographs(found, part) if isinstance(found, Photographs) else reading.pairs(found, part)
            for found, part in zip(self.found, kept_out or [None] * len(self.found), strict=True)
        ]
        held = [pair for _, pairs in prepared for pair in pairs]
        if self.test is not None:
            held = self.test
            log(
                "WARNING: train.select_on_test: the weights are chosen by GT-mean PSNR on the TEST set "
                "(fault D6); do not compare their scores on it with others"
            )
        reading.cache.close()
        validation = reading.fingerprints(held)
        pictures = frozenset(one for both in validation for one in both)
        pictures = pictures.union(*(crops.fingerprints() for crops, _ in prepared))
        shares = [
            share
            for part, (crops, _) in zip(self.parts, prepared, strict=True)
            for share in reading.shares(crops, part)
        ]
        crops = shares[0][0] if len(shares) == 1 else MixedCrops(*zip(*shares, strict=True))
        record = DataRecord(pictures, tuple(reading.fingerprints(pairs) for _, pairs in prepared), validation)
        change = record.change_since(before)
        return TrainingData(crops, held, record.with_training(before), change)


@dataclass
class _Reading:
    """One pass over the pictures, shared between the processes; arguments as in `TrainingSet.prepare`.

    `decoded` is the folder for what does not fit into memory; None: such pictures are read again.
    """

    settings: DataConfig
    seed: int
    denoise: Denoise | None
    world: World
    log: Log
    quiet: bool
    decoded: Path | None = None

    def __post_init__(self) -> None:
        self.cache = PictureCache(self.settings.memory_gb * 1e9, self.decoded)

    def pairs(
        self, pairs: list[Pair], before: Sequence[Prints] | None = None
    ) -> tuple[TrainingCrops, list[Pair]]:
        """Crops of pairs, and the validation split, which is that of `before` if there is one.

        Each process reads and denoises its share once, and the processes exchange sizes and fingerprints. If
        everything fits into memory, each process then reads the rest, too. Otherwise the rest is read when a
        crop needs it.
        """
        settings, cache, world = self.settings, self.cache, self.world
        problems = {}
        mine = examine(
            world.share(pairs),
            cache,
            also=self._crops(pairs).keep,
            first_only=settings.on_corrupt == "error",
            quiet=self.quiet,
        )
        for theirs in world.gather(mine):
            problems.update(theirs)
        self._tell(cache)
        kept = usable(pairs, problems, settings.on_corrupt, self.log)
        if before is None:
            train, held = split_validation(kept, settings.validation, settings.split_seed, self.quiet, cache)
        else:
            train, held, left_out = split_as_before(kept, before, cache, self.quiet)
            for pair in left_out:
                self.log(f"left out: {pair.name}: it has the scene or ground truth of a validation pair")
        crops = self._crops(train)
        crops.check_sizes()
        if world.size > 1 and cache.held + crops.missing() <= cache.limit:
            crops.prepare(self.quiet)
        return crops, held

    def photographs(
        self, found: Photographs, before: Sequence[Prints] | None = None
    ) -> tuple[PhotoCrops, list[Pair]]:
        """Crops of photographs or synthetic night scenes, and validation pairs, those of `before` if any."""
        settings, files = self.settings, found.files
        cache = PictureCache(0, self.decoded)
        if before is None:
            rest, held = split_photos(found, settings)
        elif files is None:
            rest, held = [], photo_pairs(None, len(before), settings.split_seed)
        else:
            self._look_at(files, cache)
            by_print = {cache.facts_of(file).fingerprint: file for file in files}
            chosen = [by_print[high] for _, high in before if high in by_print]
            rest = [file for file in files if file not in set(chosen)]
            held = photo_pairs(chosen, len(chosen), settings.split_seed)
        crops = PhotoCrops(None if files is None else rest, settings, self.seed, self.denoise)
        if files is None:
            return crops, held
        self._look_at([file for file in crops.photos or [] if file not in cache.facts], cache)
        crops.cache = cache
        crops.check_sizes()
        return crops, held

    def shares(
        self, crops: TrainingCrops | PhotoCrops, part: MixPart
    ) -> list[tuple[TrainingCrops | PhotoCrops, float]]:
        """The crops of a part, and those of its darkened ground truths if it says so, each with a weight."""
        if not part.darkened or not isinstance(crops, TrainingCrops):
            return [(crops, part.weight)]
        truths = sorted({pair.high for pair in crops.pairs if isinstance(pair.high, Path)})
        darkened = PhotoCrops(truths, self.settings, self.seed, self.denoise, self.cache)
        both = ((crops, 1 - part.darkened), (darkened, part.darkened))
        return [(one, share * part.weight) for one, share in both if share]

    def fingerprints(self, pairs: list[Pair]) -> tuple[Prints, ...]:
        """The fingerprints of the low and the high picture of some pairs."""
        sides = [side for pair in pairs for side in (pair.low, pair.high)]
        files = [side for side in sides if isinstance(side, Path) and side not in self.cache.facts]
        self._look_at(files, self.cache)
        facts = self.cache.facts_of
        return tuple((facts(pair.low).fingerprint, facts(pair.high).fingerprint) for pair in pairs)

    def _crops(self, pairs: list[Pair]) -> TrainingCrops:
        return TrainingCrops(pairs, self.settings, self.seed, self.denoise, self.cache)

    def _look_at(self, files: Sequence[Path], cache: PictureCache) -> None:
        """Collect the size and fingerprint of files; each process reads its share."""
        for path in progress(self.world.share(files), "reading pictures", "picture", quiet=self.quiet):
            cache.facts_of(path)
        self._tell(cache)

    def _tell(self, cache: PictureCache) -> None:
        """Exchange sizes, fingerprints and places on disk between the processes."""
        for facts, stored in self.world.gather((cache.facts, cache.stored)):
            cache.facts.update(facts)
            cache.stored.update(stored)
