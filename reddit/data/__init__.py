"""Data sets, pairs and crops."""

from reddit.data.check import overlap
from reddit.data.layouts import LAYOUTS
from reddit.data.pairing import Pair, TestPicture, find_pairs, find_pictures, pair_folders
from reddit.data.pairs import (
    Batch,
    TrainingCrops,
    fingerprint,
    load_pairs,
    load_picture,
    load_test_set,
    split_validation,
    training_loader,
)

__all__ = [
    "LAYOUTS",
    "Batch",
    "Pair",
    "TestPicture",
    "TrainingCrops",
    "find_pairs",
    "find_pictures",
    "fingerprint",
    "load_pairs",
    "load_picture",
    "load_test_set",
    "overlap",
    "pair_folders",
    "split_validation",
    "training_loader",
]
