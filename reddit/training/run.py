"""Training a teacher and distilling a student, from a configuration to a run folder."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import CheckpointInfo, load_weights, save_weights
from reddit.checkpoint.registry import find_checkpoint
from reddit.config import Config
from reddit.data import training_loader
from reddit.data.crops import Denoise
from reddit.methods import Method
from reddit.training.build import (
    build_denoise,
    build_distillation,
    build_teacher,
    start_as,
    student_config,
)
from reddit.training.data import TrainingData, TrainingSet
from reddit.training.data_record import check_validation, known_pictures, trained_on, write_record
from reddit.training.distributed import World, join
from reddit.training.heartbeat import heartbeat
from reddit.training.loop import Trainer
from reddit.training.run_folder import (
    changed_settings,
    check_kind,
    is_finished,
    is_inside,
    open_run,
    remember_teacher,
    run_folder,
    state_to_resume,
)
from reddit.training.state import Progress
from reddit.training.stopping import only_process
from reddit.training.summary import summary
from reddit.training.validation import Validator
from reddit.utils.device import autocast, choose_device, precision_on
from reddit.utils.errors import UserError
from reddit.utils.progress import Log, print_out
from reddit.utils.text import counted


@dataclass(frozen=True)
class Outcome:
    """The result of a finished run."""

    folder: Path
    checkpoint: Path
    progress: Progress


def train_teacher(
    config: Config, *, resume: str = "auto", quiet: bool = False, log: Log = print_out
) -> Outcome:
    """Train the teacher of a family in `runs/NAME`.

    Raises:
        UserError: the weights to start from are missing, or of another network; a second input.
    """
    if config.model.second_input != "none":
        raise UserError(
            f"model.second_input: {config.model.second_input!r}, but a teacher takes none; leave it out"
        )
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    denoiser, origin = build_denoiser(config).to(device), None
    if config.teacher.init is not None:
        origin = find_checkpoint(config.teacher.init, config.runs_folder())
        if origin.config.model != config.model:
            raise UserError(f"teacher.init: {origin.path} holds another network than `model` describes")
        load_weights(denoiser, origin.path)
    method = build_teacher(config, denoiser)
    run = _Run(config, config.name, config.name, method, config.seed, origin=origin)
    return run.train(resume, quiet, log)


def distill_stage(
    config: Config,
    teacher: CheckpointInfo,
    steps: int,
    *,
    name: str,
    resume: str = "auto",
    quiet: bool = False,
    log: Log = print_out,
) -> Outcome:
    """Distil a teacher into a student of N steps by the configured method, in `runs/name`.

    If the method has its own sampler or a second input, this is stored in the student's checkpoint.

    Raises:
        UserError: unknown method; the configured network or schedule differs from the teacher's.
    """
    config = student_config(config)
    _check_same_network(config, teacher)
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    frozen_teacher, student = (build_denoiser(c).to(device) for c in (teacher.config, config))
    load_weights(frozen_teacher, teacher.path)
    start_as(student, frozen_teacher)
    method = build_distillation(
        config, student, frozen_teacher, steps=steps, teacher_steps=teacher.steps, device=device
    )
    seed = _stage_seed(config.seed, steps)
    run = _Run(config, name, teacher.family, method, seed, teacher, build_denoise(config), origin=teacher)
    return run.train(resume, quiet, log)


def _check_same_network(config: Config, teacher: CheckpointInfo) -> None:
    """Check that network and schedule equal the teacher's, except for settings that a student may change."""
    own = {key: getattr(config.diffusion, key) for key in ("sampler", "mask_x_T")}
    second = teacher.config.model.second_input  # a student may have one that its teacher lacks
    second = config.model.second_input if second == "none" else second
    theirs = {
        "model": teacher.config.model.model_copy(update={"second_input": second}),
        "diffusion": teacher.config.diffusion.model_copy(update=own),
    }
    for section, settings in theirs.items():
        if getattr(config, section) != settings:
            raise UserError(
                f"{section}: the configuration differs from that of the teacher {teacher.path}; a student "
                "starts as a copy: use the teacher's settings, or train a teacher with these"
            )


def _stage_seed(seed: int, steps: int) -> int:
    """The seed of a stage, so that each stage of a chain draws its own crops and noise."""
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


