"""What is finished of a target, and the plan that can be judged of it so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reddit.reproduce.plan import Cell, Claim, Comparison, Plan
from reddit.reproduce.runs import Runs
from reddit.utils.errors import UserError
from reddit.utils.text import counted

MIN_FOLDS = 2
"""Folds that a comparison needs: one has no spread."""


@dataclass(frozen=True)
class Finished:
    """The arms that are finished, all their cells with all seeds, in each part.

    Attributes:
        arms: for each fold, or for the only part, the keys of arms.
        folds: number of folds; 0: none.
    """

    plan: Plan
    arms: tuple[frozenset[str], ...]
    folds: int

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return all(len(keys) == len(self.plan.arms) for keys in self.arms)

    def describe(self) -> list[str]:
        """A line for each set of folds: which arms are finished there."""
        by_folds: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for arm in self.plan.arms:
            by_folds[self._parts({arm.key})].append(arm.label)
        lines = []
        for parts, labels in by_folds.items():
            where = "missing"
            if parts:
                where = f"finished in {self._named(parts)}" if self.folds else "finished"
            elif self.folds:
                where = "finished in no fold"
            lines.append(f"{where}: {'; '.join(labels)}")
        return lines

    def judged(self) -> Plan:
        """The plan of the comparisons that can be judged, whose claims say what they lack.

        Raises:
            UserError: there is none.
        """
        claims = [claim for claim in map(self._reduced, self.plan.claims) if claim.comparisons]
        if not claims:
            needs = f" in {counted(MIN_FOLDS, 'fold')}" if self.folds else ""
            raise UserError(
                f"--partial: no comparison has both arms finished{needs} yet ({', '.join(self.describe())})"
            )
        arms = tuple(arm for arm in self.plan.arms if self._parts({arm.key}))
        cells = tuple(cell for cell in self.plan.cells if self._parts({cell.arm}))
        title = f"{self.plan.title} (partial)"
        return replace(self.plan, title=title, arms=arms, cells=cells, claims=tuple(claims))

    def cells(self, part: int) -> tuple[Cell, ...]:
        """The cells that can be scored in a part."""
        return tuple(cell for cell in self.plan.cells if cell.arm in self.arms[part])

    def _reduced(self, claim: Claim) -> Claim:
        """The claim with the comparisons that can be judged; its text says so if some folds are missing."""
        kept = tuple(c for c in claim.comparisons if len(self._parts(_arms(c))) >= self._needed())
        lacking = [c for c in kept if len(self._parts(_arms(c))) < len(self.arms)]
        if len(kept) == len(claim.comparisons) and not lacking:
            return claim
        folds = sorted({self._parts(_arms(c)) for c in kept})
        of_folds = f"; {' and '.join(map(self._named, folds))}" if self.folds else ""
        note = f"partial: {len(kept)} of {counted(len(claim.comparisons), 'comparison')}{of_folds}"
        return replace(claim, text=f"{claim.text} [{note}]", comparisons=kept)

    def _needed(self) -> int:
        return MIN_FOLDS if self.folds else 1

    def _parts(self, keys: set[str]) -> tuple[int, ...]:
        """The parts in which all these arms are finished."""
        return tuple(k for k, finished in enumerate(self.arms) if keys <= finished)

    def _named(self, parts: Sequence[int]) -> str:
        return f"{named_folds(parts)} of {self.folds}"


def finished(plan: Plan, parts: Sequence[tuple[Runs, Sequence[int]]], folds: int) -> Finished:
    """Look which arms are finished.

    Args:
        parts: the runs and the seeds of each fold, or of the only part.
    """
    return Finished(plan, tuple(_finished(plan, runs, seeds) for runs, seeds in parts), folds)


def _finished(plan: Plan, runs: Runs, seeds: Sequence[int]) -> frozenset[str]:
    done = {run.name: run.done() for run in runs.all()}
    return frozenset(
        arm.key
        for arm in plan.arms
        if all(
            done[runs.of(arm, cell.steps, seed).name]
            for cell in plan.cells
            if cell.arm == arm.key
            for seed in seeds
        )
    )


def _arms(comparison: Comparison) -> set[str]:
    return {cell.arm for _, cell in comparison.terms}


def named_folds(folds: Sequence[int]) -> str:
    """Folds as in the names of runs, from 1: `fold 3`, `folds 1 2 5`."""
    return ("fold " if len(folds) == 1 else "folds ") + " ".join(str(k + 1) for k in folds)
