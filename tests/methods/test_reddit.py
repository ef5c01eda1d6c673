from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn

from reddit.config import ReDDiTConfig, TrainConfig
from reddit.data import Batch
from reddit.diffusion import Denoiser, NoiseSchedule, clipped, sample_ddim
from reddit.image.geometry import thumbnail
from reddit.methods import ReDDiT, StepRNG
from reddit.models import ConditionalUNet
from reddit.training.state import TrainingState
from reddit.training.step import train_step

PAPER = NoiseSchedule()
JITTERS = pytest.mark.parametrize("jitter", ["none", "shared", "independent"])
STUDENTS = pytest.mark.parametrize("steps", [8, 4, 2, 1])

# The paper's schedule once more, without the package.
ALPHAS = np.sqrt(np.cumprod(1 - np.linspace(1e-4, 2e-2, 513)))
ALPHAS[0] = 1.0


class Recording(nn.Module):
    """A network that remembers each (x_t, alpha) it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        self.seen.append((x_t, alpha))
        return self.answer(x_t, y, alpha.view(-1, 1, 1, 1))

    def answer(self, x_t: Tensor, y: Tensor, alpha: Tensor) -> Tensor:
        raise NotImplementedError


class Constant(Recording):
    """Answers its value everywhere: one number, or one image for each sample."""

    def __init__(self, value: float | Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.as_tensor(value, dtype=torch.float64))

    def answer(self, x_t: Tensor, y: Tensor, alpha: Tensor) -> Tensor:
        return self.value.expand_as(x_t)


class Blend(Recording):
    """Answers a fixed mixture of all that it sees."""

    def answer(self, x_t: Tensor, y: Tensor, alpha: Tensor) -> Tensor:
        return blend(x_t, y, alpha)


def blend(x_t, y, alpha):  # type: ignore[no-untyped-def]
    return 0.6 * x_t - 0.5 * y + 0.3 * alpha


def batch(size: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    low, high, denoised = torch.rand(3, size, 3, 8, 8, generator=generator, dtype=dtype)
    denoised = 0.3 * low + 0.02 * (denoised - 0.5)
    return {"low": 0.3 * low, "high": high, "denoised": denoised, "context": thumbnail(0.3 * low).to(dtype)}


def step_rng(seed: int, size: int = 3) -> StepRNG:
    return StepRNG(seed, 0, range(size))


def noise_of(seed: int, pictures: Tensor) -> Tensor:
    """What a step draws first: each sample its noise."""
    return step_rng(seed, len(pictures)).noise(pictures)


def distance(output: Tensor, gt: Tensor) -> Tensor:
    assert gt.min() >= 0
    return (output - gt).abs().flatten(1).mean(dim=1)


def config(**options: object) -> ReDDiTConfig:
    return ReDDiTConfig(**({"w_per": 0.0} | options))  # type: ignore[arg-type]


def predict(prediction: str, output: np.ndarray, x: np.ndarray, alpha: np.ndarray, clip: bool) -> np.ndarray:
    """x_0 from a network's answer."""
    sigma = np.sqrt(1 - alpha**2)
    x_0 = {"eps": (x - sigma * output) / alpha, "v": alpha * x - sigma * output, "x0": output}[prediction]
    return np.clip(x_0, -1, 1) if clip else x_0


