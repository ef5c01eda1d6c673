#!/usr/bin/env python3
"""Distil a student of N steps from a model of 2N: python scripts/distill.py --steps 4

Rivals of ReDDiT on the same teacher: --set distill.method=progressive (also from 2N), consistency or reflow
(straight from the teacher to N).
"""

from __future__ import annotations

import argparse

from reddit.ablations import describe_ablations
from reddit.checkpoint.format import CheckpointInfo
from reddit.checkpoint.registry import find_checkpoint, student_name
from reddit.cli.common import config_flags, overrides, run, run_flags
from reddit.config import Config, load_config, resolve_config
from reddit.methods import distillation_named
from reddit.training.chain import chain_steps, check_steps, distill_chain, find_teacher
from reddit.training.run import distill_stage
from reddit.utils.errors import UserError


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps of the student (1 with --chain)"
    )
    parser.add_argument(
        "--teacher", metavar="PATH", help="checkpoint or run that teaches; else it is looked for"
    )
    parser.add_argument(
        "--chain", action="store_true", help="walk from the teacher down to N steps, 1 by default"
    )
    config_flags(parser)
    run_flags(parser)
    arguments = parser.parse_args(argv)
    if arguments.ablation == "list":
        print(describe_ablations("student"))
        return
    steps = 1 if arguments.chain and arguments.steps is None else arguments.steps
    if steps is None:
        parser.error("--steps N says how many steps the student takes; --chain walks down to one")
    if steps < 1:
        raise UserError(f"--steps {steps}: a student takes at least 1 step")

    settings = overrides(arguments, "student")
    given = load_config(arguments.config, settings, stage=True)
    if arguments.dry_run and arguments.config and not arguments.teacher:
        print(given.to_yaml(), end="")
        return
    teacher = _teacher(arguments, given, steps)
    config = (
        given
        if arguments.config
        else resolve_config(teacher.config.model_dump(), settings, stage=True, source=str(teacher.path))
    )
    method = config.distill.method
    if arguments.chain and not distillation_named(method).halving:
        raise UserError(
            f"--chain walks down by halves, and {method} goes from the teacher straight to N steps: "
            "say --steps N without --chain"
        )
    stages = chain_steps(teacher.steps, steps) if arguments.chain else [steps]
    check_steps(config, teacher, stages[0])
    if arguments.dry_run:
        print(config.to_yaml(), end="")
        return
    variant = f"{teacher.family}-{arguments.ablation}" if arguments.ablation else None
    if arguments.chain:
        name = arguments.name or variant
        distill_chain(config, teacher, stages, name=name, resume=arguments.resume, quiet=arguments.quiet)
    else:
        name = arguments.name or student_name(variant or teacher.family, steps, method)
        distill_stage(config, teacher, steps, name=name, resume=arguments.resume, quiet=arguments.quiet)


def _teacher(arguments: argparse.Namespace, given: Config, steps: int) -> CheckpointInfo:
    if arguments.teacher:
        return find_checkpoint(arguments.teacher, runs=given.runs_folder())
    halving = distillation_named(given.distill.method).halving and not arguments.chain
    wanted = 2 * steps if halving else given.diffusion.teacher_steps
    return find_teacher(given, wanted, family=given.name if arguments.config else None)


if __name__ == "__main__":
    run(main)
