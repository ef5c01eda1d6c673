"""Distillation chains: finding the teacher of a student, and the whole chain 16 → 8 → 4 → 2 → 1."""

from __future__ import annotations

from reddit.checkpoint.format import CHOSEN, NEWEST, STATE, CheckpointInfo, read_info
from reddit.checkpoint.registry import all_models, find_model, student_name
from reddit.config import Config
from reddit.methods import distillation_named
from reddit.training.run import Outcome, distill_stage
from reddit.training.run_folder import remember_teacher, run_folder
from reddit.training.state import Progress
from reddit.utils.errors import UserError
from reddit.utils.progress import Log, print_out
from reddit.utils.text import counted


def chain_steps(start: int, end: int) -> list[int]:
    """The stages from a teacher of `start` steps to a student of `end` steps: 16, 1 → 8, 4, 2, 1.

    Raises:
        UserError: halving `start` does not reach `end`.
    """
    stages = []
    steps = start
    while steps % 2 == 0 and steps > end:
        steps //= 2
        stages.append(steps)
    if not stages or stages[-1] != end:
        raise UserError(
            f"halving {start} steps does not reach {end}; choose one of {_listed(_halves(start))}"
        )
    return stages


def _halves(steps: int) -> list[int]:
    found = []
    while steps % 2 == 0:
        steps //= 2
        found.append(steps)
    return found


def _listed(halves: list[int]) -> str:
    return ", ".join(map(str, halves)) or "none: the number is odd"


def find_teacher(
    config: Config, steps: int, family: str | None = None, log: Log = print_out
) -> CheckpointInfo:
    """Find the newest model with these steps, optionally of one family, and log which was found.

    It is a teacher or a student of the same method; methods do not learn from each other's students.

    Raises:
        UserError: there is none; the message lists the existing models and says how to get one.
    """
    runs = config.runs_folder()
    methods = ("teacher", config.distill.method)
    model = find_model(runs, steps, family, methods, config.ablation, log)
    if model is None:
        of_family = f" of the family {family}" if family else ""
        there = ", ".join(
            f"{m.path.parent.parent.name} ({counted(m.steps, 'step')})" for m in all_models(runs)[:6]
        )
        if steps == config.diffusion.teacher_steps:
            remedy = "train it with reddit-llie train -c FILE"
        elif steps not in (halves := _halves(config.diffusion.teacher_steps)):
            whole = config.diffusion.teacher_steps
            remedy = f"halving {whole} steps reaches {_listed(halves)}: choose one of these"
        else:
            remedy = f"distil it with reddit-llie distill --steps {steps}, or all stages with --chain"
        raise UserError(
            f"no {steps}-step model{of_family} in {runs} (found: {there or 'none'}): {remedy}, "
            "or choose one with --teacher"
        )
    log(f"teacher: {model.path} ({model.method}, {counted(model.steps, 'step')}, family {model.family})")
    return model


def check_steps(config: Config, teacher: CheckpointInfo, steps: int) -> None:
    """Check that this teacher can teach a student of these steps with the configured method.

    Raises:
        UserError: it cannot; the message lists the possible steps.
    """
    students = distillation_named(config.distill.method).students(teacher.steps)
    if steps in students:
        return
    method = "" if config.distill.method == "reddit" else f" by {config.distill.method}"
    able = f"it can teach {_some(students)}{method}, not {steps}" if students else "it can teach none"
    choose = f"choose --steps {min(students, key=lambda n: abs(n - steps))} or " if students else "name "
    raise UserError(
        f"{teacher.path} is a model of {counted(teacher.steps, 'step')}: {able}; {choose}another --teacher"
    )


def _some(numbers: list[int]) -> str:
    """`8`, `8, 4, 2 or 1`, `16 to 1`."""
    if len(numbers) > 6:
        return f"{numbers[0]} to {numbers[-1]}"
    return " or ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))


def distill_chain(
    config: Config,
    teacher: CheckpointInfo,
    stages: list[int],
    *,
    name: str | None = None,
    resume: str = "auto",
    quiet: bool = False,
    log: Log = print_out,
) -> list[Outcome]:
    """Distil stage after stage; each student is the teacher of the next. Finished stages are kept.

    `name` replaces the family in the folder names: `runs/NAME-8`, `runs/NAME-4`, …
    """
    outcomes = []
    for steps in stages:
        folder = student_name(name or teacher.family, steps, "reddit" if name else config.distill.method)
        outcome = _finished(config, teacher, folder, log) if resume == "auto" else None
        outcome = outcome or distill_stage(
            config, teacher, steps, name=folder, resume=resume, quiet=quiet, log=log
        )
        teacher = read_info(outcome.checkpoint)
        outcomes.append(outcome)
    return outcomes


def _finished(config: Config, teacher: CheckpointInfo, name: str, log: Log) -> Outcome | None:
    """A finished stage without a training state; None if the stage must be trained or resumed."""
    folder = run_folder(config, name)
    chosen, newest, state = (folder / "checkpoints" / file for file in (CHOSEN, NEWEST, STATE))
    if state.exists() or not (chosen.is_file() and newest.is_file()):
        return None
    done = read_info(newest).iteration
    if done < config.train.iterations:
        return None
    remember_teacher(folder, teacher)
    log(f"{folder}: already finished, at iteration {done}; its weights are kept")
    return Outcome(folder, chosen, Progress(iteration=done))
