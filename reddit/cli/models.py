"""The model that a command uses, and the scorer of its flags."""

from __future__ import annotations

import argparse
from pathlib import Path

from reddit.checkpoint.format import CheckpointInfo, read_info
from reddit.checkpoint.registry import (
    ablation_of,
    all_models,
    find_checkpoint,
    sampling_steps,
    shipped_models,
)
from reddit.checkpoint.shipped import DEFAULT, find_shipped
from reddit.metrics import Scorer, protocol_named
from reddit.utils.errors import UserError
from reddit.utils.progress import print_err
from reddit.utils.text import counted


def choose_model(
    named: str | None,
    steps: int | None,
    runs: Path,
    *,
    dataset: str | None = None,
    shipped_first: bool = False,
) -> tuple[CheckpointInfo, int]:
    """The model that a command uses, and its sampling steps.

    Without a name it is the newest run that was trained for `steps`, preferably on `dataset` and never one of
    an ablation; or else the shipped weights. This choice is printed to stderr. With `shipped_first` it is the
    shipped weights, and nothing is printed.

    Raises:
        UserError: there is no model; steps below 1 or above those of the noise schedule.
    """
    if named:
        model = find_checkpoint(named, runs, steps)
        return model, sampling_steps(model, steps)
    if shipped_first and (path := find_shipped(DEFAULT, steps)):
        model = read_info(path)
        return model, sampling_steps(model, steps)
    own = [m for m in all_models(runs, log=print_err) if ablation_of(m) is None]
    own.sort(key=lambda m: m.config.data.dataset != dataset)  # a stable sort: still newest first
    candidates = [*own, *shipped_models()]
    fitting = [m for m in candidates if steps in (None, m.steps)] or candidates
    if not fitting:
        raise UserError(f"no model in {runs}: train one with reddit-llie train, or name one with --weights")
    model = fitting[0]
    sets = ", ".join(model.config.data.sets)
    print_err(
        f"model: {model.path} ({counted(model.steps, 'step')}, trained on {sets}); --weights chooses another"
    )
    return model, sampling_steps(model, steps)


def scorer_from(arguments: argparse.Namespace, *, gt: bool = True, device: str = "cpu") -> Scorer:
    """The scorer of the flags.

    If LPIPS was not requested by name and its weights are not available, it is skipped with a warning.

    Raises:
        UserError: an unknown protocol; LPIPS was requested and its weights are not available.
    """
    protocol = protocol_named(arguments.protocol)
    metrics = arguments.metrics or (["psnr", "ssim", "lpips"] if gt else ["niqe", "niqe-grey"])
    weights = arguments.lpips_weights
    scorer = Scorer(
        protocol,
        with_lpips=gt and "lpips" in metrics,
        with_niqe="niqe" in metrics,
        with_niqe_grey="niqe-grey" in metrics,
        lpips_weights=weights,
        device=device,
    )
    if scorer.with_lpips:
        try:
            scorer.lpips()
        except UserError as error:
            if arguments.metrics or weights:
                raise
            print_err(f"warning: LPIPS is skipped: {error}")
            scorer.with_lpips = False
    return scorer
