"""`reddit-llie app`: a page to enhance photographs with, or the files of a Hugging Face Space."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from reddit import __version__
from reddit.cli.flags import parser_of, weights_flag
from reddit.utils.errors import UserError, install
from reddit.utils.files import check_overwrite, write_bytes
from reddit.utils.generated import is_unedited, stamped
from reddit.utils.names import DEVICES
from reddit.utils.progress import print_out

MARK = "reddit-llie app --space"
"""In every file of a Space, to know it again."""


def parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "app",
        "Serve a page that enhances photographs, to this machine alone. Needs the extra app.\n"
        "--space writes the files of a Hugging Face Space with the same page instead.",
        "",
        "--weights lolv1-4 --port 8080",
        "--space space --package 'git+URL-OF-THE-REPOSITORY'",
    )
    weights_flag(parser, "offered besides the shipped ones")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: other machines may use the page, too")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="auto takes a GPU if there is one")
    parser.add_argument("--space", type=Path, metavar="FOLDER", help="write a Space there; nothing is served")
    parser.add_argument(
        "--package",
        default="reddit-llie",
        metavar="REQUIREMENT",
        help="from where a Space installs this package, as pip takes it; default reddit-llie",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    if arguments.space:
        write_space(arguments.space, arguments.package)
        print_out(f"app.py, README.md and requirements.txt in {arguments.space}; push it to a Space")
        return
    try:
        from reddit.cli import app_page
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "gradio":
            raise
        raise UserError(f"the page needs gradio: {install('app')}") from error
    if arguments.weights:
        from reddit.checkpoint.registry import find_checkpoint

        find_checkpoint(arguments.weights, Path("runs"))  # a wrong name ends here, not in the page
    try:
        app_page.page(arguments.weights, arguments.device).launch(
            server_name=arguments.host,
            server_port=arguments.port,
            theme=app_page.THEME,
            css=app_page.STYLE,
        )
    except OSError as error:
        raise UserError(f"--port {arguments.port} is in use or not allowed: choose another") from error


def write_space(folder: Path, package: str) -> None:
    """Write the files of a Space.

    Raises:
        UserError: the folder holds other files of these names, or edited ones; it cannot be written.
    """
    page = Path(__file__).with_name("app_page.py").read_text(encoding="utf-8")
    header = {
        "title": "Brighten dark photographs",
        "emoji": "🌗",
        "colorFrom": "yellow",
        "colorTo": "gray",
        "sdk": "gradio",
        "app_file": "app.py",
        "license": "apache-2.0",
    }
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items())
    readme = (
        f"---\n{front}\n---\n\n# Brighten dark photographs\n\nLow-light image enhancement by reddit-llie "
        f"{__version__}, in one or a few diffusion steps. Written by `{MARK}`.\n"
    )
    name = package if package.startswith("reddit-llie") else f"reddit-llie @ {package}"
    files = {
        "app.py": f"# Written by {MARK}\n{page}",
        "README.md": readme,
        "requirements.txt": f"# Written by {MARK}\n{name}\ngradio>=6\n",
    }
    for file in files:
        check_overwrite(folder / file, "--space", _is_of_space)
    for file, text in files.items():
        write_bytes(folder / file, stamped(file, text))


def _is_of_space(path: Path) -> bool:
    return MARK in path.read_text(encoding="utf-8") and is_unedited(path)
