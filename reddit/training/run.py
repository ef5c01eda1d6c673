"""Training a teacher and distilling a student, from a configuration to a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import STATE, CheckpointInfo, load_weights, save_weights
from reddit.config import Config, SamplerName
from reddit.data import (
    Batch,
    PictureCache,
    TrainingCrops,
    fingerprint,
    load_pairs,
    readable,
    split_validation,
    training_loader,
)
from reddit.data.crops import Denoise
from reddit.data.denoised import make_denoiser
from reddit.diffusion import Denoiser
from reddit.methods import Method, Teacher, distillation_named
from reddit.metrics.perceptual import LPIPS
from reddit.training.distributed import join
from reddit.training.logging import read_log
from reddit.training.loop import fit
from reddit.training.run_folder import changed_settings, open_run, run_folder
from reddit.training.state import Progress
from reddit.training.stopping import only_process
from reddit.training.validation import validator
from reddit.utils.device import autocast, choose_device
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.progress import Log
from reddit.utils.text import counted


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves."""

    folder: Path
    checkpoint: Path
    progress: Progress


def train_teacher(config: Config, *, resume: str = "auto", quiet: bool = False, log: Log = print) -> Outcome:
    """Train the teacher of a family in `runs/NAME`."""
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    denoiser = build_denoiser(config).to(device)
    method = Teacher(denoiser, config.diffusion.teacher_steps, config.teacher.loss, config.teacher.p_terminal)
    return _run(config, config.name, config.name, method, None, resume, quiet, log)


def distill_stage(
    config: Config,
    teacher: CheckpointInfo,
    steps: int,
    *,
    name: str,
    resume: str = "auto",
    quiet: bool = False,
    log: Log = print,
) -> Outcome:
    """Distil a teacher into a student of N steps by the configured method, in `runs/name`.

    The student's checkpoint says how it is sampled, where its method has a sampler of its own.

    Raises:
        UserError: there is no such method; the configured network or schedule is not the teacher's.
    """
    kind = distillation_named(config.distill.method)
    if kind.sampler is not None:
        config = _sampled_by(config, kind.sampler)
    theirs = _as_students_may(teacher.config, config)
    for section in ("model", "diffusion"):
        if getattr(config, section) != getattr(theirs, section):
            raise UserError(
                f"{section}: the configuration differs from the one of the teacher {teacher.path}; "
                f"a student starts as a copy: use the teacher's, or train a teacher with this one"
            )
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    frozen_teacher, student = (build_denoiser(c).to(device) for c in (teacher.config, config))
    load_weights(frozen_teacher, teacher.path)
    student.load_state_dict(frozen_teacher.state_dict())
    perceptual = None
    if kind.needs_perceptual(config.distill):
        perceptual = LPIPS(config.distill.perceptual_backbone, config.distill.perceptual_weights).to(device)
    method = kind(
        student, frozen_teacher, steps, config.distill, config.diffusion.clip, perceptual, teacher.steps
    )
    denoise = None
    if kind.needs_denoised(config.distill):
        cache = config.runs_folder() / "cache" / "denoised"
        denoise = make_denoiser(config.distill.denoiser, config.distill.nlm_strength, cache)
    return _run(config, name, teacher.family, method, denoise, resume, quiet, log, teacher)


def _sampled_by(config: Config, sampler: SamplerName) -> Config:
    diffusion = config.diffusion.model_copy(update={"sampler": sampler})
    return config.model_copy(update={"diffusion": diffusion})


def _as_students_may(teacher: Config, student: Config) -> Config:
    """The teacher's configuration with what a student may choose for itself."""
    own = {key: getattr(student.diffusion, key) for key in ("sampler", "mask_x_T")}
    return teacher.model_copy(update={"diffusion": teacher.diffusion.model_copy(update=own)})


def _remember_teacher(folder: Path, teacher: CheckpointInfo) -> None:
    """Write which teacher a student has; a student of another one is not resumed."""
    record = folder / "teacher.json"
    known = json.loads(record.read_text()) if record.exists() else None
    if known and known["digest"] != teacher.digest and (folder / "checkpoints").exists():
        raise UserError(
            f"{folder} holds a student of another teacher ({known['path']}, {known['digest']}; now "
            f"{teacher.digest}): choose another --name, or remove the folder to distil it anew"
        )
    text = json.dumps({"path": str(teacher.path), "digest": teacher.digest, "steps": teacher.steps})
    write_bytes(record, text.encode())


