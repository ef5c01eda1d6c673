"""The parts of a training set, one or a mixture: their files, and the photographs held out for validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reddit.config import DataConfig, MixPart
from reddit.data.pairing import Pair
from reddit.data.pairs import load_pairs
from reddit.data.photos import find_photos, photo_pairs

PHOTO_VALIDATION, NIGHT_VALIDATION = 12, 4
"""Number of photographs, and of synthetic night scenes, that are kept for validation."""


@dataclass(frozen=True)
class Photographs:
    """Files of good photographs; None: synthetic night scenes."""

    files: list[Path] | None


def parts_of(config: DataConfig) -> list[MixPart]:
    """The parts of the mixture; without one, the data set is the only part."""
    return config.mix or [MixPart(dataset=config.dataset, folder=config.photos)]


def find_part(part: MixPart, config: DataConfig, root: Path) -> list[Pair] | Photographs:
    """The pairs or photographs of a part.

    Raises:
        UserError: an unknown data set, a missing folder, a picture without a partner.
    """
    if part.dataset == "nights":
        return Photographs(None)
    if part.dataset == "photos":
        return Photographs(find_photos(root / (part.folder or "photos")))
    return load_pairs(config.model_copy(update={"dataset": part.dataset}), root, "train")


def split_photos(photographs: Photographs, config: DataConfig) -> tuple[list[Path], list[Pair]]:
    """Photographs for training, and validation pairs made of others; of synthetic scenes only such pairs."""
    files, seed = photographs.files, config.split_seed
    if files is None:
        return [], photo_pairs(None, NIGHT_VALIDATION if config.validation else 0, seed)
    count = min(PHOTO_VALIDATION, len(files) // 2) if config.validation else 0
    order = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    return order[count:], photo_pairs(order[:count], count, seed)
