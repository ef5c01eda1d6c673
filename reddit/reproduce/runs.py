"""The training runs of a plan: their folders, which are finished, and training the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reddit.checkpoint.format import CHOSEN, NEWEST, STATE, CheckpointInfo, read_info
from reddit.checkpoint.registry import chosen_checkpoint
from reddit.config import Config, load_config
from reddit.methods import distillation_named
from reddit.reproduce.choice import Choice
from reddit.reproduce.plan import Arm, Plan
from reddit.training.chain import chain_steps
from reddit.training.run import distill_stage, train_teacher
from reddit.training.run_folder import changed_settings, known_teacher, run_folder
from reddit.training.state import read_progress
from reddit.utils.errors import UserError
from reddit.utils.progress import Log

OWN_TEACHER = ("model", "diffusion", "teacher")
"""Sections that a student shares with its teacher; an arm that changes one needs its own teacher."""
SAMPLER = "diffusion.sampler"
"""The only setting of these sections that may differ from the teacher's."""
SECOND_INPUT = "model.second_input"
_WITHOUT_EFFECT: tuple[str, ...] = (
    "name",
    "runs",
    "device",
    "data.root",
    "data.memory_gb",
    "data.workers",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep",
)
"""Prefixes of settings that do not change the weights."""


@dataclass(frozen=True)
class Run:
    """One training run, as data.

    Attributes:
        name: the name of its folder in the runs folder.
        settings: all overrides of the configuration file, `key=value`.
        teacher: the run of its teacher; None for a teacher.
        arm, seed: the arm and seed it belongs to; for a shared teacher, the first ones.
    """

    name: str
    steps: int
    config: Config
    settings: tuple[str, ...]
    teacher: Run | None
    arm: Arm
    seed: int

    @property
    def folder(self) -> Path:
        return run_folder(self.config, self.name)

    def iteration(self) -> int:
        """Iterations done and saved."""
        newest = self.folder / "checkpoints" / NEWEST
        return read_info(newest).iteration if newest.is_file() else 0

    def done(self) -> bool:
        """Whether all iterations are done; for a teacher, those that its own run was configured with."""
        chosen = chosen_checkpoint(self.folder)
        if chosen is None:
            return False
        state = self.folder / "checkpoints" / STATE
        if not state.exists():
            return True  # weights without a training state are used as they are
        config = read_info(chosen).config if self.teacher is None else self.config
        if self.iteration() < config.train.iterations:
            return False
        return chosen.name == CHOSEN and not read_progress(state).unchosen

    def chosen(self) -> CheckpointInfo:
        """The weights that validation chose."""
        path = chosen_checkpoint(self.folder)
        if path is None:
            raise UserError(f"{self.folder} has no checkpoint: it has not been trained yet")
        return read_info(path)

    def train(self, quiet: bool, log: Log) -> None:
        """Start or resume it."""
        if self.teacher is None:
            train_teacher(self.config, quiet=quiet, log=log)
        else:
            teacher = self.teacher.chosen()
            distill_stage(self.config, teacher, self.steps, name=self.name, quiet=quiet, log=log)


@dataclass
class Runs:
    """All runs of a plan, in an order in which they can be trained."""

    teachers: dict[tuple[str, int], Run] = field(default_factory=dict)
    """(arm, seed) → its teacher."""
    students: dict[tuple[str, int, int], Run] = field(default_factory=dict)
    """(arm, steps, seed) → the student."""

    def all(self) -> list[Run]:
        unique: dict[str, Run] = {}
        for run in (*self.teachers.values(), *self.students.values()):
            unique.setdefault(run.name, run)
        return list(unique.values())

    def pending(self) -> list[Run]:
        return [run for run in self.all() if not run.done()]

    def of(self, arm: Arm, steps: int, seed: int) -> Run:
        """The run whose weights are scored for a cell."""
        if arm.sampler is not None:
            return self.teachers[arm.key, seed]
        return self.students[arm.key, steps, seed]


def collect(plan: Plan, choice: Choice, shared: Mapping[str, str]) -> Runs:
    """The runs of a plan, seed by seed.

    Args:
        shared: arms that use the runs of another, which they equal.

    Raises:
        UserError: steps that halving does not reach, or that a method does not support.
    """
    runs = Runs()
    for seed in choice.seeds:
        for arm in plan.arms:
            runs.teachers[arm.key, seed] = _teacher(choice, arm, seed)
        for arm, steps in plan.students():
            teacher = runs.teachers[arm.key, seed]
            found = _students(choice, arm, steps, seed, teacher, shared.get(arm.key, arm.key))
            runs.students.update({(arm.key, n, seed): run for n, run in found.items()})
    return runs


