"""Data sets, pairs and crops."""

from reddit.data.cache import PictureCache
from reddit.data.check import overlap
from reddit.data.crops import Batch, TrainingCrops, training_loader, working
from reddit.data.layouts import LAYOUTS
from reddit.data.pairing import Pair, TestPicture, find_pairs, find_pictures, pair_folders
from reddit.data.pairs import fingerprint, load_pairs, load_picture, load_test_set, readable, split_validation

__all__ = [
    "LAYOUTS",
    "Batch",
    "Pair",
    "PictureCache",
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
    "readable",
    "split_validation",
    "training_loader",
    "working",
]
