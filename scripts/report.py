#!/usr/bin/env python3
"""Score a family of runs and write its report: python scripts/report.py -c configs/demo.yaml"""

from __future__ import annotations

import argparse

from reddit.cli.common import check_overrides, config_flags, overrides, run, scorer_flags, scorer_from
from reddit.config import load_config
from reddit.data import load_pairs
from reddit.evaluation.evaluate import device_name
from reddit.evaluation.family import family_models, score_family
from reddit.evaluation.report import write_report
from reddit.report.tables import render
from reddit.utils.device import choose_device


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    config_flags(parser, default="configs/lolv1.yaml")
    parser.add_argument(
        "--name", metavar="FAMILY", help="the family of runs; the configuration's name by default"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the sampling noise")
    scorer_flags(parser)
    parser.add_argument("--format", choices=["text", "csv", "md", "latex"], default="text")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    arguments = parser.parse_args(argv)
    check_overrides(
        arguments,
        "data.",
        "runs=",
        "device=",
        "name=",
        instead="--seeds and --protocol change how it is scored",
    )
    named = [f"name={arguments.name}"] if arguments.name else []
    config = load_config(arguments.config, overrides(arguments) + named)
    models = family_models(config, config.name)
    # The teacher's own configuration decides data and network; the file says which family and where.
    config = models[0].config.model_copy(
        update={"runs": config.runs, "data": config.data, "device": config.device}
    )
    rows = score_family(
        config, config.name, scorer_from(arguments), seeds=arguments.seeds, quiet=arguments.quiet
    )
    print(render([row.cells() for row in rows], arguments.format), end="")
    test = load_pairs(config.data, config.data_root(), "test")
    folders = [model.path.parent.parent for model in models]
    print(write_report(config, rows, folders, test, device_name(choose_device(config.device))))


if __name__ == "__main__":
    run(main)
