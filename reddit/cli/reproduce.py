"""`reddit-llie reproduce`: the paper's comparisons and ablations, with statistics and a verdict."""

from __future__ import annotations

import argparse
import sys

from reddit.cli.flags import config_flags, parser_of, scorer_flags
from reddit.utils.errors import UserError
from reddit.utils.progress import print_err, print_out

MIN_FOLDS = 3


def parser() -> argparse.ArgumentParser:
    from reddit.reproduce.targets import TARGETS

    parser = parser_of(
        "reproduce",
        "Run a comparison of the paper: train what is missing, score, and write\n"
        "runs/reproduce/TARGET-NAME/: a page, a plot, and tables in which every number names its run\n"
        "folder and weights. Repeating the command computes only what is missing.",
        "figure6 -c demo",
        "faults -c lolv1_light --seeds 0 1 2",
    )
    targets = "; ".join(f"{name}: {target.help}" for name, target in TARGETS.items())
    parser.add_argument("target", choices=TARGETS, help=targets, metavar="|".join(TARGETS))
    config_flags(parser, default="lolv1")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        help="training seeds, and rounds of timing (default 0 1 2); without --folds, one gives no verdict",
    )
    parser.add_argument(
        "--teacher-seeds",
        action="store_true",
        help="train a teacher for each seed; default: all seeds share one",
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="K",
        help="cross-validation: K times, train on all scenes of the training set but 1/K and test on those",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="iterations of each distillation stage, equal for all arms",
    )
    parser.add_argument("--steps", type=int, nargs="+", metavar="N", help="sampling steps of the students")
    parser.add_argument(
        "--partial",
        action="store_true",
        help="train nothing: judge what is finished (with --folds, from 2 folds), and say what is missing",
    )
    parser.add_argument(
        "--commands", action="store_true", help="print the runs as shell commands, for a job array, and exit"
    )
    scorer_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    for flag, values in (("--seeds", arguments.seeds), ("--steps", arguments.steps or [1])):
        least = 1 if flag == "--steps" else 0
        if min(values) < least:
            raise UserError(f"{flag} {min(values)}: must be at least {least}")
    if arguments.iterations is not None and arguments.iterations < 1:
        raise UserError(f"--iterations {arguments.iterations}: must be at least 1")
    if arguments.folds and arguments.folds < MIN_FOLDS:
        raise UserError(f"--folds {arguments.folds}: must be at least {MIN_FOLDS}")
    if arguments.folds and arguments.target == "table4":
        raise UserError("--folds: table4 measures times, which need no training")

    from reddit.cli.models import scorer_from
    from reddit.reproduce.choice import Choice
    from reddit.reproduce.commands import commands
    from reddit.reproduce.reproduction import prepare
    from reddit.utils.device import choose_device

    choice = Choice(
        arguments.config,
        tuple(arguments.set),
        tuple(dict.fromkeys(arguments.seeds)),
        arguments.iterations,
        arguments.teacher_seeds,
        arguments.folds,
    )
    work = prepare(arguments.target, choice, arguments.steps, log=print_err)
    if arguments.commands:
        again = sys.argv[1:] if argv is None else argv
        lines = commands(
            [part.runs for part in work.parts],
            arguments.config,
            [word for word in again if word != "--commands"],
        )
        print(*lines, sep="\n")
        return
    scorer = scorer_from(arguments, gt=not work.plan.timed, device=str(choose_device(work.config.device)))
    print_out(work.describe())
    if arguments.partial:
        work = work.so_far()
    elif work.pending():
        print(f"estimate: {_duration(work.seconds(arguments.quiet))} on this machine, from a few timed steps")
        work.train(arguments.quiet, print_out)
    scored, beside = (
        score(scorer, arguments.quiet, print_out) for score in (work.score, work.score_test_set)
    )
    for claim, verdict in work.write(scored, scorer.protocol.describe(), beside).items():
        print(f"{verdict}: {claim}")
    print_out(str(work.folder / "index.html"))


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {seconds / 3600:.1f} h"
