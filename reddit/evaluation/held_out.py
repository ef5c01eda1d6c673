"""The validation pictures of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reddit.checkpoint.format import CheckpointInfo
from reddit.data import Pair, TestPicture, fingerprint, load_picture, split_validation
from reddit.data.parts import Photographs, find_part, parts_of, split_photos
from reddit.utils.errors import UserError
from reddit.utils.progress import progress


def validation_pictures(model: CheckpointInfo, root: Path, quiet: bool = False) -> list[TestPicture]:
    """The pairs under a data root that the model was validated on; of a mixture, with the name of their part.

    Raises:
        UserError: there were none, or they are not all there.
    """
    data, known = model.config.data, model.validation_pictures
    if data.validation == 0:
        raise UserError(f"{model.path} was trained with data.validation=0: it has no validation pairs")
    chosen: list[TestPicture] = []
    found: set[str] = set()
    parts = parts_of(data)
    for part in parts:
        pictures = find_part(part, data, root)
        pairs = split_photos(pictures, data)[1] if isinstance(pictures, Photographs) else pictures
        prints = _prints(pairs, quiet)
        if known:
            pairs = [pair for pair, both in zip(pairs, prints, strict=True) if both <= known]
            prints = [both for both in prints if both <= known]
        else:  # an older checkpoint: split again, with the same result for the same pictures
            pairs = split_validation(pairs, data.validation, data.split_seed, quiet)[1]
        found.update(*prints)
        name = part.folder or part.dataset
        if len(parts) > 1:
            chosen += [TestPicture(f"{name}/{pair.name}", pair.low, pair.high, name) for pair in pairs]
        else:
            chosen += [TestPicture(pair.name, pair.low, pair.high) for pair in pairs]
    if found != (known or model.training_pictures):
        raise UserError(
            f"{model.path} was validated on pairs that are not all in {root}: set the folder of its training "
            "data with --set data.root=FOLDER"
        )
    return chosen


def _prints(pairs: Sequence[Pair], quiet: bool) -> list[set[str]]:
    """The fingerprints of the two pictures of each pair."""
    return [
        {fingerprint(load_picture(side)) for side in (pair.low, pair.high)}
        for pair in progress(pairs, "reading pictures", "pair", quiet=quiet)
    ]
