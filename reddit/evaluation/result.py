"""The scores of a method on a test set."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import Any

from reddit.metrics import Scores, json_safe, summarise
from reddit.utils.text import counted

SEEN, UNSEEN = "seen in training", "unseen"


@dataclass(frozen=True)
class PictureResult:
    """The scores of one picture, one entry per seed; `part` names its part of a mixture."""

    name: str
    size: tuple[int, int]
    scores: tuple[Scores, ...]
    part: str = ""

    def mean(self) -> Scores:
        return summarise(self.scores)


@dataclass(frozen=True)
class Evaluation:
    """One method on one test set.

    Attributes:
        method: the source of the pictures, as tables name it.
        settings: what affects the scores besides the protocol (steps, checkpoint, …).
        seen: names of the test pictures that the model was trained on; None if that is unknown.
    """

    dataset: str
    method: str
    protocol: str
    seeds: tuple[int, ...]
    settings: dict[str, str]
    pictures: tuple[PictureResult, ...]
    seen: frozenset[str] | None = None

    def mean(self) -> Scores:
        """Means over pictures, then over seeds."""
        return summarise([self._of_seed(k) for k in range(len(self.seeds))])

    def apart(self) -> dict[str, Evaluation]:
        """The pictures of each part of a mixture; or those that the model was trained on, and the others.

        Empty if all belong together.
        """
        mixed = any(picture.part for picture in self.pictures)
        groups: dict[str, list[PictureResult]] = {} if mixed else {SEEN: [], UNSEEN: []}
        for picture in self.pictures:
            name = picture.part if mixed else SEEN if picture.name in (self.seen or ()) else UNSEEN
            groups.setdefault(name, []).append(picture)
        parts = {
            name: replace(self, pictures=tuple(group), seen=None) for name, group in groups.items() if group
        }
        return parts if len(parts) > 1 else {}

    def apart_lines(self) -> list[str]:
        """A line with the means of each part of `apart`."""
        return [
            f"{counted(len(part.pictures), 'picture')} {'' if name in (SEEN, UNSEEN) else 'of '}{name}: "
            + ", ".join(f"{key} {value:.4f}" for key, value in flat_scores(part.mean()).items())
            for name, part in self.apart().items()
        ]

    def deviation(self) -> dict[str, float]:
        """Standard deviation over seeds of each set mean, by `raw.psnr` and so on; empty for one seed.

        A mean that is infinite for any seed has no deviation and is left out.
        """
        if len(self.seeds) < 2:
            return {}
        rows = [flat_scores(self._of_seed(k)) for k in range(len(self.seeds))]
        return {
            key: statistics.stdev(values)
            for key in rows[0]
            if all(map(math.isfinite, values := [row[key] for row in rows]))
        }

    def _of_seed(self, k: int) -> Scores:
        return summarise([p.scores[k] for p in self.pictures])

    def facts(self) -> dict[str, str]:
        """What affects the scores besides the protocol, by name."""
        sizes = sorted({f"{p.size[1]}×{p.size[0]}" for p in self.pictures})
        shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
        return {"resolution": shown, "seeds": " ".join(map(str, self.seeds))} | self.settings

    def describe(self) -> str:
        """Everything that affects the scores, as lines to print above a table."""
        lines = [self.protocol, "; ".join(f"{key} {value}" for key, value in self.facts().items())]
        if deviation := self.deviation():
            figures = ", ".join(f"{key} {value:.4f}" for key, value in deviation.items())
            lines.append(f"standard deviation over the {len(self.seeds)} seeds: {figures}")
        return "\n".join(lines + self.apart_lines())

    def to_json(self) -> dict[str, Any]:
        """Plain data; an infinite PSNR is the string "inf"."""
        return {
            "dataset": self.dataset,
            "method": self.method,
            "protocol": self.protocol.partition(":")[0].removeprefix("protocol "),
            "protocol_details": self.protocol,
            "settings": self.settings | {"seeds": list(self.seeds)},
            "images": len(self.pictures),
            **self.mean().to_json(),
            "deviation_over_seeds": {k: json_safe(v) for k, v in self.deviation().items()},
            "apart": {
                name: {"images": len(part.pictures)} | part.mean().to_json()
                for name, part in self.apart().items()
            },
            "per_image": [
                {"name": p.name, "seen_in_training": None if self.seen is None else p.name in self.seen}
                | p.mean().to_json()
                for p in self.pictures
            ],
        }


def flat_scores(scores: Scores) -> dict[str, float]:
    """`raw.psnr`, `gt_mean.ssim`, `niqe`, `niqe_grey`, … in the order of tables."""
    flat = {f"raw.{k}": v for k, v in scores.raw.items()}
    flat |= {f"gt_mean.{k}": v for k, v in scores.gt_mean.items()}
    natural = {"niqe": scores.niqe, "niqe_grey": scores.niqe_grey}
    return flat | {key: value for key, value in natural.items() if value is not None}
