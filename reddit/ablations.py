"""Ablations by name: what each changes, and what it shows.

    reddit-llie distill --steps 8 --ablation no-ratr
    reddit-llie train -c configs/lolv1.yaml --ablation eps

An ablation is a list of `--set` overrides, laid under those that the command line gives itself.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from reddit.utils.errors import UserError

Stage = Literal["teacher", "student"]


@dataclass(frozen=True)
class Ablation:
    """What to set, in which run it makes a difference, and what it shows."""

    settings: tuple[str, ...]
    stage: Stage
    meaning: str


def _student(meaning: str, *settings: str) -> Ablation:
    return Ablation(settings, "student", meaning)


def _teacher(meaning: str, *settings: str) -> Ablation:
    return Ablation(settings, "teacher", meaning)


def _omegas() -> dict[str, Ablation]:
    """Strengths of the refinement from 0 to 1, meant in either space."""
    spaces = {"trajectory": "moving x_s as the paper does", "clean": "moving the clean-image target"}
    return {
        f"omega-{omega:g}-{space}": _student(
            f"RATR with omega {omega:g}, {how}.",
            f"distill.reddit.omega={omega:g}",
            f"distill.reddit.omega_space={space}",
        )
        for space, how in spaces.items()
        for omega in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    }


_SOME_SIGNAL = ("diffusion.zero_terminal_snr=false", "diffusion.mask_x_T=false")

ABLATIONS: dict[str, Ablation] = {
    "no-ratr": _student("Without the reflectance-aware refinement, eq. 7 to 9.", "distill.reddit.omega=0"),
    **_omegas(),
    "noise-signed": _student("Retinex noise keeps its sign: y - n is D(y).", "distill.reddit.noise=signed"),
    "no-pixel": _student("Without the pixel loss, eq. 10.", "distill.reddit.w_pix=0"),
    "no-perceptual": _student("Without the perceptual loss, eq. 11.", "distill.reddit.w_per=0"),
    "no-auxiliary": _student(
        "The distillation loss alone.", "distill.reddit.w_pix=0", "distill.reddit.w_per=0"
    ),
    "no-distillation": _student(
        "The same training on ground truth only: what a stage gains without its teacher.",
        "distill.reddit.w_dis=0",
    ),
    "first-order": _student("The teacher goes from t to s in one step, eq. 2.", "distill.reddit.order=1"),
    "lambda-snr-plus-1": _student("lambda_t = SNR + 1.", "distill.reddit.lambda_rule=snr_plus_1"),
    "lambda-constant": _student("lambda_t = 1.", "distill.reddit.lambda_rule=constant"),
    "no-jitter": _student("Noise levels on the grid.", "distill.reddit.jitter=none"),
    "own-start": _student(
        "A quarter of the samples from pure noise, a quarter of the batches from the student's own rollout.",
        "distill.reddit.p_terminal=0.25",
        "distill.reddit.p_rollout=0.25",
    ),
    "eps": _teacher(
        "Predict eps, which zero terminal SNR does not allow.",
        "model.prediction=eps",
        *_SOME_SIGNAL,
    ),
    "v": _teacher("Predict v.", "model.prediction=v"),
    "x0": _teacher("Predict the clean image.", "model.prediction=x0"),
    "zero-snr": _teacher(
        "alpha_T = 0, so that sampling starts where training ends; with v, as eps would not do.",
        "model.prediction=v",
        "diffusion.zero_terminal_snr=true",
    ),
    "no-zero-snr": _teacher("alpha_T = 0.075, as published.", *_SOME_SIGNAL),
    "d1": _student(
        "Fault D1: the reflectance of the authors' code, from [-1, 1] values.",
        "distill.reddit.reflectance=authors",
    ),
    "d2": _student(
        "Fault D2: the last interval's end is drawn anywhere between clean and very noisy.",
        "distill.reddit.last_interval=wrapped",
        "distill.reddit.jitter=independent",
    ),
    "d3": _student(
        "Fault D3: sampling ends above clean, and the network is told the wrong level; validation and "
        "scores both see it.",
        "diffusion.sampler=ddim_authors",
    ),
    "d4": _teacher(
        "Fault D4: eps-prediction, and sampling from pure noise where training ended at 0.075 of signal.",
        "model.prediction=eps",
        *_SOME_SIGNAL,
        "teacher.p_terminal=0",
        "distill.reddit.p_terminal=0",
        "distill.reddit.p_rollout=0",
    ),
    "d5": _student(
        "Fault D5: the weights' average forgets its start too slowly.",
        "train.ema=0.9999",
        "train.ema_warmup=false",
    ),
    "d6": _student(
        "Fault D6: the weights are chosen on the test set, by GT-mean PSNR.", "train.select_on_test=true"
    ),
}


def ablation_settings(name: str, stage: Stage) -> list[str]:
    """The overrides of an ablation of teachers or of students.

    Raises:
        UserError: there is none of that name, or it belongs to the other kind of run.
    """
    if name not in ABLATIONS:
        near = difflib.get_close_matches(name, ABLATIONS, 1)
        hint = f"did you mean {near[0]}?" if near else "--ablation list shows all"
        raise UserError(f"--ablation {name}: there is none of that name; {hint}")
    ablation = ABLATIONS[name]
    if ablation.stage != stage:
        remedy = {
            "teacher": f"train one with reddit-llie train --ablation {name} --name NAME, then distil "
            "it with reddit-llie distill --teacher NAME",
            "student": f"leave it out here, and say reddit-llie distill --ablation {name}",
        }[ablation.stage]
        raise UserError(f"--ablation {name} makes another {ablation.stage}: {remedy}")
    # A teacher of an ablation has a family of its own; a student has not, and must not stand for it.
    mark = [f"ablation={name}"] if stage == "student" else []
    return [*mark, *ablation.settings]


def describe_ablations(stage: Stage) -> str:
    """A line or two for every ablation of teachers or of students."""
    return "\n".join(
        f"{name}: {ablation.meaning}\n    --set {' '.join(ablation.settings)}"
        for name, ablation in ABLATIONS.items()
        if ablation.stage == stage
    )
