"""Data sets, pairs and crops."""

from reddit.data.cache import PictureCache
from reddit.data.crops import Batch, TrainingCrops
from reddit.data.layouts import LAYOUTS
from reddit.data.leakage import overlap
from reddit.data.loader import training_loader, working
from reddit.data.mix import MixedCrops
from reddit.data.pairing import Pair, TestPicture, find_pairs, find_pictures, pair_folders
from reddit.data.pairs import (
    data_folders,
    examine,
    load_pairs,
    load_picture,
    load_test_set,
    split_as_before,
    split_validation,
    usable,
)
from reddit.data.photos import PhotoCrops, find_photos, photo_pairs
from reddit.image.pixels import fingerprint

__all__ = [
    "LAYOUTS",
    "Batch",
    "MixedCrops",
    "Pair",
    "PhotoCrops",
    "PictureCache",
    "TestPicture",
    "TrainingCrops",
    "data_folders",
    "examine",
    "find_pairs",
    "find_photos",
    "find_pictures",
    "fingerprint",
    "load_pairs",
    "load_picture",
    "load_test_set",
    "overlap",
    "pair_folders",
    "photo_pairs",
    "split_as_before",
    "split_validation",
    "training_loader",
    "usable",
    "working",
]
