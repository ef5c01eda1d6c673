"""`reddit-llie train`: train a teacher."""

from __future__ import annotations

import argparse

from reddit.ablations import describe_ablations
from reddit.cli.dry_run import check_gpu, print_dry_run
from reddit.cli.flags import config_flags, name_override, overrides, parser_of, run_flags
from reddit.utils.errors import UserError
from reddit.utils.memory import keep_freed_memory
from reddit.utils.threads import let_threads_sleep


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "train",
        "Train a teacher. Repeat the command to resume.",
        "-c lolv1",
        "-c lolv1_light --set data.root=/data train.batch_size=16",
        "-c lolv1 -n --gpu h100",
    )
    config_flags(parser, default="lolv1")
    run_flags(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    let_threads_sleep()
    keep_freed_memory()
    if arguments.ablation == "list":
        print(describe_ablations("teacher"))
        return
    if arguments.ablation and not arguments.name:
        raise UserError(f"--ablation {arguments.ablation} starts a family of its own: add --name NAME")
    check_gpu(arguments)
    from reddit.config import load_config

    config = load_config(arguments.config, overrides(arguments) + name_override(arguments.name))
    if arguments.dry_run:
        print_dry_run(arguments, config)
        return
    from reddit.training.run import train_teacher

    train_teacher(config, resume=arguments.resume, quiet=arguments.quiet)
