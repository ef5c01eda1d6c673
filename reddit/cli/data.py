"""`reddit-llie data`: check a data set, link a downloaded one into place, or cut photographs into views."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from reddit.cli.flags import parser_of
from reddit.utils.progress import print_out


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "data",
        "Check a data set on disk, link an unpacked archive into the expected tree, or prepare photographs.",
        "check --dataset lolv1",
        "link --dataset lolv2_real --from ~/Downloads/LOL-v2",
        "photos --from ~/Pictures --name own",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="check|link|photos", help="what to do")
    checking = verbs.add_parser(
        "check", help="count, pair, decode and compare; exit 1 if the set is unusable"
    )
    checking.add_argument(
        "--alone", action="store_true", help="do not look for the same pictures in the other data sets"
    )
    checking.add_argument("--quiet", action="store_true", help="no progress bars")
    linking = verbs.add_parser(
        "link", help="link an unpacked archive into the expected folders; copies nothing"
    )
    linking.add_argument(
        "--from", dest="source", metavar="FOLDER", required=True, help="the unpacked archive"
    )
    linking.add_argument("-n", "--dry-run", action="store_true", help="print what would be linked and exit")
    for verb in (checking, linking):
        verb.add_argument("--dataset", metavar="NAME", required=True, help="lolv1, lolv2_real, sid, dicm, …")
    photos = verbs.add_parser("photos", help="cut good photographs into views to train on, in photos/NAME")
    photos.add_argument(
        "--from", dest="sources", metavar="FOLDER", nargs="+", required=True, help="folders of photographs"
    )
    photos.add_argument("--name", required=True, help="of the folder under photos/ in the data root")
    photos.add_argument("--quiet", action="store_true", help="no progress bar")
    for verb in (checking, linking, photos):
        verb.add_argument(
            "--data-root", metavar="DIR", help="folder of the data sets; default: $REDDIT_DATA, else data"
        )
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from reddit.data.check import check
    from reddit.data.link import link
    from reddit.data.views import lay_out_photos

    root = Path(arguments.data_root or os.environ.get("REDDIT_DATA") or "data")
    if arguments.verb == "check":
        result = check(arguments.dataset, root, alone=arguments.alone, quiet=arguments.quiet)
        print_out(result.text())
        return 0 if result.usable else 1
    if arguments.verb == "photos":
        sources = [Path(source) for source in arguments.sources]
        lay_out_photos(sources, arguments.name, root, quiet=arguments.quiet)
        return 0
    link(arguments.dataset, Path(arguments.source), root, dry_run=arguments.dry_run)
    return 0