def same_as(plan: Plan, choice: Choice) -> dict[str, str]:
    """Arms that equal an earlier one under the configuration (as if `w_per` is 0): arm → the other."""
    seen: dict[str, str] = {}
    equal = {}
    for arm in plan.arms:
        if arm.sampler is None:
            config = load_config(choice.file, choice.of_student(arm), stage=True).to_yaml()
            if config in seen:
                equal[arm.key] = seen[config]
            seen.setdefault(config, arm.key)
    return equal


def check(runs: Runs, log: Log) -> None:
    """Refuse folders of other runs, before anything is trained.

    Raises:
        UserError: a student's folder has other settings or another teacher.
    """
    for run in runs.all():
        without_effect = _WITHOUT_EFFECT
        method = distillation_named(run.config.distill.method)
        if method.sampler is not None:
            without_effect += (SAMPLER,)  # it is the method's, and named in its checkpoints
        if method.second_input != "none":
            without_effect += (SECOND_INPUT,)
        changed = changed_settings(run.folder, run.config, student=run.teacher is not None)
        changed = [key for key in changed if not key.startswith(without_effect)]
        if run.teacher is None:
            changed = [key for key in changed if not key.startswith("distill.")]
            if changed and run.done():
                log(f"{run.folder}: used as it is, trained with other settings: {', '.join(changed)}")
            continue
        if changed:
            raise UserError(
                f"{run.folder} was trained with other settings ({', '.join(changed)}): undo them, "
                "remove the folder, or use another name with --set name=NAME"
            )
        if run.done() and known_teacher(run.folder) not in (None, run.teacher.chosen().digest):
            raise UserError(
                f"{run.folder} holds a student of another teacher than {run.teacher.folder} now has: remove "
                "the folder to distil it again"
            )


def _teacher(choice: Choice, arm: Arm, seed: int) -> Run:
    base = choice.base()
    shared = tuple(f"{section}." for section in OWN_TEACHER)
    own = tuple(s for s in arm.settings if s.startswith(shared) and not s.startswith(SAMPLER))
    if arm.whole_budget:
        stage = (
            choice.iterations or load_config(choice.file, choice.of_student(arm), stage=True).train.iterations
        )
        total = base.train.iterations + stage * len(chain_steps(base.diffusion.teacher_steps, 1))
        own += (f"train.iterations={total}",)
    config = load_config(choice.file, choice.of_teacher(*own))
    name = f"reproduce/{base.name}/teacher{choice.of_fold()}" if choice.folds else base.name
    if any(getattr(config, section) != getattr(base, section) for section in OWN_TEACHER):
        name = f"reproduce/{base.name}/{arm.key}-teacher{choice.of_fold()}"
    if choice.teacher_seeds and seed != base.seed:
        name += f"-seed{seed}"
    else:
        seed = base.seed
    settings = choice.of_teacher(*own, f"name={name}", f"seed={seed}")
    config = load_config(choice.file, settings)
    return Run(name, config.diffusion.teacher_steps, config, settings, None, arm, seed)


def _students(
    choice: Choice, arm: Arm, steps: Sequence[int], seed: int, teacher: Run, key: str
) -> dict[int, Run]:
    """Steps → student: a chain of halvings, or directly from the teacher with the iterations of a chain.

    One student for every number of steps has the iterations of the chain to the fewest.
    """
    fewer = (f"train.iterations={choice.iterations}",) if choice.iterations else ()
    settings = choice.of_student(arm, f"seed={seed}", *fewer)
    config = load_config(choice.file, settings, stage=True)
    chain = chain_steps(teacher.steps, min(steps))
    for n in steps:
        chain_steps(teacher.steps, n)
    method = distillation_named(config.distill.method)
    folder = f"reproduce/{choice.base().name}/{key}{choice.variant()}-seed{seed}"
    if method.halving:
        students: dict[int, Run] = {}
        previous = teacher
        for n in chain:
            students[n] = previous = Run(f"{folder}-{n}", n, config, settings, previous, arm, seed)
        return students

    def direct(n: int) -> Run:
        total = config.train.iterations * (chain.index(n) + 1)
        longer = (*settings, f"train.iterations={total}")
        own = load_config(choice.file, longer, stage=True)
        return Run(f"{folder}-{n}", n, own, longer, teacher, arm, seed)

    if method.every_steps:
        return dict.fromkeys(steps, direct(min(steps)))
    return {n: direct(n) for n in steps}
