"""One target, from its name to its page: prepare, train, score, judge, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reddit.config import Config
from reddit.evaluation.evaluate import device_name
from reddit.metrics import Scorer
from reddit.report.tables import render
from reddit.reproduce.choice import Choice
from reddit.reproduce.estimate import estimate
from reddit.reproduce.findings import (
    Judged,
    by_other_metrics,
    judge,
    other_metric_rows,
    picture_rows,
    summary_rows,
    verdict_rows,
)
from reddit.reproduce.page import write_page
from reddit.reproduce.plan import Plan
from reddit.reproduce.plot import charts, draw
from reddit.reproduce.runs import Runs, check, collect, same_as
from reddit.reproduce.scoring import Scored, Scoring
from reddit.reproduce.targets import TARGETS
from reddit.training.run_folder import run_folder
from reddit.utils.device import choose_device
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.progress import Log
from reddit.utils.text import counted


@dataclass(frozen=True)
class Reproduction:
    """A target under one configuration.

    Attributes:
        config: the configuration of a teacher.
        left_out: arms that equal another under this configuration: label → the other's label.
        folder: the folder of the page, the plot and the tables.
    """

    plan: Plan
    choice: Choice
    config: Config
    runs: Runs
    left_out: Mapping[str, str]
    folder: Path

    def describe(self) -> str:
        """The remaining work, in two or three lines."""
        lines = [f"{self.plan.title}, {self.config.name}: {len(self.plan.cells)} cells × seeds "
                 f"{' '.join(map(str, self.choice.seeds))}"]  # fmt: skip
        everything, pending = self.runs.all(), self.runs.pending()
        started = sum(run.iteration() > 0 for run in pending)
        iterations = sum(run.config.train.iterations - run.iteration() for run in pending)
        if everything:
            lines.append(
                f"{len(everything)} training runs, {len(everything) - len(pending)} done, {started} started; "
                f"{iterations} iterations to do"
            )
        lines += [f"omitted: {arm}, here equal to {other}" for arm, other in self.left_out.items()]
        return "\n".join(lines)

    def seconds(self, quiet: bool) -> float:
        """An estimate of the remaining time."""
        cells = len(self.plan.cells) * len(self.choice.seeds)
        return estimate(self.plan, self.runs.pending(), self.config, cells, quiet)

    def train(self, quiet: bool, log: Log) -> None:
        """Train every unfinished run, teachers before their students, seed by seed."""
        pending = self.runs.pending()
        for number, run in enumerate(pending, 1):
            who = f"{run.arm.label}, {counted(run.steps, 'step')}" if run.teacher else "teacher"
            log(f"run {number} of {len(pending)}: {who}, seed {run.seed}")
            run.train(quiet, log)

    def score(self, scorer: Scorer, quiet: bool, log: Log) -> list[Scored]:
        """The scores of every cell and seed."""
        scoring = Scoring(self.config, quiet, log)
        if self.plan.timed:
            return scoring.time(self.plan, self.choice.seeds)
        return scoring.score(self.plan, self.runs, scorer, self.choice.seeds)

    def write(self, scored: Sequence[Scored], protocol: str) -> list[Judged]:
        """Judge, and write the page, the plot and the tables."""
        judged, others = judge(self.plan, scored), by_other_metrics(self.plan, scored)
        plots = draw(self.plan, scored, judged)
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
                self._facts(protocol, scored),
                self.left_out,
            ),
        }
        if others:
            files["other_metrics.csv"] = render(other_metric_rows(others), "csv").encode()
        for name, data in files.items():
            write_bytes(self.folder / name, data)
        return judged

    def _facts(self, protocol: str, scored: Sequence[Scored]) -> dict[str, str]:
        facts = {
            "data set": self.config.data.dataset,
            "configuration": " ".join([self.choice.file or "defaults", *self.choice.settings]),
            "precision": self.config.precision,
            "hardware": device_name(choose_device(self.config.device)),
        }
        seeds = " ".join(map(str, self.choice.seeds))
        if not self.runs.students:
            return facts | {"rounds of timing": seeds}
        budget = min(run.config.train.iterations for run in self.runs.students.values())
        teachers = {run.name: run for run in self.runs.teachers.values()}.values()
        seen = {one.run: one.seen for one in scored if one.seen}
        leaks = "; ".join(f"{run}: {count}" for run, count in seen.items())
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
    runs = Runs() if plan.timed else collect(plan, choice, shared)
    check(runs, log)
    folder = run_folder(config, f"reproduce/{target}-{config.name}{choice.variant()}")
    left_out = {labels[arm]: labels[other] for arm, other in equal.items()}
    return Reproduction(plan, choice, config, runs, left_out, folder)
