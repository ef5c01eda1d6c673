"""`reddit-llie report`: score a family of runs and write its report."""

from __future__ import annotations

import argparse

from reddit.cli.flags import (
    check_overrides,
    config_flags,
    name_override,
    overrides,
    parser_of,
    run_name,
    scorer_flags,
)
from reddit.utils.progress import print_out


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "report",
        "Score a teacher and its students on their test set and write report.html.",
        "-c demo",
        "-c lolv1_light --seeds 0 1 2",
        "-c demo --others light",
    )
    config_flags(parser, default="lolv1")
    parser.add_argument(
        "--name", metavar="FAMILY", type=run_name, help="the family of runs; default: the configuration's"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the sampling noise")
    parser.add_argument(
        "--others",
        metavar="NAME_OR_PATH",
        nargs="+",
        default=[],
        help="models of other families to score beside it: shipped weights, runs or files",
    )
    scorer_flags(parser)
    parser.add_argument(
        "--format", choices=["text", "csv", "md", "latex"], default="text", help="format of the table"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    check_overrides(
        arguments,
        "data.",
        "runs=",
        "device=",
        "name=",
        instead="--seeds and --protocol change how it is scored",
    )
    from reddit.checkpoint.registry import find_checkpoint
    from reddit.cli.models import scorer_from
    from reddit.config import load_config
    from reddit.data import load_pairs
    from reddit.evaluation.evaluate import device_name
    from reddit.evaluation.family import comparison, family_models, score_family
    from reddit.evaluation.family_page import write_report
    from reddit.report.tables import render
    from reddit.utils.device import choose_device

    config = load_config(arguments.config, overrides(arguments) + name_override(arguments.name))
    models = family_models(config, config.name)
    others = [find_checkpoint(named, config.runs_folder()) for named in arguments.others]
    # Network and training settings are those of the teacher's run; data, runs and device are this command's.
    config = models[0].config.model_copy(
        update={"runs": config.runs, "data": config.data, "device": config.device}
    )
    rows = score_family(
        config,
        config.name,
        scorer_from(arguments),
        others=others,
        seeds=arguments.seeds,
        quiet=arguments.quiet,
    )
    print_out(render([row.cells() for row in rows], arguments.format).rstrip("\n"))
    for line in comparison(rows):
        print_out(line)
    test = load_pairs(config.data, config.data_root(), "test")
    folders = [model.path.parent.parent for model in models]
    print_out(str(write_report(config, rows, folders, test, device_name(choose_device(config.device)))))
