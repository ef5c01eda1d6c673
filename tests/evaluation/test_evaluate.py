from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reddit.data import TestPicture
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.evaluation.evaluate import evaluate, mean_over, predict_with
from reddit.evaluation.result import Evaluation, flat_scores
from reddit.image.pixels import to_float
from reddit.metrics import Scorer
from reddit.models import ConditionalUNet
from reddit.utils.errors import UserError


def pictures(count: int = 3, size: tuple[int, int] = (24, 32)) -> list[TestPicture]:
    rng = np.random.default_rng(0)
    shape = (*size, 3)
    return [
        TestPicture(
            str(k),
            rng.integers(0, 60, shape).astype(np.uint8),
            rng.integers(0, 256, shape).astype(np.uint8),
        )
        for k in range(count)
    ]


def shifted(name: str, low: np.ndarray, seed: int) -> Tensor:
    """A prediction whose brightness depends on the seed and the picture."""
    return (to_float(low) + 0.1 * (seed + 1) + 0.05 * int(name)).clamp(0, 1)


def scored(seeds: tuple[int, ...] = (0,), order: int = 1) -> Evaluation:
    scorer = Scorer(with_lpips=False)
    return evaluate("set", pictures()[::order], "method", shifted, scorer, seeds=seeds, quiet=True)


def test_the_mean_is_over_pictures_and_seeds() -> None:
    evaluation = scored(seeds=(0, 1, 2))
    everything = [s.raw["psnr"] for p in evaluation.pictures for s in p.scores]
    assert evaluation.mean().raw["psnr"] == pytest.approx(np.mean(everything))


def test_the_deviation_is_that_of_the_set_means() -> None:
    evaluation = scored(seeds=(0, 1, 2))
    means = [scored(seeds=(seed,)).mean().raw["psnr"] for seed in (0, 1, 2)]
    assert evaluation.deviation()["raw.psnr"] == pytest.approx(np.std(means, ddof=1))
    assert scored().deviation() == {}


def test_settings_that_affect_scores_are_described() -> None:
    described = scored(seeds=(0, 1)).describe()
    for word in ("protocol standard", "SSIM Gaussian", "resolution 32×24", "seeds 0 1", "standard deviation"):
        assert word in described
    assert "deviation" not in scored().describe()


def test_the_order_of_pictures_changes_nothing() -> None:
    forward, backward = scored(), scored(order=-1)
    assert flat_scores(forward.mean()) == pytest.approx(flat_scores(backward.mean()), abs=1e-12)


def test_a_perfect_method_is_infinite_and_not_a_crash() -> None:
    gts = {p.name: to_float(np.asarray(p.high)) for p in pictures()}
    evaluation = evaluate(
        "set", pictures(), "gt", lambda n, low, seed: gts[n], Scorer(with_lpips=False), seeds=(0, 1),
        quiet=True,
    )  # fmt: skip
    assert math.isinf(evaluation.mean().raw["psnr"])
    assert evaluation.mean().raw["ssim"] == pytest.approx(1)
    data = evaluation.to_json()
    assert data["raw"]["psnr"] == "inf" and "raw.psnr" not in data["deviation_over_seeds"]


def test_a_missized_output_names_the_picture() -> None:
    with pytest.raises(UserError, match=r"^set 0") as caught:
        evaluate(
            "set", pictures(), "m", lambda n, low, seed: torch.zeros(3, 8, 8), Scorer(with_lpips=False),
            quiet=True,
        )  # fmt: skip
    assert "8" in str(caught.value) and "\n" not in str(caught.value)


def test_a_models_output_depends_only_on_seed_and_pixels() -> None:
    torch.manual_seed(0)
    network = ConditionalUNet(8, (1, 2), 1, (), 4)
    predict = predict_with(Denoiser(network, NoiseSchedule(zero_terminal_snr=True), "v").eval(), 2)
    low = np.asarray(pictures(1)[0].low)
    first = predict("a", low, 0)
    predict("between", low[::-1].copy(), 0)
    assert torch.equal(first, predict("another name", low, 0))
    assert not torch.equal(first, predict("a", low, 1))
    assert first.shape == (3, 24, 32) and first.min() >= 0 and first.max() <= 1


