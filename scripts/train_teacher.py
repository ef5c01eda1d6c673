#!/usr/bin/env python3
"""Train a teacher: python scripts/train_teacher.py -c configs/lolv1.yaml"""

from __future__ import annotations

import argparse

from reddit.ablations import describe_ablations
from reddit.cli.common import config_flags, overrides, run, run_flags
from reddit.config import load_config
from reddit.training.run import train_teacher
from reddit.utils.errors import UserError


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    config_flags(parser, default="configs/lolv1.yaml")
    run_flags(parser)
    arguments = parser.parse_args(argv)
    if arguments.ablation == "list":
        print(describe_ablations("teacher"))
        return
    named = [f"name={arguments.name}"] if arguments.name else []
    if arguments.ablation and not arguments.name:
        raise UserError(f"--ablation {arguments.ablation} is another family: give it a --name of its own")
    config = load_config(arguments.config, overrides(arguments) + named)
    if arguments.dry_run:
        print(config.to_yaml(), end="")
        return
    train_teacher(config, resume=arguments.resume, quiet=arguments.quiet)


if __name__ == "__main__":
    run(main)
