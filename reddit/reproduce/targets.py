"""The paper's figures and tables as plans. The rule for verdicts is in docs/reproduce.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from reddit.ablations import ABLATIONS
from reddit.reproduce.plan import Arm, Cell, Claim, Comparison, Plan, Target, better, growth
from reddit.utils.text import counted


def _ablation(name: str, label: str) -> Arm:
    return Arm(name, label, ABLATIONS[name].settings)


FULL = Arm("full", "ReDDiT")
NO_RATR = _ablation("no-ratr", "no RATR")
NO_PIXEL = _ablation("no-pixel", "no pixel loss")
NO_PERCEPTUAL = _ablation("no-perceptual", "no perceptual loss")
GT_ONLY = _ablation("no-distillation", "GT only")
PROGRESSIVE = Arm("progressive", "progressive", ("distill.method=progressive",))
OTHER_METHODS = (
    PROGRESSIVE,
    Arm("consistency", "consistency", ("distill.method=consistency",)),
    Arm("reflow", "reflow", ("distill.method=reflow",)),
)
TEACHER = Arm("teacher", "teacher, DDIM", sampler="ddim")
SAMPLERS = (
    TEACHER,
    Arm("teacher-dpmpp", "teacher, DPM-Solver++", sampler="dpmpp"),
    Arm("teacher-unipc", "teacher, UniPC", sampler="unipc"),
)
ENSEMBLE = Arm("teacher-ensemble", "teacher, 8 symmetries", sampler="ddim", ensemble=8)
REGRESSION = Arm("regression", "regression", ("distill.method=regression", "distill.regression.w_per=0.6"))
NO_DIFFUSION = Arm(
    "no-diffusion",
    "regression without a teacher",
    ("teacher.p_terminal=1", "teacher.w_per=0.6", "diffusion.teacher_steps=1"),
    sampler="ddim",
    whole_budget=True,
)
CTM = Arm("ctm", "consistency trajectory", ("distill.method=ctm",))
SHORTCUT = Arm("shortcut", "shortcut", ("distill.method=shortcut",))
POSTERIOR_MEAN = _ablation("posterior-mean", "ReDDiT, targets of 8 symmetries")
NETWORK = Arm("network", "network", sampler="ddim")
JITTERED = Arm(
    "jitter-independent", "ReDDiT, independent jitter", ("distill.reddit.jitter=independent",), reference=True
)
FAULTS = {
    "D1, reflectance of values in [-1, 1],": _ablation("d1", "D1"),
    "D2, a last interval that does not end clean,": _ablation("d2", "D2"),
    "D3, sampling that does not end clean,": _ablation("d3", "D3"),
    "D4, a start that training has not seen,": _ablation("d4", "D4"),
    "D5, an average that forgets too slowly,": _ablation("d5", "D5"),
}
D6 = _ablation("d6", "D6")

SUFFICES = 0.5
"""Largest loss in dB of a sufficient 2-step student, relative to its teacher with all steps.

