"""Training pairs: finding, splitting, cropping, and an order that a resumed run takes up exactly."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from reddit.config import DataConfig
from reddit.data.demo import demo_pairs
from reddit.data.layouts import LAYOUTS, Split, get_layout
from reddit.data.pairing import Frames, Pair, Picture, TestPicture, find_pairs, find_pictures, pair_folders
from reddit.errors import UserError
from reddit.images import read_uint8, thumbnail, to_float
from reddit.progress import progress

Denoise = Callable[[np.ndarray], np.ndarray]


class Batch(TypedDict):
    """Crops of one step, (B, 3, crop, crop) in [0, 1]; `denoised` is D(y) of equation 7.

    `context` is the thumbnail of the whole low picture, (B, 3, 64, 64).
    """

    low: Tensor
    high: Tensor
    denoised: Tensor
    context: Tensor


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
    return read_uint8(picture) if isinstance(picture, Path) else picture


def fingerprint(picture: np.ndarray) -> str:
    """16 hexadecimal digits of a picture's pixels and shape, whatever file they came in."""
    digest = hashlib.blake2b(np.ascontiguousarray(picture).tobytes(), digest_size=8)
    digest.update(repr(picture.shape).encode())
    return digest.hexdigest()


def split_validation(
    pairs: list[Pair], share: float, seed: int, quiet: bool = False
) -> tuple[list[Pair], list[Pair]]:
    """Split training pairs into (train, validation), never parting a scene or pairs of one high picture.

    Groups are drawn in random order until `share` of the pairs is reached; at least one group is left
    on each side.
    """
    if share == 0:
        return pairs, []
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in progress(pairs, "grouping by high picture", "pair", quiet=quiet):
        groups[pair.scene or fingerprint(load_picture(pair.high))].append(pair)
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


class _Pictures(NamedTuple):
    """uint8 of one size (H, W, 3), and the low's thumbnail, float32 (64, 64, 3) in [0, 1]."""

    low: np.ndarray
    high: np.ndarray
    denoised: np.ndarray
    context: np.ndarray


class TrainingCrops(Dataset[Batch]):
    """Random paired crops and flips, drawn by (seed, position) and so the same after a resume.

    Args:
        pairs: what to crop from.
        config: crop size, flips, whether pictures stay in memory.
        seed: of crops and flips.
        denoise: D of equation 7, uint8 (H, W, 3) → the same; None leaves `denoised` equal to `low`.
        quiet: no progress bars while pictures are read.
    """

    def __init__(
        self,
        pairs: list[Pair],
        config: DataConfig,
        seed: int,
        denoise: Denoise | None = None,
        quiet: bool = False,
    ) -> None:
        self.pairs = pairs
        self.config = config
        self.seed = seed
        self.denoise = denoise
        self.quiet = quiet
        self._memory: dict[int, _Pictures] = {}
        if config.in_memory:
            description = "reading pictures" if denoise is None else "reading and denoising pictures"
            for index in progress(range(len(pairs)), description, "pair", quiet=quiet):
                self._memory[index] = self._read(index)

    def _read(self, index: int) -> _Pictures:
        low, high = self._read_pair(index)
        context = thumbnail(to_float(low)[None])[0].permute(1, 2, 0).numpy()
        return _Pictures(low, high, low if self.denoise is None else self.denoise(low), context)

    def _read_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        pair = self.pairs[index]
        low, high = load_picture(pair.low), load_picture(pair.high)
        if low.shape != high.shape:
            where = f" ({pair.low})" if isinstance(pair.low, Path) else ""
            raise UserError(
                f"pair {pair.name}: low is {low.shape[1]}×{low.shape[0]} and high {high.shape[1]}×"
                f"{high.shape[0]} pixels; both must have one size{where}"
            )
        if min(low.shape[:2]) < self.config.crop:
            raise UserError(
                f"pair {pair.name}: {low.shape[1]}×{low.shape[0]} pixels cannot hold a crop of "
                f"{self.config.crop}; lower data.crop"
            )
        return low, high

    def __len__(self) -> int:
        return len(self.pairs)

    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of every low and high picture."""
        indices = progress(range(len(self)), "fingerprints", "pair", quiet=self.quiet)
        pairs = ((self._memory.get(i) or self._read_pair(i))[:2] for i in indices)
        return frozenset(fingerprint(picture) for pair in pairs for picture in pair)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """The crop at `(position, index)`: position in the whole run, index of the pair."""
        position, index = key
        pictures = self._memory.get(index) or self._read(index)
        rng = np.random.default_rng([self.seed, position])
        size, (height, width) = self.config.crop, pictures[0].shape[:2]
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        turns = rng.random(3) < 0.5

        def turned(picture: np.ndarray) -> np.ndarray:
            if turns[0] and self.config.horizontal_flip:
                picture = picture[:, ::-1]
            if turns[1] and self.config.vertical_flip:
                picture = picture[::-1]
            if turns[2] and self.config.transpose:
                picture = picture.transpose(1, 0, 2)
            return picture

        low, high, denoised = (
            to_float(turned(p[top : top + size, left : left + size])) for p in pictures[:3]
        )
        context = torch.from_numpy(turned(pictures.context).transpose(2, 0, 1).copy())
        return {"low": low, "high": high, "denoised": denoised, "context": context}


class EndlessOrder(Sampler[tuple[int, int]]):
    """(position, index) for ever from a starting position; each epoch a permutation of its own."""

    def __init__(self, length: int, seed: int, start: int = 0) -> None:
        self.length, self.seed, self.start = length, seed, start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, offset = divmod(self.start, self.length)
        position = self.start
        while True:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
            for index in order[offset:]:
                yield position, int(index)
                position += 1
            epoch, offset = epoch + 1, 0


def training_loader(crops: TrainingCrops, batch_size: int, seed: int, done: int = 0) -> DataLoader[Batch]:
    """Batches from iteration `done` on, the same as an uninterrupted run would have drawn."""
    workers = crops.config.workers
    return DataLoader(
        crops,
        batch_size=batch_size,
        sampler=EndlessOrder(len(crops), seed, done * batch_size),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
