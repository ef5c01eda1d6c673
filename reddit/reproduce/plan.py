"""What a comparison is made of: arms, claims, and the differences that decide them. All of it data."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reddit.utils.text import counted


class Cell(NamedTuple):
    """One arm at one number of sampling steps: what is scored."""

    arm: str
    steps: int


@dataclass(frozen=True)
class Arm:
    """One way to a picture.

    Attributes:
        key: names its run folders.
        label: names it in tables.
        settings: `key=value`, laid over the configuration.
        sampler: how the teacher itself is sampled; None where a student is trained.
        reference: others are measured against it: where the configuration makes it equal to another arm it
            shares that one's runs, and is not left out.
    """

    key: str
    label: str
    settings: tuple[str, ...] = ()
    sampler: str | None = None
    reference: bool = False


@dataclass(frozen=True)
class Comparison:
    """A weighted sum of cells that is above 0 where the claim holds.

    Attributes:
        text: says what is subtracted from what.
        margin: is added to the sum: what the claim is granted (above 0), or must exceed (below).
        metric: where it is not the plan's.
    """

    text: str
    terms: tuple[tuple[float, Cell], ...]
    margin: float = 0.0
    metric: str | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence that numbers can support or contradict.

    Attributes:
        source: where the paper says so; empty for a control that the paper does not make.
    """

    text: str
    source: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that decides a target before anything is run.

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
        """Whether it compares seconds, which need neither training nor a ground truth."""
        return self.metric == "seconds"

    def arm(self, key: str) -> Arm:
        return next(arm for arm in self.arms if arm.key == key)

    def students(self) -> list[tuple[Arm, list[int]]]:
        """The arms that must be trained, and the steps that each is scored at, most first."""
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


@dataclass(frozen=True)
class Target:
    """A figure or table of the paper.

    Attributes:
        help: one line for `--help`.
        steps: of the students, unless a user says otherwise.
        build: (steps, most first; steps of the teacher) → the plan.
    """

    help: str
    steps: tuple[int, ...]
    build: Callable[[Sequence[int], int], Plan]


def better(arm: Arm, other: Arm, steps: int, *, other_steps: int = 0, margin: float = 0.0) -> Comparison:
    """`arm` at N steps less `other` at as many, or at `other_steps`."""
    other_steps = other_steps or steps
    counts = (
        counted(steps, "step") if other_steps == steps else f"{steps} against {counted(other_steps, 'step')}"
    )
    granted = f", {margin:g} granted" if margin else ""
    terms = ((1.0, Cell(arm.key, steps)), (-1.0, Cell(other.key, other_steps)))
    return Comparison(f"{arm.label} − {other.label}, {counts}{granted}", terms, margin)


def growth(arm: Arm, other: Arm, steps: Sequence[int]) -> Comparison:
    """By how much `arm` less `other` grows with each halving of the steps: the slope of a fitted line."""
    halvings = [-math.log2(n) for n in steps]
    centre = sum(halvings) / len(halvings)
    square = sum((h - centre) ** 2 for h in halvings)
    terms = []
    for n, h in zip(steps, halvings, strict=True):
        weight = (h - centre) / square
        terms += [(weight, Cell(arm.key, n)), (-weight, Cell(other.key, n))]
    return Comparison(f"{arm.label} − {other.label}, a halving of the steps", tuple(terms))
