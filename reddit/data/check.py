"""Checking a data set: completeness, readability, and test pictures that are also in a training set.

Pictures are compared by their fingerprints, so copies are found under any name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reddit.data.layouts import LAYOUTS, get_layout, scene_of
from reddit.data.pairing import find_pictures, survey
from reddit.data.scan import Decoded, SplitScan, scan_split, splits_on_disk

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
    on_disk = splits_on_disk(layout, root)
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
    scans = [scan_split(layout, root, split, quiet) for split in on_disk]
    for scan in scans:
        facts.append(_describe(scan))
        findings += _faults(scan) + _copies(scan)
    others = [] if alone else [other for other in LAYOUTS.values() if other.name != name]
    for other in others:
        scans += [scan_split(other, root, split, quiet) for split in splits_on_disk(other, root)]
    clean, shared = _shared(scans)
    findings += shared
    return CheckResult(f"{name} under {root.absolute()}", facts + clean, findings)


def _describe(scan: SplitScan) -> str:
    """One line: number of pictures, how many differ, sizes and folder."""
    sizes = Counter(seen.size for seen in scan.seen.values() if isinstance(seen, Decoded))
    shown = ", ".join(f"{width}×{height}" for (height, width), _ in sizes.most_common(3)) or "no"
    more = f" and {len(sizes) - 3} other sizes of" if len(sizes) > 3 else ""
    lows = {seen.digest for p in scan.pictures if (seen := scan.look_up(p.low))}
    highs = {seen.digest for p in scan.pictures if (seen := scan.look_up(p.high))}
    different = f"{len(lows)} different lows" + (
        f", {len(highs)} different highs" if scan.layout.sides else ""
    )
    counts, unit = _counts(scan)
    counted = f"{_either(counts)} {unit} ({_either(scan.layout.counts[scan.split])} published)"
    if scan.layout.kind == "videos":
        counted += f", {len(scan.pictures)} frames"
    return (
        f"{scan.label}: {counted}, {different}, {shown}{more} pixels, in {scan.folders[0].parent.absolute()}"
    )


def _counts(scan: SplitScan) -> tuple[list[int], str]:
    """The counts to compare with the published ones; videos with and without second takes."""
    if scan.layout.kind != "videos":
        return [len(scan.pictures)], "pairs" if scan.layout.sides else "pictures"
    videos = {picture.name.partition("/")[0] for picture in scan.pictures}
    return sorted({len(videos), len({scene_of(video) for video in videos})}, reverse=True), "videos"


def _either(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, numbers))


def _faults(scan: SplitScan) -> list[Finding]:
    """Problems of counts, pairing, decoding and sizes."""
    found = []
    (counts, unit), published = _counts(scan), scan.layout.counts[scan.split]
    if not set(counts) & set(published):
        text = f"{scan.label}: {_either(counts)} {unit} here, {_either(published)} published"
        found.append(Finding("warning", text))
    found += _listed(f"{scan.label}: ", scan.faults)
    found += _listed(f"{scan.label}: ", [seen for seen in scan.seen.values() if isinstance(seen, str)])
    missized = []
    for picture in scan.pictures:
        low, high = scan.look_up(picture.low), scan.look_up(picture.high)
        if low and high and low.size != high.size:
            sizes = " and ".join(f"{seen.size[1]}×{seen.size[0]}" for seen in (low, high))
            missized.append(f"{picture.name} has low and high of different sizes, {sizes}")
    return found + _listed(f"{scan.label}: ", missized)


def _listed(prefix: str, faults: list[str]) -> list[Finding]:
    found = [Finding("error", prefix + fault) for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        found.append(Finding("error", f"{prefix}and {len(faults) - SHOWN} more like the last"))
    return found


def _copies(scan: SplitScan) -> list[Finding]:
    """Identical low pictures, and ground truths that several low pictures share."""
    lows: dict[str, list[str]] = defaultdict(list)
    highs: dict[str, list[str]] = defaultdict(list)
    for picture in scan.pictures:
        for group, side in ((lows, picture.low), (highs, picture.high)):
            if seen := scan.look_up(side):
                group[seen.digest].append(picture.name)
    found = []
    same = [names for names in lows.values() if len(names) > 1]
    if same:
        shown = "; ".join(" = ".join(names) for names in same[:3])
        found.append(
            Finding("warning", f"{scan.label}: {sum(map(len, same))} lows are copies of one another: {shown}")
        )
    shared = [names for names in highs.values() if len(names) > 1]
    if shared and scan.layout.kind == "pairs":
        found.append(
            Finding(
                "note",
                f"{scan.label}: {sum(map(len, shared))} pairs share {len(shared)} highs; "
                "a validation split must keep them together (data.validation does)",
            )
        )
    return found


def _shared(scans: Sequence[SplitScan]) -> tuple[list[str], list[Finding]]:
    """Compare by pixels: which test pictures are also in a training set or in another test set."""
    digests = {scan.label: scan.digests() for scan in scans}
    training = ", ".join(scan.label for scan in scans if scan.split == "train")
    clean, found = [], []
    for test in (scan for scan in scans if scan.split == "test"):
        seen_in_training = False
        for other in (scan for scan in scans if scan is not test):
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
