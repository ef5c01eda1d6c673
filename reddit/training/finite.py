"""Stopping a run before weights that are not finite are saved."""

from __future__ import annotations

from reddit.training.checkpoints import Checkpoints
from reddit.training.logging import Meter
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import TrainingState
from reddit.utils.errors import UserError


def check_finite(meter: Meter, state: TrainingState, checkpoints: Checkpoints) -> None:
    """Check that all losses and gradients since the start were finite.

    Raises:
        UserError: names the first iteration where one was not, and the last good state.
    """
    fp16 = state.precision == "fp16"
    # Overflows of fp16 are normal: the scaler skips that step, and the weights are unaffected.
    watched = ("loss",) if fp16 else ("loss", "gradient_norm")
    found = [(first, name) for name in watched if (first := meter.first_bad(name)) is not None]
    if found:  # the first is the cause of the others
        first, name = min(found, key=lambda bad: bad[0])
        raise UserError(
            f"the {name.replace('_', ' ')} is not finite at iteration {first} (learning rate "
            f"{learning_rate(state.settings, first - 1):g}): lower train.lr or use precision=fp32; "
            f"{checkpoints.last_good()}"
        )
    if fp16 and state.scaler.get_scale() < 1:
        raise UserError(
            f"the gradient overflows fp16 at every scale at iteration {state.progress.iteration}: use "
            f"precision=bf16 or fp32; {checkpoints.last_good()}"
        )
