"""The pictures of a run, recorded in its folder: a resumed run validates on the same ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reddit.checkpoint.format import CheckpointInfo
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.text import counted

RECORD = "data.json"

Prints = tuple[str, str]
"""The fingerprints of the low and the high picture of a pair."""


@dataclass(frozen=True)
class DataRecord:
    """Fingerprints of the pictures that a run uses or has used.

    Attributes:
        training: every picture of the training set, including the validation pictures.
        kept_out: for each part of the training data, the pairs that are kept out of training, in order.
        validation: the pairs that choose the weights, in order: those, or the test set.
    """

    training: frozenset[str]
    kept_out: tuple[tuple[Prints, ...], ...]
    validation: tuple[Prints, ...]

    def with_training(self, before: DataRecord | None) -> DataRecord:
        """This record with the pictures that the weights have seen before."""
        seen = before.training if before else frozenset()
        return DataRecord(self.training | seen, self.kept_out, self.validation)

    def change_since(self, before: DataRecord | None) -> str | None:
        """One line about the pictures that are new or gone; None if there are none."""
        if before is None or before.training == self.training:
            return None
        new, gone = len(self.training - before.training), len(before.training - self.training)
        return (
            f"the training set has changed since this run began: {counted(new, 'picture')} new, {gone} gone; "
            "the validation pictures are the same"
        )


def read_record(folder: Path) -> DataRecord | None:
    """The record in a run folder; None for a run without one.

    Raises:
        UserError: it is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ValueError
        found = json.loads(path.read_text(encoding="utf-8"))
        return DataRecord(
            frozenset(map(_print, found["training"])),
            tuple(tuple(map(_prints, part)) for part in found["kept_out"]),
            tuple(map(_prints, found["validation"])),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged, so the pictures that the run was validated on are unknown: remove it if its "
            "data sets are as they were, or choose another --name"
        ) from error


def write_record(folder: Path, record: DataRecord) -> None:
    """Write the record; errors as in `write_bytes`."""
    tree = {
        "training": sorted(record.training),
        "kept_out": record.kept_out,
        "validation": record.validation,
    }
    write_bytes(folder / RECORD, json.dumps(tree, indent=0).encode())


def check_validation(before: DataRecord | None, now: DataRecord, folder: Path) -> None:
    """See that a resumed run validates on the pictures that it was validated on so far.

    Raises:
        UserError: it would not; scores of different pictures cannot be compared.
    """
    if before is None or before.validation == now.validation:
        return
    gone, new = set(before.validation) - set(now.validation), set(now.validation) - set(before.validation)
    raise UserError(
        f"{folder} was validated on other pictures ({counted(len(gone), 'pair')} gone, {len(new)} new), so "
        "its scores could not be compared: restore the data set and its settings, or continue under another "
        f"--name with --resume {folder}"
    )


def known_pictures(folder: Path, state: Path | None) -> tuple[DataRecord | None, DataRecord | None]:
    """The records of a run and of the run, often the same, whose state it is resumed from.

    Args:
        folder: the run folder.
        state: the state to resume from; None for a run that starts, which has neither.
    """
    if state is None:
        return None, None
    return read_record(folder), read_record(state.parents[1]) if state.parent.name == "checkpoints" else None


def trained_on(origin: CheckpointInfo, validation: frozenset[str]) -> str | None:
    """A warning if a run's first weights were trained on its validation pictures; else None.

    The split depends on the seed and the pictures, so it changes with the data set.
    """
    if not origin.validation_pictures:  # an older file
        return None
    seen = validation & (origin.training_pictures - origin.validation_pictures)
    if not seen:
        return None
    return (
        f"WARNING: {origin.path} was trained on {len(seen)} of the {len(validation)} validation pictures: "
        "scores on them are too high"
    )


def _print(value: object) -> str:
    if not isinstance(value, str) or not value.isalnum():
        raise ValueError("no fingerprint")
    return value


def _prints(value: Sequence[object]) -> Prints:
    low, high = value
    return _print(low), _print(high)