def expected_losses(
    x_t: np.ndarray,
    k: np.ndarray,
    pictures: Batch,
    settings: ReDDiTConfig,
    steps: int,
    prediction: str,
    clip: bool,
) -> dict[str, float]:
    """Equations 2 to 12 for intervals k, written out."""
    low, high, denoised = (pictures[name].numpy() for name in ("low", "high", "denoised"))
    y, x_0 = 2 * low - 1, 2 * high - 1
    a_t, a_u, a_s = (ALPHAS[(2 * k - j) * 256 // steps].reshape(-1, 1, 1, 1) for j in range(3))
    s_t, s_u, s_s = (np.sqrt(1 - a**2) for a in (a_t, a_u, a_s))

    x_hat = predict(prediction, blend(x_t, y, a_t), x_t, a_t, clip)
    x_u = a_u * x_hat + s_u * (x_t - a_t * x_hat) / s_t  # eq. 2
    x_hat = predict(prediction, blend(x_u, y, a_u), x_u, a_u, clip)
    eps_u = (x_u - a_u * x_hat) / s_u
    x_s = a_s * x_hat + s_s * eps_u  # eq. 3

    illumination = low.max(axis=1, keepdims=True)  # eq. 7
    noise = abs(low - denoised)
    r = 2 * np.clip((low - noise) / np.maximum(illumination, 1 / 255), 0, 1) - 1
    omega = np.full_like(a_t, settings.omega)
    if settings.omega_space == "clean":
        omega = omega * (a_s - s_s / s_t * a_t) / a_s
    x_s = x_s + omega * (a_s * r + s_s * eps_u - x_s)  # eq. 8 and 9
    target = (x_s - s_s / s_t * x_t) / (a_s - s_s / s_t * a_t)  # eq. 5

    student = predict(prediction, np.full_like(x_t, 0.25), x_t, a_t, clip=False)
    snr = (a_t / s_t) ** 2
    weight = {"max_snr_1": np.maximum(snr, 1), "snr_plus_1": snr + 1, "constant": np.ones_like(snr)}
    weighted = weight[settings.lambda_rule]
    l_dis = float((weighted * (student - target) ** 2).mean())  # eq. 6
    l_pix = float((weighted * (student - x_0) ** 2).mean())  # eq. 10
    l_per = float(abs((student + 1) / 2 - high).mean()) if settings.w_per > 0 else 0.0  # eq. 11
    loss = l_dis + settings.w_pix * l_pix + settings.w_per * l_per  # eq. 12
    return {
        "loss": loss,
        "l_dis": l_dis,
        "l_pix": l_pix,
        "l_per": l_per,
        "l_ssim": 0.0,
        "l_illumination": 0.0,
        "l_shift": 0.0,
    }


CASES: list[tuple[str, int, bool, dict[str, object]]] = [
    ("eps", 8, False, {"omega": 0.2, "w_per": 0.6}),
    ("eps", 4, True, {"omega": 0.5, "w_pix": 0.1, "w_per": 0.2}),
    ("v", 4, False, {"omega": 0.8, "omega_space": "clean"}),
    ("v", 2, True, {"omega": 0.3, "lambda_rule": "snr_plus_1"}),
    ("x0", 2, False, {"omega": 1.0, "lambda_rule": "constant", "w_pix": 0.0}),
    ("x0", 1, True, {"omega": 0.4}),
]


@pytest.mark.parametrize(("prediction", "steps", "clip", "options"), CASES)
def test_loss_by_hand(prediction: str, steps: int, clip: bool, options: dict[str, object]) -> None:
    settings = config(jitter="none", **options)
    student = Constant(0.25)
    method = ReDDiT(
        Denoiser(student, PAPER, prediction),
        Denoiser(Blend(), PAPER, prediction),
        steps,
        settings,
        clip=clip,
        perceptual=distance if settings.w_per > 0 else None,
    )
    pictures = batch(64)
    found = method.losses(pictures, step_rng(1, 64))

    x_t, alpha = (v.numpy() for v in student.seen[-1])
    grid = ALPHAS[np.arange(1, steps + 1) * 512 // steps]
    k = 1 + np.abs(alpha[:, None] - grid[None]).argmin(axis=1)
    assert np.allclose(grid[k - 1], alpha, atol=1e-12)
    assert set(k) == set(range(1, steps + 1))  # every interval takes part
    eps = noise_of(1, pictures["high"]).numpy()
    a_t = grid[k - 1].reshape(-1, 1, 1, 1)
    assert np.allclose(a_t * (2 * pictures["high"].numpy() - 1) + np.sqrt(1 - a_t**2) * eps, x_t, atol=1e-6)

    expected = expected_losses(x_t, k, pictures, settings, steps, prediction, clip)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-8)


@STUDENTS
@JITTERS
@pytest.mark.parametrize("clip", [True, False])
def test_a_perfect_teacher_teaches_the_gt(steps: int, jitter: str, clip: bool) -> None:
    pictures = batch(8)
    teacher = Denoiser(Constant(2 * pictures["high"] - 1), PAPER, "x0")
    student = Denoiser(Constant(0.25), PAPER, "x0")
    method = ReDDiT(student, teacher, steps, config(omega=0.0, jitter=jitter), clip)
    losses = method.losses(pictures, step_rng(2, 8))
    assert losses["l_pix"] > 0.1
    assert losses["l_dis"].item() == pytest.approx(losses["l_pix"].item(), rel=1e-6)


def test_refinement_pulls_the_target_of_a_perfect_teacher_away() -> None:
    pictures = batch(8)
    teacher = Denoiser(Constant(2 * pictures["high"] - 1), PAPER, "x0")
    method = ReDDiT(Denoiser(Constant(0.25), PAPER, "x0"), teacher, 4, config(omega=0.5))
    losses = method.losses(pictures, step_rng(2, 8))
    assert abs(losses["l_dis"].item() / losses["l_pix"].item() - 1) > 0.01


def test_authors_reflectance_is_another_target() -> None:
    def l_dis(kind: str) -> float:
        students, teacher = Denoiser(Constant(0.25), PAPER, "v"), Denoiser(Blend(), PAPER, "v")
        tiled = {name: value.repeat(1, 1, 2, 2) for name, value in batch().items()}  # their blur is 15 wide
        pictures: Batch = tiled  # type: ignore[assignment]
        method = ReDDiT(students, teacher, 2, config(reflectance=kind))
        return method.losses(pictures, step_rng(2))["l_dis"].item()  # type: ignore[arg-type]

    assert np.isfinite(l_dis("authors"))
    assert l_dis("authors") != pytest.approx(l_dis("retinex"), rel=1e-3)


@STUDENTS
@JITTERS
def test_times(steps: int, jitter: str) -> None:
    method = ReDDiT(*(Denoiser(Blend(), PAPER, "v") for _ in range(2)), steps, config(jitter=jitter))
    k = torch.arange(1, steps + 1).repeat(400)
    t, u, s = method.draw_times(k, step_rng(0, len(k)))
    spacing = 512 / (2 * steps)
    assert t.dtype == u.dtype == s.dtype == torch.float64
    assert (s[k == 1] == 0).all()
    assert (t > u).all()
    assert (u > s).all()
    assert (s >= 0).all()
    if jitter == "none":
        assert torch.equal(t, 2 * k * spacing)
        assert torch.equal(u, (2 * k - 1) * spacing)
        assert torch.equal(s, (2 * k - 2) * spacing)
        return
    shifts = []
    for time, point in ((t, 2 * k), (u, 2 * k - 1), (s, 2 * k - 2)):
        own, cleaner = (PAPER.alpha(index * spacing) for index in (point, (point - 1).clamp_min(0)))
        shift = ((PAPER.alpha(time) - own) / (cleaner - own))[point > 0]
        shifts.append(shift)
        assert (shift > -1e-9).all() and (shift < 1 + 1e-9).all()
        if len(shift):  # one student step has no s but the clean one
            assert kstest(shift.numpy(), "uniform").pvalue > 0.01
    together = torch.isclose(shifts[0], shifts[1])
    assert together.all() if jitter == "shared" else not together.all()


@STUDENTS
@pytest.mark.parametrize("zero_snr", [False, True])
def test_p_terminal_starts_at_the_end_from_pure_noise(steps: int, zero_snr: bool) -> None:
    schedule = NoiseSchedule(zero_terminal_snr=zero_snr)
    student = Constant(0.25)
    denoisers = Denoiser(student, schedule, "v"), Denoiser(Blend(), schedule, "v")
    losses = ReDDiT(*denoisers, steps, config(p_terminal=1.0)).losses(batch(), step_rng(3))
    x_t, alpha = student.seen[-1]
    assert alpha.tolist() == pytest.approx([schedule.alpha(torch.tensor(512.0)).item()] * 3, abs=1e-12)
    assert torch.equal(x_t, noise_of(3, x_t))
    assert losses["loss"].isfinite()


def test_p_terminal_is_a_share() -> None:
    student = Constant(0.25)
    denoisers = Denoiser(student, PAPER, "v"), Denoiser(Blend(), PAPER, "v")
    method = ReDDiT(*denoisers, 8, config(p_terminal=0.3))
    method.losses(batch(600), step_rng(3, 600))
    at_end = student.seen[-1][1] == PAPER.alpha(torch.tensor(512.0))
    assert at_end.double().mean().item() == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("clip", [True, False])
@STUDENTS
def test_rollout_is_the_students_own_path(steps: int, clip: bool) -> None:
    """As it is sampled: with its clean images held in [-1, 1], or not."""
    schedule = NoiseSchedule(zero_terminal_snr=True)
    student = Blend()
    denoiser = Denoiser(student, schedule, "v")
    ways = {True: clipped(denoiser, schedule), False: denoiser}
    method = ReDDiT(denoiser, Denoiser(Blend(), schedule, "v"), steps, config(p_rollout=1.0), clip)
    pictures = batch(2, dtype=torch.float32)
    lengths = set()
    for seed in range(80):
        student.seen.clear()
        losses = method.losses(pictures, step_rng(seed, 2))
        assert losses["loss"].isfinite()
        length = len(student.seen)
        lengths.add(length)
        noise = noise_of(seed, pictures["low"])
        x_t, alpha = student.seen[-1]
        way = schedule.grid(steps)[:length]
        expected, other = (
            sample_ddim(ways[kind], schedule, noise, 2 * pictures["low"] - 1, way)
            for kind in (clip, not clip)
        )
        assert torch.allclose(x_t, expected, atol=1e-5)
        assert torch.equal(expected, other) == (length == 1)
        assert alpha.tolist() == pytest.approx(schedule.alpha(way[-1:]).expand(2).tolist(), abs=1e-6)
    assert lengths == set(range(1, steps + 1))


def test_one_step_student_learns_where_two_teacher_steps_end() -> None:
    teacher = Denoiser(Blend(), PAPER, "v")
    method = ReDDiT(
        Denoiser(Constant(0.25), PAPER, "x0"), teacher, 1, config(omega=0.0, w_pix=0.0, p_terminal=1.0)
    )
    pictures = batch()
    losses = method.losses(pictures, step_rng(4))
    noise = noise_of(4, pictures["low"])
    y = 2 * pictures["low"] - 1
    end = sample_ddim(clipped(teacher, PAPER), PAPER, noise, y, PAPER.grid(2))
    assert losses["loss"].item() == pytest.approx((0.25 - end).square().mean().item(), rel=1e-9)


@pytest.mark.parametrize("options", [{}, {"p_rollout": 1.0}, {"p_terminal": 1.0}, {"w_per": 0.5}])
@pytest.mark.parametrize("steps", [4, 1])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_moves_the_student_and_leaves_the_teacher(
    options: dict[str, object], steps: int, precision: str
) -> None:
    torch.manual_seed(0)
    network = ConditionalUNet(width=8, multipliers=[1, 2], blocks=1, attention_levels=[1], groups=4)
    schedule = NoiseSchedule(zero_terminal_snr=True)
    teacher = Denoiser(network, schedule, "v")
    student = copy.deepcopy(teacher)
    before = copy.deepcopy(network.state_dict())
    method = ReDDiT(student, teacher, steps, config(**options), perceptual=distance)
    settings = TrainConfig(lr=1e-3)
    state = TrainingState(student, settings, precision)
    for i in range(2):
        state.progress.iteration = i
        losses = train_step(method, [batch(2, i, torch.float32)], state, seed=0, batch_indices=range(2))
        assert losses["loss"].isfinite()
    assert [n for n, p in student.network.named_parameters() if torch.equal(p, before[n])] == []
    assert [n for n, p in network.state_dict().items() if not torch.equal(p, before[n])] == []
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.training
    assert student.training


def test_a_perceptual_weight_needs_a_distance() -> None:
    denoisers = [Denoiser(Blend(), PAPER, "v") for _ in range(2)]
    with pytest.raises(ValueError, match="perceptual"):
        ReDDiT(*denoisers, 2, config(w_per=0.1))


def test_gt_only_does_not_ask_the_teacher() -> None:
    teacher = Blend()
    settings = config(w_dis=0.0, w_illumination=0.5)
    method = ReDDiT(Denoiser(Constant(0.25), PAPER, "x0"), Denoiser(teacher, PAPER, "v"), 2, settings)
    losses = method.losses(batch(), step_rng(0))
    assert teacher.seen == []
    high = 2 * batch()["high"] - 1
    light = (0.25 - high.mean(dim=(2, 3))).abs().mean().item()  # 8×8 pixels are one block
    assert losses["l_illumination"].item() == pytest.approx(light, rel=1e-9)
    assert losses["loss"].item() == pytest.approx(losses["l_pix"].item() + 0.5 * light, rel=1e-9)


def test_the_target_is_the_teachers_mean_over_symmetries() -> None:
    # A teacher that brightens the left half: its mean over the 8 symmetries brightens all alike.
    half = torch.zeros(3, 8, 8, dtype=torch.float64)
    half[:, :, :4] = 0.4
    method = ReDDiT(
        Denoiser(Constant(0.0), PAPER, "x0"),
        Denoiser(Constant(half), PAPER, "x0"),
        1,
        config(omega=0.0, symmetries=8, order=1),
    )
    pictures, rng = batch(), step_rng(0)
    times = method.draw_times(torch.ones(3, dtype=torch.long), rng)
    noise = noise_of(1, pictures["low"])
    one, mean = (
        method.target(noise, pictures["low"], times, noise, symmetries=numbers) for numbers in ([0], range(8))
    )
    torch.testing.assert_close(one.x_0, half.expand(3, -1, -1, -1))
    torch.testing.assert_close(mean.x_0, torch.full_like(noise, 0.2))


def test_a_teacher_without_a_preferred_direction_has_the_same_target() -> None:
    pictures = batch()
    found = [
        ReDDiT(
            Denoiser(Constant(0.1), PAPER, "eps"),
            Denoiser(Blend(), PAPER, "eps"),
            2,
            config(omega=0.2, symmetries=symmetries),
        ).losses(pictures, step_rng(3))
        for symmetries in (1, 4)
    ]
    torch.testing.assert_close(found[0]["l_dis"], found[1]["l_dis"])


class Falling(Recording):
    """Answers y times the distance from the top of what it is shown, in pixels."""

    def answer(self, x_t: Tensor, y: Tensor, alpha: Tensor) -> Tensor:
        return torch.arange(x_t.shape[-2], dtype=x_t.dtype).view(-1, 1) * y


@pytest.mark.parametrize(
    ("drawn", "falling", "expected"),
    [
        ((0.3, 0.0, 0.0), False, 8.0),  # 8 rows down
        ((0.8, 0.8, 0.0), False, 24.0),  # 24 rows and columns
        ((0.0, 0.3, 0.0), False, 0.0),  # 8 columns: the same rows
        ((0.0, 0.0, 0.26), False, 0.0),  # upside down: blocks change, the mean does not
        ((0.0, 0.0, 0.26), True, 266.5),  # the means of i² and of i (39 - i), i = 0 … 39
    ],
)
def test_shift_loss_by_hand(
    drawn: tuple[float, ...], falling: bool, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_t, context = torch.zeros(1, 3, 40, 40, dtype=torch.float64), torch.zeros(1, 3, 8, 8)
    y = torch.ones_like(x_t)
    if falling:
        y = torch.arange(40, dtype=torch.float64).view(-1, 1) * y
    t, rng = torch.full((1,), 512.0), step_rng(0, 1)
    numbers = iter(drawn)
    monkeypatch.setattr(rng, "batch_uniform", lambda: next(numbers))
    student = Denoiser(Falling(), PAPER, "x0")
    method = ReDDiT(student, Denoiser(Blend(), PAPER, "x0"), 1, config(w_shift=1.0))
    whole = student(x_t, t, y, context).x_0
    assert method._shift_loss(x_t, t, y, context, whole, rng).item() == pytest.approx(expected**2)
