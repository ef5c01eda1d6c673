from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from reddit.checkpoint.format import CheckpointInfo, load_state, read_info, save_state, save_weights
from reddit.config import Config, DataConfig, ReDDiTConfig, TrainConfig
from reddit.data import Batch, Pair, TrainingCrops, training_loader
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.methods import Method, ReDDiT, StepRNG, Teacher
from reddit.models import ConditionalUNet
from reddit.training.ema import WeightAverage
from reddit.training.loop import Trainer
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import Progress
from reddit.training.stopping import StopRequest
from reddit.training.validation import FIRST_LOOK, Validate, Validation
from reddit.utils.errors import UserError

SETTINGS = TrainConfig(
    iterations=8, batch_size=2, lr=1e-3, warmup=2, decay_from=0.5, lr_end=1e-5, log_every=2, validate_every=3,
    checkpoint_every=3,
)  # fmt: skip


def tiny_denoiser(seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    network = ConditionalUNet(width=8, multipliers=[1, 2], blocks=1, attention_levels=[1], groups=4)
    return Denoiser(network, NoiseSchedule(zero_terminal_snr=True), "v")


def teacher() -> Method:
    return Teacher(tiny_denoiser(), 16, p_terminal=0.2)


def student() -> Method:
    settings = ReDDiTConfig(w_per=0.0, p_rollout=0.5, p_terminal=0.2)
    return ReDDiT(tiny_denoiser(), tiny_denoiser(), 2, settings)


def crops() -> TrainingCrops:
    rng = np.random.default_rng(0)
    pairs = [Pair(str(i), *rng.integers(0, 256, (2, 14, 12, 3), np.uint8)) for i in range(3)]
    return TrainingCrops(pairs, DataConfig(crop=8, vertical_flip=True), seed=4)


class InterruptedRunError(Exception):
    pass


class Run:
    """One run in one folder, with what `fit` asks for."""

    def __init__(self, method: Method, folder: Path, settings: TrainConfig = SETTINGS) -> None:
        self.method, self.folder, self.settings = method, folder, settings
        self.validated: list[tuple[float, dict[str, Tensor]]] = []
        self.first_looks = 0
        self.crops = crops()

    def loader(
        self, done: int, batch_indices: range, grad_accum_steps: int, stop: int | None
    ) -> Iterable[Batch | UserError]:
        loader = training_loader(
            self.crops,
            self.settings.batch_size,
            0,
            done,
            batch_indices=batch_indices,
            grad_accum_steps=grad_accum_steps,
        )
        return loader if stop is None else self._stopping(loader, stop)

    @staticmethod
    def _stopping(loader: Iterable[Batch | UserError], stop: int) -> Iterator[Batch | UserError]:
        for number, batch in enumerate(loader):
            if number == stop:
                raise InterruptedRunError
            yield batch

    def validate(
        self, denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None
    ) -> Validation:
        """The further the weights have moved, the better: rises with every iteration."""
        picture = torch.zeros(3, 4, 4)
        if limit is not None:
            assert limit == FIRST_LOOK
            self.first_looks += 1
            return Validation({"psnr": 0.0}, (picture, picture, picture))
        now, first = denoiser.network.state_dict(), tiny_denoiser().network.state_dict()
        moved = sum((now[name] - first[name]).abs().sum().item() for name in now)
        self.validated.append((moved, copy.deepcopy(now)))
        return Validation({"psnr": moved}, (picture, picture, picture))

    def save(self, path: Path, denoiser: Denoiser, *, iteration: int, validation: dict[str, float]) -> None:
        named = {"steps": 1, "family": "tiny", "method": self.method.name, "iteration": iteration}
        save_weights(path, denoiser, Config(), **named, validation=validation)  # type: ignore[arg-type]

    def go(self, stop: int | None = None, resume: Path | None = None, validate: bool = True) -> Progress:
        return Trainer(
            self.method,
            lambda done, batch_indices, grad_accum_steps: self.loader(
                done, batch_indices, grad_accum_steps, stop
            ),
            self.settings,
            self.folder,
            seed=11,
            precision="fp32",
            write_weights=self.save,
            validate=self.validate if validate else None,
            quiet=True,
        ).train(resume)

    @property
    def state(self) -> Path:
        return self.folder / "checkpoints" / "state.pt"

    def weights(self, name: str) -> dict[str, Tensor]:
        return load_file(self.folder / "checkpoints" / f"{name}.safetensors")

    def info(self, name: str) -> CheckpointInfo:
        return read_info(self.folder / "checkpoints" / f"{name}.safetensors")


def same(a: object, b: object) -> bool:
    """Equal bit for bit, through dictionaries and lists."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("make", [teacher, student])
@pytest.mark.parametrize("stop", [4, 7])
def test_a_resumed_run_is_bit_identical(make: type, stop: int, tmp_path: Path) -> None:
    whole = Run(make(), tmp_path / "whole")
    whole.go()
    broken = Run(make(), tmp_path / "broken")
    with pytest.raises(InterruptedRunError):
        broken.go(stop=stop)
    state = broken.state
    assert load_state(state)["progress"]["iteration"] == stop // 3 * 3
    torch.manual_seed(999)  # the global generator must not matter
    again = Run(make(), tmp_path / "broken")
    progress = again.go(resume=state)
    assert progress.iteration == 8

    assert same(again.method.denoiser.network.state_dict(), whole.method.denoiser.network.state_dict())
    ours, theirs = (load_state(run.state) for run in (again, whole))
    for part in ("denoiser", "average", "optimizer", "scaler"):
        assert same(ours[part], theirs[part]), part
    assert same(again.weights("last"), whole.weights("last"))
    assert same(again.weights("best"), whole.weights("best"))
    assert not same(whole.method.denoiser.network.state_dict(), make().denoiser.network.state_dict())


def test_a_resumed_log_has_each_iteration_once(tmp_path: Path) -> None:
    broken = Run(teacher(), tmp_path)
    with pytest.raises(InterruptedRunError):
        broken.go(stop=7)
    again = Run(teacher(), tmp_path)
    again.go(resume=broken.state)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    at = {kind: [x["iteration"] for x in lines if x["kind"] == kind] for kind in ("train", "validation")}
    assert at == {"train": [2, 4, 6, 8], "validation": [3, 6, 8]}
    for line in lines:
        if line["kind"] == "train":
            assert line["lr"] == pytest.approx(learning_rate(SETTINGS, line["iteration"] - 1))


def test_a_restarted_run_restarts_its_log(tmp_path: Path) -> None:
    broken = Run(teacher(), tmp_path)
    with pytest.raises(InterruptedRunError):
        broken.go(stop=2)
    assert not broken.state.exists()
    Run(teacher(), tmp_path).go()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [x["iteration"] for x in lines if x["kind"] == "validation"] == [3, 6, 8]


def test_another_batch_size_is_another_run(tmp_path: Path) -> None:
    first, second = Run(teacher(), tmp_path / "a"), Run(teacher(), tmp_path / "b")
    first.go()
    second.settings = SETTINGS.model_copy(update={"batch_size": 1})
    second.go()
    assert not same(first.method.denoiser.network.state_dict(), second.method.denoiser.network.state_dict())


@pytest.mark.parametrize("make", [teacher, student])
def test_micro_batches_train_the_same(make: type, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 4})
    whole = Run(make(), tmp_path / "whole", settings)
    accumulated = Run(make(), tmp_path / "accumulated", settings.model_copy(update={"grad_accum_steps": 2}))
    whole.go()
    accumulated.go()
    ours, theirs = (run.method.denoiser.network.state_dict() for run in (accumulated, whole))
    moved = [
        (theirs[name] - p).abs().max().item() for name, p in make().denoiser.network.state_dict().items()
    ]
    assert max(moved) > 1e-3
    for name in ours:
        assert torch.allclose(ours[name], theirs[name], atol=1e-5), name


def test_a_batch_that_cannot_be_split(tmp_path: Path) -> None:
    run = Run(teacher(), tmp_path, SETTINGS.model_copy(update={"batch_size": 4, "grad_accum_steps": 3}))
    with pytest.raises(UserError, match=r"train\.batch_size: 4 must be divisible by .*a multiple of 3"):
        run.go()


def test_a_compiled_network_trains_and_saves_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    run = Run(teacher(), tmp_path, SETTINGS.model_copy(update={"compile": True}))
    network = type(run.method.denoiser.network)
    monkeypatch.setattr(network, "compile", lambda module: compiled.append(module))
    run.go()
    assert compiled == [run.method.denoiser.network]
    assert run.weights("last").keys() == tiny_denoiser().network.state_dict().keys()


def test_best_and_last_are_written(tmp_path: Path) -> None:
    run = Run(teacher(), tmp_path)
    progress = run.go()
    names = {path.name for path in run.state.parent.iterdir()}
    assert names == {"best.safetensors", "last.safetensors", "state.pt"}
    assert (tmp_path / "log.jsonl").is_file()
    assert any((tmp_path / "tb").iterdir())
    scores = [score for score, _ in run.validated]
    assert run.first_looks == 1  # before the first step, to fail early; never chosen
    assert len(scores) == 3  # after 3, 6 and 8
    assert max(scores) == scores[-1] == progress.best
    assert run.info("best").iteration == 8
    assert run.info("best").validation == {"psnr": scores[-1]}
    assert same(run.weights("best"), dict(run.validated[-1][1]))


def scores_of(*scores: float) -> Validate:
    """A validation that answers these, one after the other, after its first look."""
    left = iter(scores)
    picture = torch.zeros(3, 4, 4)

    def validate(denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None) -> Validation:
        return Validation({"psnr": 99.0 if limit else next(left)}, (picture, picture, picture))

    return validate


def test_best_is_not_the_last_where_an_earlier_one_scored_higher(tmp_path: Path) -> None:
    run = Run(teacher(), tmp_path)
    run.validate = scores_of(5.0, 7.0, 6.0)  # type: ignore[method-assign]
    assert run.go().best == 7.0
    assert (run.info("best").iteration, run.info("last").iteration) == (6, 8)
    assert not same(run.weights("best"), run.weights("last"))


def test_a_resumed_run_remembers_its_best(tmp_path: Path) -> None:
    broken, again = Run(teacher(), tmp_path), Run(teacher(), tmp_path)
    broken.validate = scores_of(9.0)  # type: ignore[method-assign]
    again.validate = scores_of(5.0, 7.0)  # type: ignore[method-assign]
    with pytest.raises(InterruptedRunError):
        broken.go(stop=4)
    assert again.go(resume=broken.state).best == 9.0
    assert again.info("best").iteration == 3
    assert again.info("last").validation == {"psnr": 7.0}


def test_without_validation_the_newest_weights_are_chosen(tmp_path: Path) -> None:
    run = Run(teacher(), tmp_path)
    run.go(validate=False)
    assert run.info("best").iteration == 8
    longer = Run(teacher(), tmp_path, SETTINGS.model_copy(update={"iterations": 10}))
    longer.go(resume=run.state, validate=False)
    assert run.info("best").iteration == 10
    assert same(run.weights("best"), run.weights("last"))


def test_a_state_that_does_not_fit(tmp_path: Path) -> None:
    run = Run(teacher(), tmp_path)
    run.go()
    wider = ConditionalUNet(width=16, multipliers=[1, 2], blocks=1, attention_levels=[1], groups=4)
    other = Run(Teacher(Denoiser(wider, NoiseSchedule(), "v"), 16), tmp_path)
    with pytest.raises(UserError, match=r"state\.pt does not match"):
        other.go(resume=run.state)
    save_state(tmp_path / "empty.pt", {})
    with pytest.raises(UserError, match=r"empty\.pt does not match"):
        Run(teacher(), tmp_path).go(resume=tmp_path / "empty.pt")


class Diverging:
    """A method whose loss is no number from some iteration on."""

    name = "diverging"
    steps = 1

    def __init__(self, after: int) -> None:
        self.denoiser = tiny_denoiser()
        self.after = after
        self.calls = 0

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        self.calls += 1
        weight = next(self.denoiser.parameters())
        return {"loss": weight.sum() * (math.nan if self.calls > self.after else 1.0)}


@pytest.mark.parametrize("log_every", [2, 1000])
def test_a_nan_loss_ends_the_run_and_keeps_the_state(tmp_path: Path, log_every: int) -> None:
    settings = SETTINGS.model_copy(
        update={"iterations": 50, "log_every": log_every, "validate_every": 1000, "checkpoint_every": 3}
    )
    run = Run(Diverging(after=4), tmp_path, settings)
    with pytest.raises(
        UserError, match=r"the loss is not finite at iteration 5 .*0\.001.*state\.pt"
    ) as error:
        run.go()
    assert "\n" not in str(error.value)
    state = load_state(run.state)
    assert state["progress"]["iteration"] == 3
    assert all(value.isfinite().all() for value in state["denoiser"].values())


def test_a_nan_gradient_is_not_saved(tmp_path: Path) -> None:
    class Kinked(Diverging):
        def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
            self.calls += 1
            weight = next(self.denoiser.parameters())
            # The root's slope at 0 is infinite: a loss of 0 with a gradient of 0 · inf.
            return {"loss": (0 * weight).sum().sqrt() if self.calls > self.after else weight.sum()}

    settings = SETTINGS.model_copy(update={"iterations": 50, "log_every": 1000, "checkpoint_every": 3})
    run = Run(Kinked(after=5), tmp_path, settings)
    with pytest.raises(UserError, match="the gradient norm is not finite at iteration 6"):
        run.go()
    state = load_state(run.state)
    assert state["progress"]["iteration"] == 3
    assert all(value.isfinite().all() for value in state["denoiser"].values())


def test_gradients_are_clipped(tmp_path: Path) -> None:
    class Steep(Diverging):
        def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
            return {"loss": 1e6 * sum(p.square().sum() for p in self.denoiser.parameters())}  # type: ignore

    method = Steep(0)
    Run(method, tmp_path, SETTINGS.model_copy(update={"iterations": 1, "gradient_clip": 0.5})).go()
    norm = math.sqrt(
        sum(p.grad.square().sum().item() for p in method.denoiser.parameters() if p.grad is not None)
    )
    assert norm == pytest.approx(0.5, rel=1e-4)


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        return x_t * self.value


def test_average_by_hand() -> None:
    denoiser = Denoiser(Weight(), NoiseSchedule(), "v")
    average = WeightAverage(denoiser, decay=0.3)
    expected = 0.0
    for i, value in enumerate([4.0, -2.0, 1.0, 7.0, 3.0]):
        with torch.no_grad():
            denoiser.network.value.fill_(value)
        average.update(denoiser, i)
        decay = min(0.3, (1 + i) / (10 + i))  # 0.1, 2/11, 3/12, 4/13, 0.3: the last two are capped
        expected = decay * expected + (1 - decay) * value
        assert average.average.network.value.item() == pytest.approx(expected, rel=1e-6)
    assert not average.average.network.value.requires_grad
    assert denoiser.network.value.item() == 3.0


def test_the_average_warms_up() -> None:
    denoiser = Denoiser(Weight(), NoiseSchedule(), "v")
    with torch.no_grad():
        denoiser.network.value.fill_(1.0)
    average = WeightAverage(denoiser, decay=0.9999)
    with torch.no_grad():
        denoiser.network.value.fill_(0.0)
    for i in range(100):
        average.update(denoiser, i)
    assert average.average.network.value.item() < 1e-6  # a constant 0.9999 would leave 0.99


def test_learning_rate_shape() -> None:
    settings = TrainConfig(iterations=100, lr=1.0, warmup=10, decay_from=0.4, lr_end=0.2)
    assert [learning_rate(settings, i) for i in (0, 4, 9, 10, 25, 40)] == pytest.approx(
        [0.1, 0.5, 1, 1, 1, 1]
    )
    assert learning_rate(settings, 70) == pytest.approx(0.6)
    assert learning_rate(settings, 99) == pytest.approx(0.2 + 0.8 / 60)
    assert learning_rate(settings, 100) == pytest.approx(0.2)
    constant = TrainConfig(iterations=100, lr=0.5)
    assert {learning_rate(constant, i) for i in range(100)} == {0.5}
