"""One target, from its name to its page: prepare, train, score, judge, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reddit.config import Config
from reddit.evaluation.evaluate import device_name
from reddit.metrics import Scorer
from reddit.report.tables import Cell, render
from reddit.reproduce.choice import Choice
from reddit.reproduce.estimate import estimate
from reddit.reproduce.findings import (
    by_other_metrics,
    deciding,
    in_words,
    judge,
    other_metric_rows,
    picture_rows,
    summary_rows,
    together_rows,
    verdict_rows,
)
from reddit.reproduce.folds import DECIDING
from reddit.reproduce.page import write_page
from reddit.reproduce.partial import Finished, finished
from reddit.reproduce.plan import Plan
from reddit.reproduce.plot import charts, draw
from reddit.reproduce.runs import Run, Runs, check, collect, same_as
from reddit.reproduce.scoring import Scored, Scoring
from reddit.reproduce.targets import TARGETS
from reddit.training.run_folder import run_folder
from reddit.utils.device import choose_device, precision_on
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.progress import Log
from reddit.utils.text import counted


@dataclass(frozen=True)
class Part:
    """The runs that are scored on one set of pictures: the test set, or a fold.

    Attributes:
        choice: the user's options, for this fold.
        config: the configuration of its teacher.
    """

    choice: Choice
    config: Config
    runs: Runs


@dataclass(frozen=True)
class Reproduction:
    """A target under one configuration.

    Attributes:
        config: the configuration of a teacher, without folds.
        parts: the folds, or the only part.
        left_out: arms that equal another under this configuration: label → the other's label.
        folder: the folder of the page, the plot and the tables.
        partial: what is finished, if that is judged and no more is trained.
    """

    plan: Plan
    choice: Choice
    config: Config
    parts: tuple[Part, ...]
    left_out: Mapping[str, str]
    folder: Path
    partial: Finished | None = None

    @property
    def runs(self) -> Runs:
        """The runs of the first or only part."""
        return self.parts[0].runs

    def all(self) -> list[Run]:
        """Every run of every part."""
        return [run for part in self.parts for run in part.runs.all()]

    def pending(self) -> list[Run]:
        """The unfinished runs; with folds arm by arm, so that those of the first arms are whole early."""
        pending = [run for part in self.parts for run in part.runs.pending()]
        order = {arm.key: number for number, arm in enumerate(self.plan.arms)}
        return sorted(pending, key=lambda run: order[run.arm.key]) if self.choice.folds else pending

    def describe(self) -> str:
        """The remaining work, in two or three lines."""
        folds = f" × {self.choice.folds} folds" if self.choice.folds else ""
        lines = [f"{self.plan.title}, {self.config.name}: {len(self.plan.cells)} cells{folds} × seeds "
                 f"{' '.join(map(str, self.choice.seeds))}"]  # fmt: skip
        everything, pending = self.all(), self.pending()
        started = sum(run.iteration() > 0 for run in pending)
        iterations = sum(run.config.train.iterations - run.iteration() for run in pending)
        if everything:
            lines.append(
                f"{len(everything)} training runs, {len(everything) - len(pending)} done, {started} started; "
                f"{iterations} iterations to do"
            )
        if pending and (self.choice.folds or self.partial):
            lines += self.finished().describe()
        lines += [f"omitted: {arm}, here equal to {other}" for arm, other in self.left_out.items()]
        return "\n".join(lines)

    def finished(self) -> Finished:
        """Which arms are finished, and in which folds."""
        parts = [(part.runs, part.choice.seeds) for part in self.parts]
        return self.partial or finished(self.plan, parts, self.choice.folds)

    def so_far(self) -> Reproduction:
        """This target with what is finished of it, in a folder of its own; itself if nothing is missing.

        Raises:
            UserError: nothing can be judged yet.
        """
        there = self.finished()
        if self.plan.timed or there.whole:
            return self
        folder = self.folder.with_name(f"{self.folder.name}-partial")
        return replace(self, plan=there.judged(), folder=folder, partial=there)

    def seconds(self, quiet: bool) -> float:
        """An estimate of the remaining time."""
        cells = len(self.plan.cells) * len(self.choice.seeds) * len(self.parts)
        return estimate(self.plan, self.pending(), self.parts[0].config, cells, quiet)

    def train(self, quiet: bool, log: Log) -> None:
        """Train every unfinished run, teachers before their students, seed by seed."""
        pending = self.pending()
        for number, run in enumerate(pending, 1):
            who = f"{run.arm.label}, {counted(run.steps, 'step')}" if run.teacher else "teacher"
            log(f"run {number} of {len(pending)}: {who}, seed {run.seed}")
            run.train(quiet, log)

    def score(self, scorer: Scorer, quiet: bool, log: Log) -> list[Scored]:
        """The scores of every cell and seed, on the test set or on the fold that is held out."""
        if self.plan.timed:
            return Scoring(self.config, quiet, log).time(self.plan, self.choice.seeds)
        return [one for part in self.parts for one in self._scores_of(part, part.config, scorer, quiet, log)]

    def score_test_set(self, scorer: Scorer, quiet: bool, log: Log) -> list[Scored]:
        """With folds, the scores of every cell and seed on the test set, which decide nothing."""
        if not self.choice.folds:
            return []
        return [one for part in self.parts for one in self._scores_of(part, self.config, scorer, quiet, log)]

    def _scores_of(self, part: Part, config: Config, scorer: Scorer, quiet: bool, log: Log) -> list[Scored]:
        plan = self.plan
        if self.partial is not None:
            plan = replace(plan, cells=self.partial.cells(part.choice.fold or 0))
        if not plan.cells:
            return []
        scored = Scoring(config, quiet, log).score(plan, part.runs, scorer, part.choice.seeds)
        return [replace(one, fold=part.choice.fold or 0) for one in scored]

    def write(self, scored: Sequence[Scored], protocol: str, beside: Sequence[Scored] = ()) -> dict[str, str]:
        """Judge, and write the page, the plot and the tables.

        Args:
            beside: the scores on the test set, if others decide.

        Returns:
            Claim → its verdict in words.
        """
        judged, others = judge(self.plan, scored), by_other_metrics(self.plan, scored)
        plots, facts = draw(self.plan, scored, judged), self._facts(protocol, scored)
        files = {
            "pictures.csv": render(picture_rows(self.plan, scored), "csv").encode(),
            "summary.csv": render(summary_rows(self.plan, scored), "csv").encode(),
            "verdicts.csv": render(verdict_rows(judged), "csv").encode(),
            "plot.png": plots["png"],
            "plot.svg": plots["svg"],
            "index.html": write_page(
                self.plan,
                scored,
                judged,
                others,
                charts(self.plan, scored, judged),
                facts,
                self.left_out,
                beside,
            ),
        }
        by_metric = deciding(self.plan, judged, others)
        files["verdicts.md"] = self._table(together_rows(by_metric), facts).encode()
        if beside:
            files["test_set.csv"] = render(summary_rows(self.plan, beside), "csv").encode()
        if others:
            files["other_metrics.csv"] = render(other_metric_rows(others), "csv").encode()
        for name, data in files.items():
            write_bytes(self.folder / name, data)
        return in_words(by_metric)

    def _table(self, rows: Sequence[dict[str, Cell]], facts: Mapping[str, str]) -> str:
        """One table of all comparisons, in Markdown."""
        note = "Differences with 95 % intervals; above 0 the first is better, also in LPIPS."
        lines = [f"# {self.plan.title}", "", note, "", render(rows, "md")]
        return "\n".join([*lines, *(f"- {name}: {value}" for name, value in facts.items())]) + "\n"

    def _facts(self, protocol: str, scored: Sequence[Scored]) -> dict[str, str]:
        device = choose_device(self.config.device)
        facts = {
            "data set": self.config.data.dataset,
            "configuration": " ".join([self.choice.file or "defaults", *self.choice.settings]),
            "precision": precision_on(device, self.config.precision),
            "hardware": device_name(device),
        }
        if self.partial is not None:
            facts["partial"] = "; ".join(self.partial.describe())
        seeds = " ".join(map(str, self.choice.seeds))
        if self.plan.timed:
            return facts | {"rounds of timing": seeds}
        budget = min(run.config.train.iterations for run in self.all() if run.teacher)
        teachers = [run for run in self.all() if not run.teacher]
        seen = {one.run: one.seen for one in scored if one.seen}
        leaks = "; ".join(f"{run}: {count}" for run, count in seen.items())
        if self.choice.folds:
            scenes = {scene for one in scored for scene in one.scenes.values()}
            unfinished = ", not all of them finished," if self.partial else ""
            facts["folds"] = (
                f"{self.choice.folds}{unfinished} of {len(scenes)} scenes, each with its own teacher"
            )
            seeds = " ".join(str(seed) for part in self.parts for seed in part.choice.seeds)
        return facts | {
            "training seeds, and sampling seeds with them": seeds,
            "iterations": f"{budget} for each stage of a chain; equal in total for every arm",
            "teacher": ("one for each seed: " if self.choice.teacher_seeds else "shared by all seeds: ")
            + "; ".join(f"{run.folder}, {run.iteration()} iterations" for run in teachers),
            "weights": "chosen by raw PSNR on a validation split of the training set",
            "test pictures seen in training or selection": leaks or "none",
            "protocol": protocol.removeprefix("protocol "),
        }


def prepare(target: str, choice: Choice, steps: Sequence[int] | None, log: Log) -> Reproduction:
    """Prepare a target, and check the existing run folders.

    Raises:
        UserError: an unknown target or setting; steps that cannot be reached; a configuration that leaves
            nothing to compare; folders of other runs.
    """
    config = choice.base()
    teacher_steps = config.diffusion.teacher_steps
    usual = [n for n in TARGETS[target].steps if n < teacher_steps and teacher_steps % n == 0]
    plan = TARGETS[target].build(sorted(set(steps or usual), reverse=True), teacher_steps)
    choice.check(plan.arms)
    equal = same_as(plan, choice)
    labels = {arm.key: arm.label for arm in plan.arms}
    shared = {arm: other for arm, other in equal.items() if plan.arm(arm).reference}
    equal = {arm: other for arm, other in equal.items() if arm not in shared}
    plan = plan.without(equal)
    if not any(claim.source for claim in plan.claims):
        pairs = ", ".join(f"{labels[arm]} = {labels[other]}" for arm, other in equal.items())
        raise UserError(
            f"{target}: with this configuration nothing is left to compare ({pairs}): set its "
            "weight, e.g. --set distill.reddit.omega=0.2"
        )
    if choice.folds and not plan.timed:
        plan = replace(plan, metric=DECIDING[0])
    parts = tuple(
        Part(own, own.base(), Runs() if plan.timed else collect(plan, own, shared))
        for own in (map(choice.in_fold, range(choice.folds)) if choice.folds else [choice])
    )
    for part in parts:
        check(part.runs, log)
    folder = run_folder(config, f"reproduce/{target}-{config.name}{choice.variant()}")
    left_out = {labels[arm]: labels[other] for arm, other in equal.items()}
    return Reproduction(plan, choice, config, parts, left_out, folder)
