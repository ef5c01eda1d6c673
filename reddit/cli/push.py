"""`reddit-llie push`: share a model on the Hugging Face Hub, or write the files of it to a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from reddit.cli.flags import parser_of, weights_flag
from reddit.utils.errors import UserError
from reddit.utils.progress import print_out


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "push",
        "Share a model: its weights, a model card and its configuration.\n"
        "enhance --weights hf://USER/MODEL then uses it.",
        "--weights lolv1-4 --repo USER/MODEL --private",
        "--weights lolv1-4 -o shared/lolv1-4",
    )
    weights_flag(parser, "required")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--repo", metavar="USER/MODEL", help="repository on the Hugging Face Hub, made if needed")
    to.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="folder instead; nothing is uploaded")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--license", metavar="ID", help="licence in the card, e.g. apache-2.0; default: none")
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    if not arguments.weights:
        raise UserError("push: name the model with --weights")
    from reddit.checkpoint.registry import find_checkpoint, name_of
    from reddit.checkpoint.sharing import push, write_shared

    model = find_checkpoint(arguments.weights, Path("runs"))
    if arguments.output:
        write_shared(model, arguments.output, arguments.license)
        print_out(f"{name_of(model)} in {arguments.output}; read the card {arguments.output / 'README.md'}")
        return
    address = push(model, arguments.repo, private=arguments.private, licence=arguments.license)
    print_out(f"{name_of(model)} in {address}")
