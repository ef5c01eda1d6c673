"""The parts of a target as data: arms, cells, comparisons and claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reddit.utils.text import counted


class Cell(NamedTuple):
    """One arm at one number of sampling steps; the unit that is scored."""

    arm: str
    steps: int


@dataclass(frozen=True)
class Arm:
    """One method or variant that is compared.

    Attributes:
        key: its name in run folders.
        label: its name in tables.
        settings: overrides of the configuration, `key=value`.
        sampler: the sampler of the teacher; None: a student is trained.
        reference: others are compared with it. If it equals another arm under this configuration, it shares
            that arm's runs instead of being omitted.
        ensemble: how many symmetries of a picture the sampler's results are averaged over.
        whole_budget: its own teacher gets the iterations of a chain of students, too.
    """

    key: str
    label: str
    settings: tuple[str, ...] = ()
    sampler: str | None = None
    reference: bool = False
    ensemble: int = 1
    whole_budget: bool = False


@dataclass(frozen=True)
class Comparison:
    """A weighted sum of cells that is above 0 if the claim holds.

    Attributes:
        text: describes the difference.
        margin: added to the sum: a tolerance for the claim (above 0), or what it must exceed (below 0).
        metric: None: the plan's.
    """

    text: str
    terms: tuple[tuple[float, Cell], ...]
    margin: float = 0.0
    metric: str | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence that numbers can support or contradict.

    Attributes:
        source: the place in the paper; empty for a control that is not in the paper.
    """

    text: str
    source: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Plan:
    """A target, fixed before anything is run.

    Attributes:
        metric: a key of `reddit.evaluation.evaluate.flat_scores`, or `seconds`, which is compared by its
            logarithm to base 2.
    """

    title: str
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    metric: str = "raw.psnr"

    @property
    def timed(self) -> bool:
        """Whether it compares seconds, which needs neither training nor ground truth."""
        return self.metric == "seconds"

    def arm(self, key: str) -> Arm:
        return next(arm for arm in self.arms if arm.key == key)

    def students(self) -> list[tuple[Arm, list[int]]]:
        """The arms that must be trained, and the steps at which each is scored, most first."""
        return [
            (arm, sorted((cell.steps for cell in self.cells if cell.arm == arm.key), reverse=True))
            for arm in self.arms
            if arm.sampler is None
        ]

    def without(self, keys: Collection[str]) -> Plan:
        """The plan without some arms, their comparisons, and claims that have none left."""
        claims = []
        for claim in self.claims:
            kept = tuple(c for c in claim.comparisons if not {cell.arm for _, cell in c.terms} & set(keys))
            if kept:
                claims.append(replace(claim, comparisons=kept))
        return replace(
            self,
            arms=tuple(arm for arm in self.arms if arm.key not in keys),
            cells=tuple(cell for cell in self.cells if cell.arm not in keys),
            claims=tuple(claims),
        )


def metric_name(metric: str) -> str:
    """`gt_mean.psnr` → `GT-mean PSNR`, for text."""
    return {"raw.psnr": "raw PSNR", "gt_mean.psnr": "GT-mean PSNR", "gt_mean.lpips": "GT-mean LPIPS"}.get(
        metric, metric
    )


@dataclass(frozen=True)
class Target:
    """A figure or table of the paper.

    Attributes:
        help: one line for `--help`.
        steps: default steps of the students.
        build: (steps, most first; steps of the teacher) → the plan.
    """

    help: str
    steps: tuple[int, ...]
    build: Callable[[Sequence[int], int], Plan]


def better(arm: Arm, other: Arm, steps: int, *, other_steps: int = 0, margin: float = 0.0) -> Comparison:
    """`arm` at N steps minus `other` at N or `other_steps`."""
    other_steps = other_steps or steps
    counts = (
        counted(steps, "step") if other_steps == steps else f"{steps} against {counted(other_steps, 'step')}"
    )
    granted = f", {margin:g} granted" if margin else ""
    terms = ((1.0, Cell(arm.key, steps)), (-1.0, Cell(other.key, other_steps)))
    return Comparison(f"{arm.label} − {other.label}, {counts}{granted}", terms, margin)


def growth(arm: Arm, other: Arm, steps: Sequence[int]) -> Comparison:
    """The growth of `arm` minus `other` per halving of the steps: the slope of a fitted line."""
    halvings = [-math.log2(n) for n in steps]
    centre = sum(halvings) / len(halvings)
    square = sum((h - centre) ** 2 for h in halvings)
    terms = []
    for n, h in zip(steps, halvings, strict=True):
        weight = (h - centre) / square
        terms += [(weight, Cell(arm.key, n)), (-weight, Cell(other.key, n))]
    return Comparison(f"{arm.label} − {other.label}, a halving of the steps", tuple(terms))
