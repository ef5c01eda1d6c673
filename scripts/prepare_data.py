#!/usr/bin/env python3
"""Check a data set on disk, or link an unpacked archive into the expected tree.

python scripts/prepare_data.py check --dataset lolv1
python scripts/prepare_data.py link --dataset lolv2_real --from ~/Downloads/LOL-v2
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from reddit.cli.common import run
from reddit.data.check import check
from reddit.data.link import link


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    root = Path(arguments.data_root or os.environ.get("REDDIT_DATA") or "data")
    if arguments.verb == "check":
        report = check(arguments.dataset, root, alone=arguments.alone, quiet=arguments.quiet)
        print(report.text())
        return 0 if report.usable else 1
    link(arguments.dataset, Path(arguments.source), root, dry_run=arguments.dry_run)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="check|link")
    checking = verbs.add_parser(
        "check", help="count, pair, decode and compare; exit 1 if the set is unusable"
    )
    checking.add_argument(
        "--alone", action="store_true", help="do not read the other data sets under the root"
    )
    checking.add_argument("--quiet", action="store_true", help="no progress bars")
    linking = verbs.add_parser(
        "link", help="lay an unpacked archive out with symbolic links, copying nothing"
    )
    linking.add_argument(
        "--from", dest="source", metavar="FOLDER", required=True, help="the unpacked archive"
    )
    linking.add_argument("-n", "--dry-run", action="store_true", help="say what would be linked and stop")
    for verb in (checking, linking):
        verb.add_argument("--dataset", metavar="NAME", required=True, help="lolv1, lolv2_real, sid, dicm, …")
        verb.add_argument("--data-root", metavar="DIR", help="where data sets live (REDDIT_DATA, else data)")
    return parser


if __name__ == "__main__":
    run(main)
