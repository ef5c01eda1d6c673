"""`-n` of train and distill: the resolved configuration, and an estimate for a GPU."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reddit.utils.errors import UserError
from reddit.utils.progress import print_out

if TYPE_CHECKING:
    from reddit.config import Config


def check_gpu(arguments: argparse.Namespace) -> None:
    """Refuse `--gpu` without `-n`.

    Raises:
        UserError: it stands alone.
    """
    if arguments.gpu is not None and not arguments.dry_run:
        raise UserError(f"--gpu {arguments.gpu}: estimates only, together with -n; device=… chooses a device")


def print_dry_run(
    arguments: argparse.Namespace,
    config: Config,
    stages: Sequence[int] = (),
    teacher_steps: int | None = None,
) -> None:
    """Print the configuration, and below it the estimate as a comment; see `estimate_line`."""
    lines = []
    if arguments.gpu is not None:
        from reddit.training.estimate import estimate_line

        lines.append(f"# {estimate_line(config, arguments.gpu, stages, teacher_steps)}")
    print(config.to_yaml(), end="")
    for line in lines:
        print_out(line)
