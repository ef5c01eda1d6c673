"""Checking a data set: is it complete and readable, and does a test set share pictures with a training set?

Each thread holds one picture at a time; only sizes and fingerprints are kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reddit.data.cache import fingerprint
from reddit.data.layouts import LAYOUTS, Layout, Split, get_layout, locate, scene_of
from reddit.data.pairing import Pair, Picture, TestPicture, find_pictures, survey
from reddit.data.pairs import load_picture
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

THREADS = 2
SHOWN = 5  # problems of one kind that are listed

Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """`error`: the set cannot be used; `warning`: scores would mislead; `note`: information."""

    severity: Severity
    text: str


@dataclass(frozen=True)
class CheckResult:
    """What `check` found."""

    title: str
    facts: list[str]
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        return all(finding.severity != "error" for finding in self.findings)

    def text(self) -> str:
        """The result as text, with the severity before each finding."""
        counts = Counter(finding.severity for finding in self.findings)
        verdict = f"{'usable' if self.usable else 'NOT USABLE'}: " + ", ".join(
            f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
            for severity in ("error", "warning", "note")
        )
        marked = [f"  {finding.severity.upper()}: {finding.text}" for finding in self.findings]
        return "\n".join([self.title, *(f"  {fact}" for fact in self.facts), *marked, verdict])


@dataclass(frozen=True)
class _Seen:
    """A decoded picture: (height, width) and fingerprint."""

    size: tuple[int, int]
    digest: str


@dataclass(frozen=True)
class _Half:
    """One split, read from disk; `seen` holds an error message for a file that cannot be decoded."""

    layout: Layout
    split: Split
    folders: tuple[Path, ...]
    pictures: list[TestPicture]
    faults: list[str]
    seen: dict[Path, _Seen | str]

    @property
    def label(self) -> str:
        return f"{self.layout.name}/{self.split}"

    def look_up(self, picture: Picture | None) -> _Seen | None:
        """Size and fingerprint of a file; None if there is none or it cannot be decoded."""
        seen = self.seen[picture] if isinstance(picture, Path) else None
        return seen if isinstance(seen, _Seen) else None

    def digests(self) -> dict[str, str]:
        """Fingerprint → name, for all low and high pictures."""
        return {
            seen.digest: picture.name
            for picture in self.pictures
            for side in (picture.low, picture.high)
            if (seen := self.look_up(side))
        }


def overlap(training_fingerprints: frozenset[str], tests: Iterable[Pair | TestPicture]) -> list[str]:
    """Names of the test pictures whose low or high is among the pictures a model was trained on.

    Args:
        training_fingerprints: `CheckpointInfo.training_pictures`.
        tests: from `load_test_set` or `load_pairs`; each is read once and not kept.

    Raises:
        UserError: a picture cannot be read.
    """
    if not training_fingerprints:
        return []

    def known(test: Pair | TestPicture) -> bool:
        sides = (side for side in (test.low, test.high) if side is not None)
        return any(fingerprint(load_picture(side)) in training_fingerprints for side in sides)

    return [test.name for test in tests if known(test)]


def check(name: str, root: Path, *, alone: bool = False, quiet: bool = False) -> CheckResult:
    """Check a data set and compare the training sets under the root with the test sets.

    Args:
        name: a key of `LAYOUTS`.
        root: the data root.
        alone: ignore the other data sets under the root.
        quiet: no progress bars.

    Raises:
        UserError: an unknown name, or no split of the set is on disk.
    """
    layout = get_layout(name)
    on_disk = _halves_on_disk(layout, root)
    if not on_disk:
        survey(name, root, "train") if layout.sides else find_pictures(name, root)
    facts: list[str] = []
    findings = [
        Finding(
            "warning",
            f"{name}/{split} is not on disk (expected {root.absolute() / layout.folders(split)[0]})",
        )
        for split in layout.parents
        if split not in on_disk
    ]
    halves = [_read_half(layout, root, split, quiet) for split in on_disk]
    for half in halves:
        facts.append(_describe(half))
        findings += _faults(half) + _copies(half)
    others = [] if alone else [other for other in LAYOUTS.values() if other.name != name]
    for other in others:
        halves += [_read_half(other, root, split, quiet) for split in _halves_on_disk(other, root)]
    clean, shared = _shared(halves)
    findings += shared
    return CheckResult(f"{name} under {root.absolute()}", facts + clean, findings)


def _halves_on_disk(layout: Layout, root: Path) -> list[Split]:
    return [split for split in layout.parents if locate(layout, root, split)]


def _read_half(layout: Layout, root: Path, split: Split, quiet: bool) -> _Half:
    folders = locate(layout, root, split)
    assert folders is not None  # checked by the caller
    pictures: list[TestPicture] = []
    faults: list[str] = []
    if layout.sides:
        found = survey(layout.name, root, split)
        pictures = [TestPicture(pair.name, pair.low, pair.high) for pair in found.pairs]
        faults = found.faults
    else:
        try:
            pictures = find_pictures(layout.name, root)
        except UserError as error:  # an empty folder
            faults = [str(error)]
    paths = {side: None for p in pictures for side in (p.low, p.high) if isinstance(side, Path)}
    return _Half(
        layout, split, folders, pictures, faults, _read_all(list(paths), f"{layout.name}/{split}", quiet)
    )


def _read_all(paths: Sequence[Path], label: str, quiet: bool) -> dict[Path, _Seen | str]:
    pool = ThreadPoolExecutor(THREADS)
    try:
        seen = pool.map(_look, paths)
        bar = progress(seen, label, "picture", total=len(paths), quiet=quiet)
        return dict(zip(paths, bar, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for the rest


def _look(path: Path) -> _Seen | str:
    try:
        picture = load_picture(path)
    except UserError as error:
        return str(error)
    return _Seen((picture.shape[0], picture.shape[1]), fingerprint(picture))


def _describe(half: _Half) -> str:
    """One line: number of pictures, how many differ, sizes and folder."""
    sizes = Counter(seen.size for seen in half.seen.values() if isinstance(seen, _Seen))
    shown = ", ".join(f"{width}×{height}" for (height, width), _ in sizes.most_common(3)) or "no"
    more = f" and {len(sizes) - 3} other sizes of" if len(sizes) > 3 else ""
    lows = {seen.digest for p in half.pictures if (seen := half.look_up(p.low))}
    highs = {seen.digest for p in half.pictures if (seen := half.look_up(p.high))}
    different = f"{len(lows)} different lows" + (
        f", {len(highs)} different highs" if half.layout.sides else ""
    )
    counts, unit = _counts(half)
    counted = f"{_either(counts)} {unit} ({_either(half.layout.counts[half.split])} published)"
    if half.layout.kind == "videos":
        counted += f", {len(half.pictures)} frames"
    return (
        f"{half.label}: {counted}, {different}, {shown}{more} pixels, in {half.folders[0].parent.absolute()}"
    )


def _counts(half: _Half) -> tuple[list[int], str]:
    """The counts to compare with the published ones; videos with and without second takes."""
    if half.layout.kind != "videos":
        return [len(half.pictures)], "pairs" if half.layout.sides else "pictures"
    videos = {picture.name.partition("/")[0] for picture in half.pictures}
    return sorted({len(videos), len({scene_of(video) for video in videos})}, reverse=True), "videos"


def _either(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, numbers))


def _faults(half: _Half) -> list[Finding]:
    """Problems of counts, pairing, decoding and sizes."""
    found = []
    (counts, unit), published = _counts(half), half.layout.counts[half.split]
    if not set(counts) & set(published):
        text = f"{half.label}: {_either(counts)} {unit} here, {_either(published)} published"
        found.append(Finding("warning", text))
    found += _listed(f"{half.label}: ", half.faults)
    found += _listed(f"{half.label}: ", [seen for seen in half.seen.values() if isinstance(seen, str)])
    missized = []
    for picture in half.pictures:
        low, high = half.look_up(picture.low), half.look_up(picture.high)
        if low and high and low.size != high.size:
            sizes = " and ".join(f"{seen.size[1]}×{seen.size[0]}" for seen in (low, high))
            missized.append(f"{picture.name} has low and high of different sizes, {sizes}")
    return found + _listed(f"{half.label}: ", missized)


def _listed(prefix: str, faults: list[str]) -> list[Finding]:
    found = [Finding("error", prefix + fault) for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        found.append(Finding("error", f"{prefix}and {len(faults) - SHOWN} more like the last"))
    return found


def _copies(half: _Half) -> list[Finding]:
    """Identical low pictures, and ground truths that several low pictures share."""
    lows: dict[str, list[str]] = defaultdict(list)
    highs: dict[str, list[str]] = defaultdict(list)
    for picture in half.pictures:
        for group, side in ((lows, picture.low), (highs, picture.high)):
            if seen := half.look_up(side):
                group[seen.digest].append(picture.name)
    found = []
    same = [names for names in lows.values() if len(names) > 1]
    if same:
        shown = "; ".join(" = ".join(names) for names in same[:3])
        found.append(
            Finding("warning", f"{half.label}: {sum(map(len, same))} lows are copies of one another: {shown}")
        )
    shared = [names for names in highs.values() if len(names) > 1]
    if shared and half.layout.kind == "pairs":
        found.append(
            Finding(
                "note",
                f"{half.label}: {sum(map(len, shared))} pairs share {len(shared)} highs; "
                "a validation split must keep them together (data.validation does)",
            )
        )
    return found


def _shared(halves: Sequence[_Half]) -> tuple[list[str], list[Finding]]:
    """Compare by pixels: which test pictures are also in a training set or in another test set."""
    digests = {half.label: half.digests() for half in halves}
    training = ", ".join(half.label for half in halves if half.split == "train")
    clean, found = [], []
    for test in (half for half in halves if half.split == "test"):
        seen_in_training = False
        for other in (half for half in halves if half is not test):
            known = digests[other.label]
            lows = [p.name for p in test.pictures if (s := test.look_up(p.low)) and s.digest in known]
            highs = [p.name for p in test.pictures if (s := test.look_up(p.high)) and s.digest in known]
            if not lows and not highs:
                continue
            either = sorted({*lows, *highs})
            text = (
                f"{test.label}: {len(lows)} lows and {len(highs)} highs of {len(test.pictures)} are also in "
                f"{other.label}: {', '.join(either[:SHOWN])}{', …' if len(either) > SHOWN else ''}"
            )
            if other.split == "train":
                seen_in_training = True
                text += f"; a model trained on {other.layout.name} has seen them: mention it with its score"
            found.append(Finding("warning" if other.split == "train" else "note", text))
        if training and not seen_in_training:
            clean.append(f"{test.label}: no low or high is in {training}")
    return clean, found
