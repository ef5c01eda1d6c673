"""The validation pairs of a model."""

from __future__ import annotations

from pathlib import Path

from reddit.checkpoint.format import CheckpointInfo
from reddit.data import Pair, fingerprint, load_pairs, load_picture, split_validation
from reddit.utils.errors import UserError
from reddit.utils.progress import progress


def validation_pairs(model: CheckpointInfo, root: Path, quiet: bool = False) -> list[Pair]:
    """The pairs under a data root that the model was validated on.

    Raises:
        UserError: there were none, or they are not all there.
    """
    data = model.config.data
    if data.validation == 0:
        raise UserError(f"{model.path} was trained with data.validation=0: it has no validation pairs")
    pairs = load_pairs(data, root, "train")
    prints = [
        {fingerprint(load_picture(side)) for side in (pair.low, pair.high)}
        for pair in progress(pairs, "reading pictures", "pair", quiet=quiet)
    ]
    if model.validation_pictures:
        expected = model.validation_pictures
        chosen = [pair for pair, both in zip(pairs, prints, strict=True) if both <= expected]
        found = set().union(*(both for both in prints if both <= expected))
    else:  # an older checkpoint: split again, with the same result for the same pictures
        expected, found = model.training_pictures, set().union(*prints)
        chosen = split_validation(pairs, data.validation, data.split_seed, quiet)[1]
    if found != expected:
        raise UserError(
            f"{model.path} was validated on pairs that are not all in {root}: set the folder of its training "
            "data with --set data.root=FOLDER"
        )
    return chosen
