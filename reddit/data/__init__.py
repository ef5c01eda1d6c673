"""Data sets, pairs and crops."""

from reddit.data.layouts import LAYOUTS, Pair, find_pairs, pair_folders
from reddit.data.pairs import (
    Batch,
    TrainingCrops,
    fingerprint,
    load_pairs,
    load_picture,
    split_validation,
    training_loader,
)

__all__ = [
    "LAYOUTS",
    "Batch",
    "Pair",
    "TrainingCrops",
    "find_pairs",
    "fingerprint",
    "load_pairs",
    "load_picture",
    "pair_folders",
    "split_validation",
    "training_loader",
]