@dataclass(frozen=True)
class _Run:
    """A training run: data, folder, and the loop.

    Attributes:
        name: name of its folder in the folder of runs.
        family: the name of its teacher's run, or its own.
        seed: seed of crops and noise.
        teacher: the teacher of a student.
        denoise: D of equation 7, if the method needs it.
        origin: the weights that training starts from, if they are not random.
    """

    config: Config
    name: str
    family: str
    method: Method
    seed: int
    teacher: CheckpointInfo | None = None
    denoise: Denoise | None = None
    origin: CheckpointInfo | None = None

    @property
    def folder(self) -> Path:
        return run_folder(self.config, self.name)

    def train(self, resume: str, quiet: bool, log: Log) -> Outcome:
        """Read the data, open the folder, train to the end, and log a summary."""
        world = join()
        quiet = quiet or not world.main
        log = log if world.main else _silent
        device = choose_device(self.config.device)
        autocast(device, self.config.precision)  # raises if the device lacks it
        check_kind(self.folder, self.method.name, self.method.steps, student=self.teacher is not None)
        state_to_resume(self.folder, resume)  # both raise before the data are read
        with ExitStack() as stack:
            stack.enter_context(heartbeat(world, self.config.train.lost_after))
            pictures = TrainingSet(self.config)
            stack.enter_context(only_process(self.folder) if world.main else nullcontext())
            state = state_to_resume(self.folder, resume) if world.main else None
            before, other = world.from_main(known_pictures(self.folder, state))
            data = pictures.prepare(self.seed, self.denoise, world, log, quiet, before)
            check_validation(before, data.record, self.folder)
            if self.origin and (warning := trained_on(self.origin, data.validation_pictures)):
                log(warning)
            data = replace(data, record=data.record.with_training(other))
            state = world.from_main(self._open(resume, data, log) if world.main else None)
            log(self._begin(data, world, state))
            progress = self._trainer(data, world, quiet, log).train(state)
        log(summary(self.folder, progress, self.config.train.batch_size))
        return Outcome(self.folder, self.folder / "checkpoints" / "best.safetensors", progress)

    def _open(self, resume: str, data: TrainingData, log: Log) -> Path | None:
        """Create or reopen the run folder; returns the state to resume from, if any."""
        folder = self.folder
        changed = changed_settings(folder, self.config, student=self.teacher is not None)
        other = [key for key in changed if key.startswith("model.")]
        state = state_to_resume(folder, resume)
        if other and state is not None and is_inside(state, folder):
            raise UserError(
                f"{folder} holds a run of another network ({', '.join(other)} changed; its settings are in "
                "its config.yaml): undo the change, or choose another --name"
            )
        if self.teacher is not None:
            remember_teacher(folder, self.teacher)
        state = open_run(folder, self.config, resume)
        if changed and is_finished(folder, self.config):
            log(f"{folder}: finished; changed settings have no effect: {', '.join(changed)}")
        elif state is not None and changed:
            log(f"{folder}: resuming with changed settings: {', '.join(changed)}")
        if data.change:
            log(f"{folder}: {data.change}")
        write_record(folder, data.record)
        return state

    def _begin(self, data: TrainingData, world: World, state: Path | None) -> str:
        """One line about the run that starts."""
        method = self.method
        precision = precision_on(choose_device(self.config.device), self.config.precision)
        return (
            f"{self.folder}: {method.name}, {counted(method.steps, 'step')}, {precision}, "
            f"{len(data.crops)} training and {len(data.validation)} validation pairs, "
            + (f"{world.size} processes, " if world.size > 1 else "")
            + (f"resuming from {state}" if state else "from the start")
        )

    def _trainer(self, data: TrainingData, world: World, quiet: bool, log: Log) -> Trainer:
        config, method = self.config, self.method
        pin_memory = choose_device(config.device).type == "cuda"
        batch_size = config.train.batch_size
        return Trainer(
            method,
            partial(training_loader, data.crops, batch_size, self.seed, pin_memory=pin_memory),
            config.train,
            self.folder,
            seed=self.seed,
            precision=config.precision,
            write_weights=partial(
                save_weights,
                config=config,
                steps=method.steps,
                family=self.family,
                method=method.name,
                # The pictures that the first weights were trained on count as seen.
                training_pictures=data.record.training
                | (self.origin.training_pictures if self.origin else set()),
                validation_pictures=data.validation_pictures,
            ),
            validate=Validator(config, method.steps, data.validation, world, quiet)
            if data.validation
            else None,
            world=world,
            quiet=quiet,
            log=log,
        )


def _silent(line: str) -> None:
    pass
