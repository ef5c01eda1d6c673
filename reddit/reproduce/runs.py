"""The training runs that a plan needs: which there are, which are done, and doing the rest."""

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
"""Sections that a student shares with its teacher: an arm that changes one is taught by its own."""
SAMPLER = "diffusion.sampler"
"""The one setting of these that a student chooses for itself."""
_INDIFFERENT: tuple[str, ...] = (
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
"""Beginnings of the settings that change no weights."""


@dataclass(frozen=True)
class Run:
    """One training run, as data.

    Attributes:
        name: of its folder under the runs folder.
        settings: `key=value`, all that is laid over the file: the plain commands take the same.
        teacher: the run that teaches; None for a teacher.
        arm, seed: whose it is; of a teacher the first that it serves.
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
        """Whether the whole budget is spent; a teacher's is the one of its own run, whatever it was."""
        chosen = chosen_checkpoint(self.folder)
        if chosen is None:
            return False
        state = self.folder / "checkpoints" / STATE
        if not state.exists():
            return True  # weights from elsewhere, to be used as they are
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
        """Start it, or go on where it stopped."""
        if self.teacher is None:
            train_teacher(self.config, quiet=quiet, log=log)
        else:
            teacher = self.teacher.chosen()
            distill_stage(self.config, teacher, self.steps, name=self.name, quiet=quiet, log=log)


@dataclass
class Runs:
    """All runs of a plan, in the order in which they can be done."""

    teachers: dict[tuple[str, int], Run] = field(default_factory=dict)
    """By (arm, seed): who teaches it."""
    students: dict[tuple[str, int, int], Run] = field(default_factory=dict)
    """By (arm, steps, seed)."""

    def all(self) -> list[Run]:
        unique = {run.name: run for run in (*self.teachers.values(), *self.students.values())}
        return list(unique.values())

    def pending(self) -> list[Run]:
        return [run for run in self.all() if not run.done()]

    def of(self, arm: Arm, steps: int, seed: int) -> Run:
        """The run whose weights a cell is scored with."""
        if arm.sampler is not None:
            return self.teachers[arm.key, seed]
        return self.students[arm.key, steps, seed]


def collect(plan: Plan, choice: Choice, shared: Mapping[str, str]) -> Runs:
    """The runs of a plan, seed by seed.

    Args:
        shared: arms that take part with the runs of another, which they equal.

    Raises:
        UserError: a step count that halving does not reach, or that a method cannot teach.
    """
    runs = Runs()
    for seed in choice.seeds:
        for arm in plan.arms:
            runs.teachers[arm.key, seed] = _teacher(choice, arm, seed)
        for arm, steps in plan.students():
            teacher = runs.teachers[arm.key, seed]
            for run in _students(choice, arm, steps, seed, teacher, shared.get(arm.key, arm.key)):
                runs.students[arm.key, run.steps, seed] = run
    return runs


def same_as(plan: Plan, choice: Choice) -> dict[str, str]:
    """Arms that the configuration makes equal to an earlier one, as where `w_per` is 0 anyway."""
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
    """Refuse folders that hold other runs than the ones meant, before anything is trained.

    Raises:
        UserError: a student's folder was made with other settings, or by another teacher.
    """
    for run in runs.all():
        indifferent = _INDIFFERENT
        if distillation_named(run.config.distill.method).sampler is not None:
            indifferent += (SAMPLER,)  # the method's own, which its checkpoints name
        changed = changed_settings(run.folder, run.config, student=run.teacher is not None)
        changed = [key for key in changed if not key.startswith(indifferent)]
        if run.teacher is None:
            changed = [key for key in changed if not key.startswith("distill.")]
            if changed and run.done():
                log(f"{run.folder}: used as it is, trained with other settings: {', '.join(changed)}")
            continue
        if changed:
            raise UserError(
                f"{run.folder} was trained with other settings ({', '.join(changed)}): take them back, "
                "remove the folder, or keep the two apart with --set name=NAME"
            )
        if run.done() and known_teacher(run.folder) not in (None, run.teacher.chosen().digest):
            raise UserError(
                f"{run.folder} holds a student of another teacher than {run.teacher.folder} now has: remove "
                "the folder to distil it anew"
            )


def _teacher(choice: Choice, arm: Arm, seed: int) -> Run:
    base = choice.base()
    shared = tuple(f"{section}." for section in OWN_TEACHER)
    own = tuple(s for s in arm.settings if s.startswith(shared) and not s.startswith(SAMPLER))
    config = load_config(choice.file, choice.of_teacher(*own))
    name = base.name
    if any(getattr(config, section) != getattr(base, section) for section in OWN_TEACHER):
        name = f"reproduce/{base.name}/{arm.key}-teacher"
    if choice.teacher_seeds and seed != base.seed:
        name += f"-seed{seed}"
    else:
        seed = base.seed
    settings = choice.of_teacher(*own, f"name={name}", f"seed={seed}")
    config = load_config(choice.file, settings)
    return Run(name, config.diffusion.teacher_steps, config, settings, None, arm, seed)


def _students(choice: Choice, arm: Arm, steps: Sequence[int], seed: int, teacher: Run, key: str) -> list[Run]:
    """A chain of halvings, or students straight from the teacher, each with the budget of a chain to it."""
    shrunk = (f"train.iterations={choice.iterations}",) if choice.iterations else ()
    settings = choice.of_student(arm, f"seed={seed}", *shrunk)
    config = load_config(choice.file, settings, stage=True)
    chain = chain_steps(teacher.steps, min(steps))
    for n in steps:
        chain_steps(teacher.steps, n)
    method = distillation_named(config.distill.method)
    folder = f"reproduce/{choice.base().name}/{key}{choice.variant()}-seed{seed}"
    found: list[Run] = []
    for n in chain if method.halving else steps:
        taught_by = found[-1] if found and method.halving else teacher
        if not method.halving:
            whole = config.train.iterations * (chain.index(n) + 1)
            laid = (*settings, f"train.iterations={whole}")
            longer = load_config(choice.file, laid, stage=True)
            found.append(Run(f"{folder}-{n}", n, longer, laid, taught_by, arm, seed))
        else:
            found.append(Run(f"{folder}-{n}", n, config, settings, taught_by, arm, seed))
    return found
