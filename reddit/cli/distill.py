"""`reddit-llie distill`: a student of N steps from a model of 2N, or a whole chain of students."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reddit.ablations import describe_ablations
from reddit.cli.dry_run import check_gpu, print_dry_run
from reddit.cli.flags import config_flags, overrides, parser_of, run_flags
from reddit.utils.errors import UserError
from reddit.utils.memory import keep_freed_memory
from reddit.utils.progress import print_out
from reddit.utils.threads import let_threads_sleep

if TYPE_CHECKING:
    from reddit.checkpoint.format import CheckpointInfo
    from reddit.config import Config


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "distill",
        "Distil a student of N steps from a model of 2N. Other methods on the same teacher:\n"
        "--set distill.method=progressive (also from 2N), consistency or reflow (from the teacher to N);\n"
        "ctm or shortcut make one student for every number of steps, whose weights are chosen at N;\n"
        "regression learns one step by the ground truth alone.",
        "--steps 4",
        "-c lolv1_light --chain",
        "--steps 2 --set distill.method=consistency",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="sampling steps of the student (1 with --chain)"
    )
    parser.add_argument(
        "--teacher",
        metavar="NAME_OR_PATH",
        help="the teacher: a run or a file; default: the newest of 2N steps",
    )
    parser.add_argument(
        "--chain", action="store_true", help="distil every stage from the teacher to N steps, 16→8→4→2→1"
    )
    config_flags(parser)
    run_flags(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    command = parser()
    arguments = command.parse_args(argv)
    let_threads_sleep()
    keep_freed_memory()
    if arguments.ablation == "list":
        print(describe_ablations("student"))
        return
    steps = 1 if arguments.chain and arguments.steps is None else arguments.steps
    if steps is None:
        command.error("--steps N or --chain is required (--chain alone distils down to 1 step)")
    if steps < 1:
        raise UserError(f"--steps {steps}: must be at least 1")
    check_gpu(arguments)
    from reddit.config import load_config, settings_for

    settings = overrides(arguments, "student")
    # Without -c the teacher's configuration names the method, so settings of one method are read later.
    read = settings if arguments.config else settings_for(settings)
    given = load_config(arguments.config, read, stage=True)
    if arguments.dry_run and arguments.config and not arguments.teacher:
        _dry_run(arguments, given, steps)
        return
    from reddit.checkpoint.registry import student_name
    from reddit.methods import distillation_named
    from reddit.training.chain import chain_steps, check_steps, distill_chain
    from reddit.training.run import distill_stage

    teacher = _teacher(arguments, given, steps)
    config = given if arguments.config else _inherited(teacher, given, settings)
    config = _marked(config, teacher)
    method = config.distill.method
    if arguments.chain and not distillation_named(method).halving:
        raise UserError(
            f"--chain halves the steps, and {method} goes from the teacher straight to N steps: "
            "use --steps N without --chain"
        )
    stages = chain_steps(teacher.steps, steps) if arguments.chain else [steps]
    check_steps(config, teacher, stages[0])
    if arguments.dry_run:
        print_dry_run(arguments, config, stages, teacher.steps)
        return
    variant = f"{teacher.family}-{config.ablation}" if config.ablation else None
    if arguments.chain:
        name = arguments.name or variant
        distill_chain(config, teacher, stages, name=name, resume=arguments.resume, quiet=arguments.quiet)
    else:
        name = arguments.name or student_name(variant or teacher.family, steps, method)
        distill_stage(config, teacher, steps, name=name, resume=arguments.resume, quiet=arguments.quiet)


def _dry_run(arguments: argparse.Namespace, config: Config, steps: int) -> None:
    """The dry run of a configuration whose teacher need not exist."""
    if arguments.gpu is None:
        print_dry_run(arguments, config)
        return
    from reddit.methods import distillation_named
    from reddit.training.chain import chain_steps

    halving = distillation_named(config.distill.method).halving
    first = 2 * steps if halving and not arguments.chain else config.diffusion.teacher_steps
    print_dry_run(arguments, config, chain_steps(first, steps) if arguments.chain else [steps], first)


def _marked(config: Config, teacher: CheckpointInfo) -> Config:
    """The configuration with the ablation of its teacher, if the teacher has one.

    Raises:
        UserError: --ablation names another one.
    """
    from reddit.checkpoint.registry import ablation_of

    theirs = ablation_of(teacher)
    if theirs is None or config.ablation in (None, theirs):
        return config.model_copy(update={"ablation": config.ablation or theirs})
    raise UserError(
        f"--ablation {config.ablation}: the teacher {teacher.path} belongs to the ablation {theirs}; choose "
        "a --teacher without an ablation"
    )


def _inherited(teacher: CheckpointInfo, given: Config, settings: list[str]) -> Config:
    """The teacher's settings with the command line's, the runs folder and the device; prints the method's."""
    from reddit.config import DistillConfig, resolve_config

    tree = teacher.config.model_dump() | {"runs": given.runs, "device": given.device}
    config = resolve_config(tree, settings, stage=True, source=str(teacher.path))
    method = config.distill.method
    ours, defaults = (settings.settings(method) for settings in (config.distill, DistillConfig()))
    changed = {key: value for key, value in ours if value != getattr(defaults, key)}
    shown = ", ".join(f"{key}={value}" for key, value in changed.items()) or "the defaults"
    print_out(f"settings of the teacher's run: distill.{method}: {shown} (-n prints all)")
    return config


def _teacher(arguments: argparse.Namespace, given: Config, steps: int) -> CheckpointInfo:
    from reddit.checkpoint.registry import find_checkpoint
    from reddit.methods import distillation_named
    from reddit.training.chain import find_teacher

    if arguments.teacher:
        return find_checkpoint(arguments.teacher, runs=given.runs_folder())
    halving = distillation_named(given.distill.method).halving and not arguments.chain
    wanted = 2 * steps if halving else given.diffusion.teacher_steps
    return find_teacher(given, wanted, family=given.name if arguments.config else None)