def test_the_mean_of_samples_halves_their_squared_error_at_best() -> None:
    """Samples around the posterior mean m of a gt around it: E|sample - gt|² = 2 E|m - gt|²."""

    def sample(name: str, low: np.ndarray, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return 0.5 + 0.1 * torch.randn(3, 64, 64, generator=generator, dtype=torch.float64)

    low = np.zeros((64, 64, 3), np.uint8)
    gt = sample("", low, 10_000)
    one = (sample("", low, 0) - gt).square().mean().item()
    many = (mean_over(sample, range(200))("", low, 0) - gt).square().mean().item()
    assert one / many == pytest.approx(2, rel=0.05)


def test_pictures_seen_in_training_are_marked_and_scored_apart() -> None:
    """Known answers: the means of the parts, by hand."""
    seen = frozenset({"0", "2"})
    found = evaluate("set", pictures(), "method", shifted, Scorer(with_lpips=False), seen=seen, quiet=True)
    scores = {p.name: p.mean().raw["psnr"] for p in found.pictures}
    plain = found.to_json()
    assert [p["seen_in_training"] for p in plain["per_image"]] == [True, False, True]
    assert plain["apart"]["seen in training"]["images"] == 2
    assert plain["apart"]["seen in training"]["raw"]["psnr"] == pytest.approx((scores["0"] + scores["2"]) / 2)
    assert plain["apart"]["unseen"]["raw"]["psnr"] == scores["1"]
    assert plain["raw"]["psnr"] == pytest.approx(sum(scores.values()) / 3)
    assert f"1 picture unseen: raw.psnr {scores['1']:.4f}" in found.describe()
    assert "2 pictures seen in training: raw.psnr" in found.describe()


@pytest.mark.parametrize("seen", [None, frozenset(), frozenset({"0", "1", "2"})])
def test_nothing_is_apart_where_all_or_none_was_seen(seen: frozenset[str] | None) -> None:
    found = evaluate("set", pictures(), "method", shifted, Scorer(with_lpips=False), seen=seen, quiet=True)
    assert found.apart() == {} and found.to_json()["apart"] == {}
    marks = [p["seen_in_training"] for p in found.to_json()["per_image"]]
    assert marks == [None if seen is None else bool(seen)] * 3


def test_both_kinds_of_niqe_stand_side_by_side() -> None:
    scorer = Scorer(with_lpips=False, with_niqe=True, with_niqe_grey=True)
    colour = pictures(1, (192, 192))
    found = evaluate("set", colour, "method", shifted, scorer, quiet=True)
    flat = flat_scores(found.mean())
    assert list(flat)[-2:] == ["niqe", "niqe_grey"] and flat["niqe"] != flat["niqe_grey"]
    assert found.to_json()["niqe_grey"] == flat["niqe_grey"]


def test_one_bad_picture_does_not_end_an_evaluation(tmp_path: Path) -> None:
    """Tiny, damaged and missing ones are named and left out, where that is asked for."""
    good = pictures(2)
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    tiny = np.zeros((5, 5, 3), np.uint8)
    bad = [
        TestPicture("7", tiny, tiny),
        TestPicture("8", tmp_path / "damaged.png", tiny),
        TestPicture("9", good[0].low, tmp_path / "missing.png"),
    ]
    failed: list[str] = []
    scorer = Scorer(with_lpips=False)
    mixed = [bad[0], good[0], bad[1], good[1], bad[2]]
    found = evaluate("set", mixed, "method", shifted, scorer, failed=failed, quiet=True)
    assert found.pictures == evaluate("set", good, "method", shifted, scorer, quiet=True).pictures
    assert len(failed) == 3
    for line, words in zip(
        failed, ("set 7: 5x5 is too small for SSIM", "damaged.png", "missing.png"), strict=True
    ):
        assert words in line
    with pytest.raises(UserError, match="no picture of set can be scored; the first: set 7"):
        evaluate("set", bad, "method", shifted, scorer, failed=[], quiet=True)
    with pytest.raises(UserError, match=r"set 7: 5x5 is too small"):
        evaluate("set", mixed, "method", shifted, scorer, quiet=True)
