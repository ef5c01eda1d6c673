from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from safetensors.torch import save_file
from skimage import data

from reddit.image.pixels import to_float
from reddit.image.read import read_image
from reddit.image.write import write_image
from reddit.metrics import (
    PAPER,
    PROTOCOLS,
    STANDARD,
    Scorer,
    Scores,
    gt_mean,
    json_safe,
    protocol_named,
    psnr,
    ssim,
    summarise,
)
from reddit.metrics.perceptual import _alexnet
from reddit.utils.errors import UserError


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    gt = to_float(data.coffee())[:, 50:250, 100:300]
    noise = 0.03 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(0))
    return (0.6 * gt + noise).clamp(0, 1), gt


def plain(protocol=STANDARD) -> Scorer:
    return Scorer(protocol, with_lpips=False)


def test_gt_mean_by_hand() -> None:
    output = torch.tensor([0.2, 0.1, 0.3]).view(3, 1, 1).expand(3, 2, 2)
    gt = torch.tensor([0.6, 0.5, 0.1]).view(3, 1, 1).expand(3, 2, 2)
    k = (0.299 * 0.6 + 0.587 * 0.5 + 0.114 * 0.1) / (0.299 * 0.2 + 0.587 * 0.1 + 0.114 * 0.3)
    assert k > 3.1  # so that blue is clipped or near it
    expected = [min(1.0, k * v) for v in (0.2, 0.1, 0.3)]
    assert gt_mean(output, gt)[:, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_gt_mean_is_per_picture() -> None:
    output, gt = torch.rand(2, 3, 8, 8) * 0.4, torch.rand(2, 3, 8, 8) * 0.4
    both = gt_mean(output, gt)
    assert torch.equal(both[1], gt_mean(output[1], gt[1]))
    assert both.dtype == output.dtype


def test_gt_mean_of_a_black_output_is_black() -> None:
    assert gt_mean(torch.zeros(3, 8, 8), torch.rand(3, 8, 8)).abs().max() == 0


def test_gt_mean_undoes_a_change_of_brightness(pair) -> None:
    _, gt = pair
    scores = plain().score(gt * 0.5, gt)
    assert scores.gt_mean["psnr"] > scores.raw["psnr"] + 20


def test_standard_uses_the_gaussian_window_and_eight_bits(pair) -> None:
    output, gt = pair
    rounded = (output * 255).round() / 255
    scores = plain().score(output, gt)
    assert scores.raw["psnr"] == pytest.approx(psnr(rounded[None], gt[None]).item(), abs=1e-12)
    assert scores.raw["ssim"] == pytest.approx(ssim(rounded[None], gt[None]).item(), abs=1e-6)
    paper = plain(PAPER).score(output, gt)
    assert paper.raw["ssim"] == pytest.approx(ssim(rounded[None], gt[None], "uniform").item(), abs=1e-6)


@pytest.mark.parametrize("protocol", [STANDARD, PAPER])
def test_memory_scores_as_the_png_does(protocol, pair, tmp_path) -> None:
    output, gt = pair
    write_image(tmp_path / "output.png", output)
    scorer = Scorer(protocol, with_lpips=False, with_niqe=True)
    assert scorer.score(output, gt) == scorer.score(read_image(tmp_path / "output.png"), gt)


@pytest.mark.parametrize(("protocol", "levels"), [(STANDARD, (8, 22)), (PAPER, (8, 21))])
def test_rounding_of_the_gt_mean_picture(protocol, levels) -> None:
    """Rows of grey 11 and 30 against 15: k = 15 / 20.5, which makes 8.05 and 21.95 of them."""
    output, gt = torch.full((3, 12, 12), 11 / 255), torch.full((3, 12, 12), 15 / 255)
    output[:, ::2] = 30 / 255
    mse = sum((level - 15) ** 2 for level in levels) / 2
    score = plain(protocol).score(output, gt).gt_mean["psnr"]
    assert score == pytest.approx(10 * math.log10(255**2 / mse), abs=1e-9)


@pytest.mark.parametrize("protocol", [STANDARD, PAPER])
def test_equal_pictures(protocol) -> None:
    levels = torch.arange(256).repeat(3, 12, 1) / 255  # every level survives its own GT-mean
    scores = plain(protocol).score(levels, levels)
    for numbers in (scores.raw, scores.gt_mean):
        assert numbers["psnr"] == math.inf
        assert numbers["ssim"] == pytest.approx(1)
    assert json.dumps(scores.to_json(), allow_nan=False).count('"inf"') == 2


def test_a_black_output_has_finite_scores(pair) -> None:
    _, gt = pair
    scores = Scorer(with_lpips=False, with_niqe=True).score(torch.zeros_like(gt), gt)
    assert all(math.isfinite(v) for v in [*scores.raw.values(), *scores.gt_mean.values()])
    assert scores.niqe == math.inf


def test_lpips_is_built_once_and_only_when_needed(pair, tmp_path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "alexnet.safetensors"
    scorer = Scorer(lpips_weights=path)  # does not exist yet, and nobody minds
    save_file({f"features.{name}": p.data for name, p in _alexnet().named_parameters()}, path)
    first = scorer.score(*pair)
    path.unlink()
    assert scorer.score(*pair) == first
    assert first.raw["lpips"] > 0
    assert list(first.raw) == list(first.gt_mean) == ["psnr", "ssim", "lpips"]


def test_without_a_gt() -> None:
    output = to_float(data.coffee())
    assert plain().score(output) == Scores()
    scores = Scorer(with_lpips=False, with_niqe=True).score(output)
    assert scores.raw == {}
    assert scores.niqe == pytest.approx(4.1152, abs=1e-3)


def test_mistakes_name_both_sizes() -> None:
    with pytest.raises(UserError, match=r"16x20.*16x24"):
        plain().score(torch.rand(3, 20, 16), torch.rand(3, 24, 16))
    with pytest.raises(UserError, match=r"one RGB picture, \(3, H, W\)"):
        plain().score(torch.rand(1, 3, 20, 16), torch.rand(1, 3, 20, 16))
    with pytest.raises(UserError, match=r"output holds NaN"):
        plain().score(torch.full((3, 20, 16), math.nan), torch.rand(3, 20, 16))


def test_protocols_are_named_and_frozen() -> None:
    assert PROTOCOLS == {"standard": STANDARD, "paper": PAPER}
    assert protocol_named("paper") is PAPER
    with pytest.raises(UserError, match=r"choose from standard, paper"):
        protocol_named("papr")
    with pytest.raises(FrozenInstanceError):
        STANDARD.name = "other"


def test_descriptions_are_one_line_and_differ() -> None:
    for protocol in PROTOCOLS.values():
        line = protocol.describe()
        assert "\n" not in line
        for word in (protocol.name, "PSNR", "SSIM", "LPIPS", "GT-mean", "NIQE"):
            assert word in line
    assert STANDARD.describe() != PAPER.describe().replace("paper", "standard")


def test_summary() -> None:
    first = Scores({"psnr": 20.0, "ssim": 0.5}, {"psnr": 24.0, "ssim": 0.7}, 4.0)
    second = Scores({"psnr": math.inf, "ssim": 0.7}, {"psnr": 26.0, "ssim": 0.9}, None)
    mean = summarise([first, second])
    assert mean.raw == {"psnr": math.inf, "ssim": pytest.approx(0.6)}
    assert mean.gt_mean == {"psnr": 25.0, "ssim": pytest.approx(0.8)}
    assert mean.niqe == 4.0
    assert summarise([Scores(), Scores()]) == Scores()
    with pytest.raises(UserError, match=r"no picture was scored"):
        summarise([])


def test_json_safe() -> None:
    assert json_safe(1.5) == 1.5
    assert json_safe(math.inf) == "inf"
