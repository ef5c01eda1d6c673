"""Ablations: named changes of settings.

    reddit-llie distill --steps 8 --ablation no-ratr
    reddit-llie train -c configs/lolv1.yaml --ablation eps

An ablation is a list of `--set` overrides. Overrides on the command line take precedence over it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from reddit.utils.errors import UserError

Stage = Literal["teacher", "student"]


@dataclass(frozen=True)
class Ablation:
    """The overrides, the runs they apply to (teachers or students), and a description."""

    settings: tuple[str, ...]
    stage: Stage
    meaning: str


def _student(meaning: str, *settings: str) -> Ablation:
    return Ablation(settings, "student", meaning)


def _teacher(meaning: str, *settings: str) -> Ablation:
    return Ablation(settings, "teacher", meaning)


def _omegas() -> dict[str, Ablation]:
    """Strengths of the refinement from 0 to 1, in both spaces."""
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
        "Only the distillation loss.", "distill.reddit.w_pix=0", "distill.reddit.w_per=0"
    ),
    "no-distillation": _student(
        "The same training with ground truth only, without the teacher.",
        "distill.reddit.w_dis=0",
    ),
    "first-order": _student("The teacher goes from t to s in one step, eq. 2.", "distill.reddit.order=1"),
    "lambda-snr-plus-1": _student("lambda_t = SNR + 1.", "distill.reddit.lambda_rule=snr_plus_1"),
    "lambda-constant": _student("lambda_t = 1.", "distill.reddit.lambda_rule=constant"),
    "posterior-mean": _student(
        "Targets averaged over eight symmetries, an estimate of the teacher's posterior mean.",
        "distill.reddit.symmetries=8",
    ),
    "no-jitter": _student("Noise levels on the grid.", "distill.reddit.jitter=none"),
    "own-start": _student(
        "A quarter of the samples start from pure noise, a quarter of the batches from student rollouts.",
        "distill.reddit.p_terminal=0.25",
        "distill.reddit.p_rollout=0.25",
    ),
    "eps": _teacher(
        "Predict eps, without zero terminal SNR, which does not allow it.",
        "model.prediction=eps",
        *_SOME_SIGNAL,
    ),
    "v": _teacher("Predict v.", "model.prediction=v"),
    "x0": _teacher("Predict the clean image.", "model.prediction=x0"),
    "zero-snr": _teacher(
        "alpha_T = 0, so that sampling starts where training ends; with v-prediction.",
        "model.prediction=v",
        "diffusion.zero_terminal_snr=true",
    ),
    "no-zero-snr": _teacher("alpha_T = 0.075, as published.", *_SOME_SIGNAL),
    "d1": _student(
        "Fault D1: the reflectance of the authors' code, from values in [-1, 1].",
        "distill.reddit.reflectance=authors",
    ),
    "d2": _student(
        "Fault D2: the end of the last interval is drawn anywhere between clean and T.",
        "distill.reddit.last_interval=wrapped",
        "distill.reddit.jitter=independent",
    ),
    "d3": _student(
        "Fault D3: sampling does not end at the clean image, and the network receives alpha of the previous "
        "index; affects validation and scores.",
        "diffusion.sampler=ddim_authors",
    ),
    "d4": _teacher(
        "Fault D4: eps-prediction, and sampling from pure noise although training ends at alpha 0.075.",
        "model.prediction=eps",
        *_SOME_SIGNAL,
        "teacher.p_terminal=0",
        "distill.reddit.p_terminal=0",
        "distill.reddit.p_rollout=0",
    ),
    "d5": _student(
        "Fault D5: the EMA of the weights has no warm-up.",
        "train.ema=0.9999",
        "train.ema_warmup=false",
    ),
    "d6": _student(
        "Fault D6: the weights are chosen on the test set, by GT-mean PSNR.", "train.select_on_test=true"
    ),
}


def ablation_settings(name: str, stage: Stage) -> list[str]:
    """The overrides of an ablation, for a teacher or a student.

    Raises:
        UserError: unknown name, or an ablation of the other kind of run.
    """
    if name not in ABLATIONS:
        near = difflib.get_close_matches(name, ABLATIONS, 1)
        hint = f"did you mean {near[0]}?" if near else "--ablation list shows all"
        raise UserError(f"--ablation {name}: unknown ablation; {hint}")
    ablation = ABLATIONS[name]
    if ablation.stage != stage:
        remedy = {
            "teacher": f"train one with reddit-llie train --ablation {name} --name NAME, then distil "
            "it with reddit-llie distill --teacher NAME",
            "student": f"use it with reddit-llie distill --ablation {name}",
        }[ablation.stage]
        raise UserError(f"--ablation {name} is an ablation of the {ablation.stage}: {remedy}")
    # A teacher with an ablation has its own family. A student does not, so its run is marked.
    mark = [f"ablation={name}"] if stage == "student" else []
    return [*mark, *ablation.settings]


def describe_ablations(stage: Stage) -> str:
    """The ablations of teachers or of students, with their overrides."""
    return "\n".join(
        f"{name}: {ablation.meaning}\n    --set {' '.join(ablation.settings)}"
        for name, ablation in ABLATIONS.items()
        if ablation.stage == stage
    )
