"""Ending a run before weights that are no numbers are saved."""

from __future__ import annotations

from reddit.training.checkpoints import Checkpoints
from reddit.training.logging import Meter
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import TrainingState
from reddit.utils.errors import UserError


def check_finite(meter: Meter, state: TrainingState, checkpoints: Checkpoints) -> None:
    """See that every loss and gradient since the start was finite.

    Raises:
        UserError: one was not; the message names the first such iteration and the last good state.
    """
    fp16 = state.precision == "fp16"
    # fp16 overflows now and then by design: its scaler skips that step and the weights are safe.
    watched = ("loss",) if fp16 else ("loss", "gradient_norm")
    found = [(first, name) for name in watched if (first := meter.first_bad(name)) is not None]
    if found:  # what broke first broke the others
        first, name = min(found, key=lambda bad: bad[0])
        raise UserError(
            f"the {name.replace('_', ' ')} is not finite at iteration {first} (learning rate "
            f"{learning_rate(state.settings, first - 1):g}): lower train.lr or use precision=fp32; "
            f"{checkpoints.last_good()}"
        )
    if fp16 and state.scaler.get_scale() < 1:
        raise UserError(
            f"the gradient overflows fp16 at every scale, by iteration {state.progress.iteration}: use "
            f"precision=bf16 or fp32; {checkpoints.last_good()}"
        )
