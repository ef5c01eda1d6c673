"""What the scripts share: flags, and mistakes that end in one line."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import torch

from reddit.ablations import Stage, ablation_settings
from reddit.checkpoint.format import CheckpointInfo, read_info
from reddit.checkpoint.registry import (
    DEFAULT,
    all_models,
    find_checkpoint,
    find_shipped,
    sampling_steps,
    shipped_models,
)
from reddit.metrics import PROTOCOLS, Scorer, protocol_named
from reddit.training.distributed import leave
from reddit.utils.errors import Stopped, UserError
from reddit.utils.text import counted


def run(main: Callable[[list[str] | None], int | None]) -> NoReturn:
    """Run a script's `main`; what ends it early prints one line.

    It leaves with 2 after a mistake of the user, with 130 after Ctrl-C and with 143 after SIGTERM.
    """
    try:
        code = main(None) or 0
        if sys.stdout is not None:  # somebody closed it
            sys.stdout.flush()
        leave()
    except Stopped as stopped:
        if os.environ.get("RANK", "0") == "0":  # each process of a run stops; one of them says so
            print(stopped, file=sys.stderr)
        code = stopped.code
    except UserError as error:
        print(*(f"error: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        code = 2
    except torch.cuda.OutOfMemoryError:
        print(
            "error: the GPU's memory is full: lower train.batch_size or data.crop, or use device=cpu",
            file=sys.stderr,
        )
        code = 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept: the same command goes on from there", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader, `head` say, has what it wanted
        _silence_output()
        code = 0
    except OSError as error:  # files are written elsewhere, with a message of their own
        if error.errno != errno.ENOSPC:
            raise
        _silence_output()
        print("error: cannot write to the standard output: no space left; free some space", file=sys.stderr)
        code = 2
    sys.exit(code)


def _silence_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def config_flags(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """`-c`, `--set`, and their help."""
    parser.add_argument("-c", "--config", metavar="FILE", default=default, help="YAML configuration")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="settings laid over the configuration, e.g. train.lr=2e-4",
    )


def check_overrides(arguments: argparse.Namespace, *allowed: str, instead: str) -> None:
    """Refuse settings that a command which uses finished models would not heed.

    Args:
        allowed: beginnings of keys.
        instead: what a user who wants such a thing can do.

    Raises:
        UserError: names the first such setting.
    """
    for setting in arguments.set:
        if not setting.startswith(allowed):
            raise UserError(f"--set {setting}: a finished model keeps its settings; {instead}")


def run_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a training run."""
    parser.add_argument(
        "--ablation", metavar="NAME", help="one of reddit/ablations.py; `list` shows them and stops"
    )
    parser.add_argument("--name", metavar="RUN", help="name of the run: its folder is runs/RUN")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the resolved configuration and stop"
    )
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|none|PATH",
        help="auto (default) goes on where the run of this name stopped",
    )
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="overrides precision")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def overrides(arguments: argparse.Namespace, stage: Stage = "teacher") -> list[str]:
    """The `--set` list with the flags that are shorthands for settings; `--ablation` lies under it.

    Raises:
        UserError: there is no such ablation in a run of this stage.
    """
    named = ablation_settings(arguments.ablation, stage) if getattr(arguments, "ablation", None) else []
    extra = [f"precision={arguments.precision}"] if getattr(arguments, "precision", None) else []
    return [*named, *arguments.set, *extra]


def weights_flag(parser: argparse._ActionsContainer, default: str) -> None:
    """`--weights`, and `--checkpoint`, its older name."""
    parser.add_argument("--weights", metavar="NAME_OR_PATH", help=f"shipped weights, run or file; {default}")
    parser.add_argument("--checkpoint", dest="weights", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def choose_model(
    named: str | None,
    steps: int | None,
    runs: Path,
    *,
    dataset: str | None = None,
    shipped_first: bool = False,
) -> tuple[CheckpointInfo, int]:
    """The model a command uses and its sampling steps; says on stderr which one it chose unasked.

    Without a name: the newest of `runs` that was trained for `steps`, those on `dataset` first; or the
    weights that come with the package, which go first, and unsaid, where `shipped_first`.

    Raises:
        UserError: there is none; a step count below 1 or above the noise schedule's.
    """
    if named:
        model = find_checkpoint(named, runs, steps)
        return model, sampling_steps(model, steps)
    if shipped_first and (path := find_shipped(DEFAULT, steps)):
        model = read_info(path)
        return model, sampling_steps(model, steps)
    own = sorted(all_models(runs), key=lambda m: m.config.data.dataset != dataset)  # newest first among each
    candidates = [*own, *shipped_models()]
    fitting = [m for m in candidates if steps in (None, m.steps)] or candidates
    if not fitting:
        raise UserError(
            f"no model in {runs}: train one with scripts/train_teacher.py, or name one with --weights"
        )
    model = fitting[0]
    print(
        f"model: {model.path} ({counted(model.steps, 'step')}, trained on {model.config.data.dataset}); "
        "--weights chooses another",
        file=sys.stderr,
    )
    return model, sampling_steps(model, steps)


METRICS = ("psnr", "ssim", "lpips", "niqe")


def scorer_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that decide how pictures are scored."""
    parser.add_argument(
        "--protocol", default="standard", help=f"one of {', '.join(PROTOCOLS)} (default standard)"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=METRICS,
        help="default: psnr, ssim and lpips with a ground truth, niqe without; PSNR and SSIM come always",
    )
    parser.add_argument(
        "--lpips-weights",
        metavar="FILE",
        help="ImageNet convolutions as .safetensors; else the environment's, else a download",
    )


def scorer_from(arguments: argparse.Namespace, *, gt: bool = True, device: str = "cpu") -> Scorer:
    """The scorer that the flags ask for.

    LPIPS is left out, with a warning, where nobody asked for it by name and its weights cannot be had.

    Raises:
        UserError: an unknown protocol; LPIPS was asked for and its weights cannot be had.
    """
    protocol = protocol_named(arguments.protocol)
    metrics = arguments.metrics or (["psnr", "ssim", "lpips"] if gt else ["niqe"])
    weights = arguments.lpips_weights
    scorer = Scorer(
        protocol,
        with_lpips=gt and "lpips" in metrics,
        with_niqe="niqe" in metrics,
        lpips_weights=weights,
        device=device,
    )
    if scorer.with_lpips:
        try:
            scorer.lpips()
        except UserError as error:
            if arguments.metrics or weights:
                raise
            print(f"warning: LPIPS is left out: {error}", file=sys.stderr)
            scorer.with_lpips = False
    return scorer
