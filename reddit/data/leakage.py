"""Test pictures that a model has been trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from reddit.data.pairing import Pair, TestPicture
from reddit.data.pairs import load_picture
from reddit.image.pixels import fingerprint
from reddit.utils.errors import UserError


def overlap(training_fingerprints: frozenset[str], tests: Iterable[Pair | TestPicture]) -> list[str]:
    """Names of the test pictures whose low or high is among the pictures a model was trained on.

    Args:
        training_fingerprints: `CheckpointInfo.training_pictures`.
        tests: from `load_test_set` or `load_pairs`; each is read once and not kept.

    A picture that cannot be read is not among them.
    """
    if not training_fingerprints:
        return []

    def known(test: Pair | TestPicture) -> bool:
        sides = (side for side in (test.low, test.high) if side is not None)
        with contextlib.suppress(UserError):
            return any(fingerprint(load_picture(side)) in training_fingerprints for side in sides)
        return False

    return [test.name for test in tests if known(test)]
