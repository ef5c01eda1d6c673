"""The training pairs that a model's weights were chosen by."""

from __future__ import annotations

from pathlib import Path

from reddit.checkpoint.format import CheckpointInfo
from reddit.data import Pair, fingerprint, load_pairs, load_picture, split_validation
from reddit.utils.errors import UserError
from reddit.utils.progress import progress


def validation_pairs(model: CheckpointInfo, root: Path, quiet: bool = False) -> list[Pair]:
    """The pairs under a data root that the model was validated on.

    Raises:
        UserError: there were none; they are not all there, and others must not stand for them.
    """
    data = model.config.data
    if data.validation == 0:
        raise UserError(f"{model.path} was trained with data.validation=0: no pairs were kept to choose by")
    pairs = load_pairs(data, root, "train")
    prints = [
        {fingerprint(load_picture(side)) for side in (pair.low, pair.high)}
        for pair in progress(pairs, "reading pictures", "pair", quiet=quiet)
    ]
    if model.validation_pictures:
        expected = model.validation_pictures
        chosen = [pair for pair, both in zip(pairs, prints, strict=True) if both <= expected]
        found = set().union(*(both for both in prints if both <= expected))
    else:  # an older checkpoint: the split is the same where the pictures are
        expected, found = model.training_pictures, set().union(*prints)
        chosen = split_validation(pairs, data.validation, data.split_seed, quiet)[1]
    if found != expected:
        raise UserError(
            f"{model.path} was chosen by pairs that are not, or not all, in {root}: say where the data that "
            "it was trained on is, with --set data.root=FOLDER"
        )
    return chosen
