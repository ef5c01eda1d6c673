#!/usr/bin/env python3
"""Distil a student of N steps from a model of 2N: python scripts/distill.py --steps 4"""

from __future__ import annotations

import argparse

from reddit.cli import config_flags, overrides, run, run_flags
from reddit.config import Config, load_config, resolve_config
from reddit.distill import chain_steps, distill_chain, find_teacher
from reddit.engine.checkpoint import CheckpointInfo
from reddit.engine.runs import student_name
from reddit.errors import UserError
from reddit.train import distill_stage
from reddit.zoo import find_checkpoint


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps of the student (1 with --chain)"
    )
    parser.add_argument(
        "--teacher", metavar="PATH", help="checkpoint or run of 2N steps; else it is looked for"
    )
    parser.add_argument(
        "--chain", action="store_true", help="walk from the teacher down to N steps, 1 by default"
    )
    config_flags(parser)
    run_flags(parser)
    arguments = parser.parse_args(argv)
    steps = 1 if arguments.chain and arguments.steps is None else arguments.steps
    if steps is None:
        parser.error("--steps N says how many steps the student takes; --chain walks down to one")
    if steps < 1:
        raise UserError(f"--steps {steps}: a student takes at least 1 step")

    settings = overrides(arguments)
    given = load_config(arguments.config, settings, stage=True)
    if arguments.dry_run and arguments.config and not arguments.teacher:
        print(given.to_yaml(), end="")
        return
    teacher_steps = given.diffusion.teacher_steps if arguments.chain else 2 * steps
    teacher = _teacher(arguments, given, teacher_steps)
    config = (
        given
        if arguments.config
        else resolve_config(teacher.config.model_dump(), settings, stage=True, source=str(teacher.path))
    )
    if arguments.dry_run:
        print(config.to_yaml(), end="")
        return
    if arguments.chain:
        distill_chain(
            config,
            teacher,
            chain_steps(teacher.steps, steps),
            name=arguments.name,
            resume=arguments.resume,
            quiet=arguments.quiet,
        )
    else:
        name = arguments.name or student_name(teacher.family, steps)
        distill_stage(config, teacher, steps, name=name, resume=arguments.resume, quiet=arguments.quiet)


def _teacher(arguments: argparse.Namespace, given: Config, steps: int) -> CheckpointInfo:
    if not arguments.teacher:
        return find_teacher(given, steps, family=given.name if arguments.config else None)
    teacher = find_checkpoint(arguments.teacher, runs=given.runs_folder())
    if not arguments.chain and teacher.steps != steps:
        raise UserError(
            f"{teacher.path} is a model of {teacher.steps} steps: it can teach {teacher.steps // 2}, "
            f"not {steps // 2}; choose --steps {max(1, teacher.steps // 2)} or another --teacher"
        )
    return teacher


if __name__ == "__main__":
    run(main)