def _run(
    config: Config,
    name: str,
    family: str,
    method: Method,
    denoise: Denoise | None,
    resume: str,
    quiet: bool,
    log: Log,
    teacher: CheckpointInfo | None = None,
) -> Outcome:
    world = join()
    seed = config.seed if teacher is None else _stage_seed(config.seed, method.steps)
    quiet = quiet or not world.main
    if not world.main:
        log = _silent
    folder = run_folder(config, name)
    autocast(choose_device(config.device), config.precision)  # what the device lacks is refused here
    found = load_pairs(config.data, config.data_root(), "train")
    with only_process(folder) if world.main else nullcontext():
        cache = PictureCache(config.data.memory_gb * 1e9)
        pairs = readable(found, config.data.on_corrupt, cache, log, quiet)
        train_pairs, validation_pairs = split_validation(
            pairs, config.data.validation, config.data.split_seed, quiet, cache
        )
        if config.train.select_on_test:
            validation_pairs = load_pairs(config.data, config.data_root(), "test")
            log(
                "WARNING: train.select_on_test: the weights are chosen by GT-mean PSNR on the TEST set "
                "(fault D6); never report their scores there beside others'"
            )
        crops = TrainingCrops(train_pairs, config.data, seed, denoise, cache)
        # Each process denoises its share, which the others then find in the cache on disk.
        crops.prepare(world.share(range(len(crops))), quiet)
        state = world.from_main(_open(folder, config, resume, teacher, log) if world.main else None)
        crops.prepare(quiet=quiet)
        cache.close()
        log(
            f"{folder}: {method.name}, {counted(method.steps, 'step')}, {len(train_pairs)} training and "
            f"{len(validation_pairs)} validation pairs, "
            + (f"{world.size} processes, " if world.size > 1 else "")
            + (f"resuming from {state}" if state else "from the start")
        )
        # Validation chooses the weights, and a student starts from its teacher's: a test picture among the
        # pictures of either is as much of a leak.
        held_out = frozenset(
            fingerprint(cache.read(p)) for pair in validation_pairs for p in (pair.low, pair.high)
        )
        seen = crops.fingerprints(quiet) | held_out
        if teacher is not None:
            seen |= teacher.training_pictures

        def save(path: Path, denoiser: Denoiser, iteration: int, scores: dict[str, float]) -> None:
            save_weights(
                path,
                denoiser,
                config,
                steps=method.steps,
                family=family,
                method=method.name,
                iteration=iteration,
                training_pictures=seen,
                validation_pictures=held_out,
                validation=scores,
            )

        def loader(done: int, batch_indices: range, grad_accum_steps: int) -> Iterable[Batch | UserError]:
            return training_loader(
                crops,
                config.train.batch_size,
                seed,
                done,
                batch_indices=batch_indices,
                grad_accum_steps=grad_accum_steps,
                pin_memory=choose_device(config.device).type == "cuda",
            )

        progress = fit(
            method,
            loader,
            config.train,
            folder,
            seed=seed,
            precision=config.precision,
            save_weights=save,
            validate=validator(config, method.steps, validation_pairs, world, quiet)
            if validation_pairs
            else None,
            resume=state,
            world=world,
            quiet=quiet,
        )
    checkpoint = folder / "checkpoints" / "best.safetensors"
    log(_summary(folder, progress, config.train.batch_size))
    return Outcome(folder, checkpoint, progress)


def _stage_seed(seed: int, steps: int) -> int:
    """Each stage of a chain sees crops and noise of its own."""
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


def _open(folder: Path, config: Config, resume: str, teacher: CheckpointInfo | None, log: Log) -> Path | None:
    """Make or reopen the run folder; the state to resume from, if any."""
    changed = changed_settings(folder, config)
    other = [key for key in changed if key.startswith("model.")]
    if other and resume == "auto" and (folder / "checkpoints" / STATE).exists():
        raise UserError(
            f"{folder} holds a run of another network ({', '.join(other)} changed; its settings are in its "
            "config.yaml): take that back, or choose another --name"
        )
    if teacher is not None:
        _remember_teacher(folder, teacher)
    state = open_run(folder, config, resume)
    if state is not None and changed:
        log(f"{folder}: continuing with other settings than before: {', '.join(changed)}")
    return state


def _summary(folder: Path, progress: Progress, batch_size: int) -> str:
    """What a finished run did, in a line or two."""
    trained = [line for line in read_log(folder) if line["kind"] == "train"]
    lines = [f"{folder}: {progress.iteration} iterations in {progress.seconds:.0f} s of training"]
    if trained and progress.seconds:
        waits = [float(line["data_wait"]) for line in trained if "data_wait" in line]
        lines[0] += (
            f" ({batch_size * progress.iteration / progress.seconds:.1f} samples/s, "
            f"{100 * sum(waits) / max(1, len(waits)):.1f} % waiting for data, "
            f"peak memory {float(trained[-1].get('memory_gb', 0)):.1f} GB)"
        )
    if progress.scores:
        lines.append(f"best validation PSNR {progress.best:.2f} dB, at iteration {progress.best_iteration}")
    return "; ".join(lines) + f": {folder / 'checkpoints' / 'best.safetensors'}"


def _silent(line: str) -> None:
    pass