On LOL-v1 the paper's 2-step student loses 0.69 dB relative to its 8-step student.
"""
HALF = 0.6
"""Largest ratio of times that counts as half."""


def figure4(steps: Sequence[int], teacher_steps: int) -> Plan:
    """ReDDiT against fast samplers and other distillations of the same teacher."""
    samplers = Claim(
        "Distilled students surpass every fast sampler of their teacher at the same number of steps.",
        "the paper, Figure 4",
        tuple(better(FULL, other, n) for other in SAMPLERS for n in steps),
    )
    distillations = Claim(
        "ReDDiT surpasses every other distillation of the same teacher at every number of steps.",
        "the paper, Figure 4",
        tuple(better(FULL, other, n) for other in OTHER_METHODS for n in steps),
    )
    arms = (FULL, *OTHER_METHODS, GT_ONLY, *SAMPLERS)
    return _plan(
        "Figure 4: ways to fewer steps", arms, steps, teacher_steps, samplers, distillations, _control(steps)
    )


def figure5(steps: Sequence[int], teacher_steps: int) -> Plan:
    """ReDDiT against ReDDiT without one of its parts."""
    parts = (NO_RATR, NO_PIXEL, NO_PERCEPTUAL)
    worst = Claim(
        "Without the refinement (RATR) quality falls most.",
        "the paper, Figure 5",
        tuple(better(other, NO_RATR, n) for other in (FULL, NO_PIXEL, NO_PERCEPTUAL) for n in steps),
    )
    slight = Claim(
        "Without the pixel loss or the perceptual loss quality falls slightly.",
        "the paper, Figure 5",
        tuple(better(FULL, part, n) for part in (NO_PIXEL, NO_PERCEPTUAL) for n in steps),
    )
    more = Claim(
        "The perceptual loss matters more than the pixel loss.",
        "the paper, the text on Figure 5",
        tuple(better(NO_PIXEL, NO_PERCEPTUAL, n) for n in steps),
    )
    arms = (FULL, *parts, GT_ONLY, TEACHER)
    return _plan(
        "Figure 5: ReDDiT without its parts", arms, steps, teacher_steps, worst, slight, more, _control(steps)
    )


def figure6(steps: Sequence[int], teacher_steps: int) -> Plan:
    """ReDDiT with and without refinement, from many steps to few."""
    helps = Claim(
        "The refinement (RATR) improves the student at every number of steps.",
        "the paper, Figure 6",
        tuple(better(FULL, NO_RATR, n) for n in steps),
    )
    grows = Claim(
        "The refinement matters more the fewer steps there are.",
        "the paper, Figure 6",
        (growth(FULL, NO_RATR, steps),) if len(steps) > 1 else (),
    )
    arms = (FULL, NO_RATR, GT_ONLY, TEACHER)
    return _plan(
        "Figure 6: with and without refinement, by steps",
        arms,
        steps,
        teacher_steps,
        helps,
        grows,
        _control(steps),
    )


def table1(steps: Sequence[int], teacher_steps: int) -> Plan:
    """The students against their teacher, with all its steps and with their number of steps."""
    surpass = Claim(
        f"The student of N steps surpasses its teacher of {teacher_steps}.",
        "the paper, abstract and Table 1",
        tuple(better(FULL, TEACHER, n, other_steps=teacher_steps) for n in steps),
    )
    at_fewer_steps = Claim(
        "The student of N steps surpasses its teacher at N steps.",
        "the paper, Figure 4 and Table 1",
        tuple(better(FULL, TEACHER, n) for n in steps),
    )
    two = 2 if 2 in steps else min(steps)
    suffice = Claim(
        f"{'Two steps suffice' if two == 2 else f'{two} steps suffice'}: what they lose to the teacher's "
        f"{teacher_steps} is below {SUFFICES:g} dB.",
        "the paper, abstract and Table 1",
        (better(FULL, TEACHER, two, other_steps=teacher_steps, margin=SUFFICES),),
    )
    arms = (FULL, GT_ONLY, TEACHER)
    return _plan(
        "Table 1: students and teacher",
        arms,
        steps,
        teacher_steps,
        surpass,
        at_fewer_steps,
        suffice,
        _control(steps),
    )


def rivals(steps: Sequence[int], teacher_steps: int) -> Plan:
    """ReDDiT against what else the same network and iterations can do, the plain regression first of all."""
    distillation = Claim(
        "ReDDiT surpasses plain progressive distillation at every number of steps.",
        "the paper, Figure 4",
        tuple(better(FULL, PROGRESSIVE, n) for n in steps),
    )
    least = min(steps)
    regression = Claim(
        "The student of the fewest steps surpasses a regression to the ground truth in one step.",
        "",
        tuple(better(FULL, other, least, other_steps=1) for other in (REGRESSION, NO_DIFFUSION)),
    )
    mean = Claim(
        "The student surpasses its teacher's mean over eight symmetries at the same number of steps.",
        "",
        tuple(better(FULL, ENSEMBLE, n) for n in steps),
    )
    one_for_all = tuple(
        Claim(
            f"ReDDiT surpasses a {what} model, one student for every number of steps, at each.",
            "",
            tuple(better(FULL, other, n) for n in steps),
        )
        for what, other in (("consistency trajectory", CTM), ("shortcut", SHORTCUT))
    )
    posterior_mean = Claim(
        "Targets averaged over eight symmetries, close to the posterior mean, make a better student.",
        "",
        tuple(better(POSTERIOR_MEAN, FULL, n) for n in steps),
    )
    # Training goes arm by arm in this order.
    first = (FULL, PROGRESSIVE, GT_ONLY, REGRESSION, NO_DIFFUSION, TEACHER, ENSEMBLE)
    arms = (*first, CTM, SHORTCUT, POSTERIOR_MEAN)
    cells = [
        Cell(arm.key, n)
        for arm in arms
        for n in (
            (1,)
            if arm in (REGRESSION, NO_DIFFUSION)
            else (*steps, teacher_steps)
            if arm is TEACHER
            else steps
        )
    ]
    claims = (distillation, _control(steps), regression, mean, *one_for_all, posterior_mean)
    return Plan("Rivals: the same network and iterations", arms, tuple(cells), claims)


def omega(steps: Sequence[int], teacher_steps: int) -> Plan:
    """Strengths of the refinement in both spaces, and noise that keeps its sign."""
    signed = _ablation("noise-signed", "signed noise")
    arms = [NO_RATR]
    for space in ("trajectory", "clean"):
        arms += [_ablation(f"omega-{w:g}-{space}", f"{w:g}, {space}") for w in (0.1, 0.2, 0.4, 0.6, 1.0)]
    arms.append(signed)
    helps = Claim(
        "The refinement (RATR) improves the student at every strength and number of steps.",
        "the paper, equation 9",
        tuple(better(arm, NO_RATR, n) for arm in arms[1:-1] for n in steps),
    )
    sign = Claim(
        "Noise that keeps its sign refines better than its magnitude.",
        "",
        tuple(better(signed, FULL, n) for n in steps),
    )
    everything = (FULL, *arms, GT_ONLY, TEACHER)
    return _plan(
        "The strength of the refinement", everything, steps, teacher_steps, helps, sign, _control(steps)
    )


def table4(steps: Sequence[int], teacher_steps: int) -> Plan:
    """Seconds per picture; the network is the same for every number of steps, trained or not."""
    counts = [teacher_steps, *steps]

    def faster(more: int, fewer: int) -> Comparison:
        needed = -math.log2(HALF) * math.log2(more / fewer)
        terms = ((1.0, Cell(NETWORK.key, more)), (-1.0, Cell(NETWORK.key, fewer)))
        return Comparison(f"log2 of seconds, {more} − {fewer} steps, minus {needed:.2f}", terms, -needed)

    halves = Claim(
        f"Half the steps take half the time (at most {HALF:.0%} of it).",
        "the paper, Table 4",
        tuple(faster(more, fewer) for more, fewer in pairwise(counts)),
    )
    cells = tuple(Cell(NETWORK.key, n) for n in counts)
    return Plan("Table 4: seconds per picture", (NETWORK,), cells, (halves,), metric="seconds")


def faults(steps: Sequence[int], teacher_steps: int) -> Plan:
    """Each fault of the authors' code alone, against ReDDiT without it.

    D2 implies independent jitter, so it is compared with a student with independent jitter.
    """
    costs = [
        Claim(
            f"Fault {what} lowers quality.",
            "the authors' code",
            tuple(better(JITTERED if arm.key == "d2" else FULL, arm, n) for n in steps),
        )
        for what, arm in FAULTS.items()
    ]
    flatters = Claim(
        "Fault D6, choosing weights on the test set, flatters GT-mean PSNR there.",
        "the authors' code",
        tuple(
            replace(
                better(D6, FULL, n), text=f"D6 − ReDDiT, GT-mean, {counted(n, 'step')}", metric="gt_mean.psnr"
            )
            for n in steps
        ),
    )
    arms = (FULL, JITTERED, *FAULTS.values(), D6, GT_ONLY, TEACHER)
    title = "The faults of the authors' code, one by one"
    return _plan(title, arms, steps, teacher_steps, *costs, flatters, _control(steps))


def _control(steps: Sequence[int]) -> Claim:
    return Claim(
        "The teacher's guidance, and not more training on ground truth, makes the student good.",
        "",
        tuple(better(FULL, GT_ONLY, n) for n in steps),
    )


def _plan(
    title: str, arms: tuple[Arm, ...], steps: Sequence[int], teacher_steps: int, *claims: Claim
) -> Plan:
    cells = [Cell(arm.key, n) for arm in arms for n in steps]
    cells += [Cell(TEACHER.key, teacher_steps)]
    return Plan(title, arms, tuple(cells), tuple(claim for claim in claims if claim.comparisons))


TARGETS: dict[str, Target] = {
    "figure4": Target("ReDDiT, fast samplers and other distillations", (8, 4, 2), figure4),
    "figure5": Target("ReDDiT without its parts", (2,), figure5),
    "figure6": Target("with and without refinement, by steps", (8, 4, 2, 1), figure6),
    "table1": Target("students, their teacher, and the teacher at N steps", (8, 4, 2), table1),
    "rivals": Target("plain regression and other rivals of the same network", (4, 2, 1), rivals),
    "omega": Target("strengths of the refinement, in both spaces", (4, 1), omega),
    "faults": Target("each fault of the authors' code alone", (2,), faults),
    "table4": Target("seconds per picture, by steps", (8, 4, 2), table4),
}
