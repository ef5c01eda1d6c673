"""Flags that several commands share."""

from __future__ import annotations

import argparse
import json

from reddit.ablations import Stage, ablation_settings
from reddit.utils.errors import UserError
from reddit.utils.files import is_file
from reddit.utils.names import PRECISIONS, check_name, shipped_config, shipped_configs
from reddit.utils.text import short

METRICS = ("psnr", "ssim", "lpips", "niqe", "niqe-grey")


def parser_of(name: str, description: str, *examples: str) -> argparse.ArgumentParser:
    """A parser whose help ends in examples.

    Args:
        name: of the subcommand.
        examples: what follows `reddit-llie NAME`.
    """
    shown = "\n".join(f"  reddit-llie {name} {example}".rstrip() for example in examples)
    return argparse.ArgumentParser(
        prog=f"reddit-llie {name}",
        description=description,
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def config_flags(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """`-c` and `--set`."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="NAME_OR_FILE",
        type=find_config,
        default=default and find_config(default),
        help="configuration: a shipped one by name (lolv1, lolv1_light, photos, demo, …) or a YAML file"
        + (f"; default {default}" if default else ""),
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="change settings of the configuration, e.g. train.lr=2e-4 (docs/configuration.md lists all)",
    )


def find_config(named: str) -> str:
    """The file of a configuration: a path, or the name of a shipped one such as `lolv1`.

    Raises:
        UserError: there is neither such a file nor such a name.
    """
    if is_file(named):
        return named
    if known := shipped_config(named):
        return str(known)
    raise UserError(
        f"-c {short(named)}: no such file; shipped configurations: {', '.join(shipped_configs())}"
    )


def check_overrides(arguments: argparse.Namespace, *allowed: str, instead: str) -> None:
    """Refuse settings that have no effect on a trained model.

    Args:
        allowed: prefixes of the keys that have an effect.
        instead: the remedy, the end of the message.

    Raises:
        UserError: names the first setting without effect.
    """
    for setting in arguments.set:
        if not setting.startswith(allowed):
            raise UserError(f"--set {setting}: a trained model keeps its settings; {instead}")


def run_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a training run."""
    parser.add_argument(
        "--ablation",
        metavar="NAME",
        help="switch one part off, or one fault of the published code on; `list` prints them",
    )
    parser.add_argument(
        "--name", metavar="RUN", type=run_name, help="name of the run: its folder is runs/RUN"
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the resolved configuration and exit"
    )
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        help="with -n: estimate time and memory on a100, h100, h200, l40s, rtx3090 or rtx4090",
    )
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|none|PATH",
        help="auto (default): continue the run of this name; none: do not; PATH: continue from a saved state",
    )
    parser.add_argument(
        "--precision", choices=("auto", *PRECISIONS), help="precision of the network; default auto"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_name(name: str) -> str:
    """Check the name of a run.

    Raises:
        UserError: it is not valid; see `check_name`.
    """
    try:
        return check_name(name)
    except ValueError as error:
        raise UserError(f"--name {short(name)}: {error}") from error


def name_override(name: str | None) -> list[str]:
    """`--name` as a `--set` override; quoted, since `1` or `yes` would not be text in YAML."""
    return [] if name is None else [f"name={json.dumps(name, ensure_ascii=False)}"]


def overrides(arguments: argparse.Namespace, stage: Stage = "teacher") -> list[str]:
    """The settings of `--ablation`, `--set` and `--precision`, in this order; later ones win.

    Raises:
        UserError: an ablation that is unknown or of the other stage.
    """
    ablation = ablation_settings(arguments.ablation, stage) if getattr(arguments, "ablation", None) else []
    extra = [f"precision={arguments.precision}"] if getattr(arguments, "precision", None) else []
    return [*ablation, *arguments.set, *extra]


def shard_of(text: str) -> tuple[int, int]:
    """`--shard 2/8` → (2, 8).

    Raises:
        UserError: it is written otherwise, or there is no such part.
    """
    number, slash, count = text.partition("/")
    parts = [number, count] if slash else []
    if not parts or not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise UserError(f"--shard {short(text)}: write I/N, e.g. 1/8 for the first of eight parts")
    first, of = map(int, parts)
    if not 1 <= first <= of:
        raise UserError(f"--shard {short(text)}: I must be between 1 and N")
    return first, of


def weights_flag(parser: argparse._ActionsContainer, default: str) -> None:
    """`--weights`, and `--checkpoint`, its older name."""
    parser.add_argument(
        "--weights",
        metavar="NAME_OR_PATH",
        help=f"shipped weights, a run, a file, or hf://USER/MODEL; {default}",
    )
    parser.add_argument("--checkpoint", dest="weights", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def scorer_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that decide how pictures are scored."""
    parser.add_argument(
        "--protocol",
        default="standard",
        metavar="standard|paper",
        help="definitions of the metrics: the field's (default) or those of the paper's code",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=METRICS,
        help="default: psnr, ssim and lpips with a ground truth, else niqe and niqe-grey; psnr and ssim are "
        "always included",
    )
    parser.add_argument(
        "--lpips-weights",
        metavar="FILE",
        help="ImageNet convolutions for LPIPS as .safetensors; default: REDDIT_ALEXNET, else a download",
    )
