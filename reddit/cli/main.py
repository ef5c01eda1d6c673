"""The command `reddit-llie`: one file per subcommand, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

from reddit import __version__
from reddit.cli.errors import run
from reddit.utils.errors import UserError

COMMANDS = {
    "enhance": "enhance dark photographs, with shipped weights or your own",
    "train": "train a teacher",
    "distill": "distil a student of fewer steps from a teacher",
    "evaluate": "score a model, or pictures of any program, on a test set",
    "report": "score a family of runs and write its report",
    "reproduce": "run a comparison of the paper, with statistics and a verdict",
    "export": "write weights to share, or a network for ONNX Runtime",
    "push": "share a model on the Hugging Face Hub",
    "app": "serve a page that enhances photographs in the browser",
    "data": "check a data set, link a downloaded one, or prepare photographs",
    "doctor": "print versions, device, data sets and weights, for a bug report",
}
"""Name → what it does. The code of `train` is `reddit.cli.train`, and so on."""


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {meaning}" for name, meaning in COMMANDS.items()]
    return "\n".join(
        [
            "usage: reddit-llie COMMAND [options]",
            "",
            "Low-light image enhancement in a few diffusion steps.",
            "",
            *lines,
            "",
            "reddit-llie COMMAND --help explains a command, with examples.",
            "",
            "example: reddit-llie enhance -i night.jpg -o bright.jpg",
        ]
    )


def main(argv: list[str] | None = None) -> int | None:
    """Run the subcommand that the arguments name.

    Raises:
        UserError: an unknown command.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"reddit-llie {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}")
    return importlib.import_module(f"reddit.cli.{name}").main(rest)


def entry_point() -> NoReturn:
    """What the installed command calls: `main`, with errors in one line and an exit code."""
    run(main)


def script(name: str) -> NoReturn:
    """What `scripts/*.py` call: one subcommand with the arguments of the command line."""
    run(lambda _: main([name, *sys.argv[1:]]))
