"""Named protocols: which variant of each metric is computed, so that scores can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from reddit.metrics.niqe import NiqeVariant, niqe
from reddit.metrics.pairs import check_batch, check_pair, to_eight_bits
from reddit.metrics.perceptual import LPIPS, LpipsBackbone, LpipsFeeding
from reddit.metrics.psnr import psnr
from reddit.metrics.ssim import SsimWindow, ssim
from reddit.utils.errors import UserError

_LUMA = (0.299, 0.587, 0.114)  # OpenCV's grey


@dataclass(frozen=True)
class Protocol:
    """The variants of all metrics. Every protocol first rounds the output and the ground truth to 8 bits.

    `gt_mean_rounding`: how the GT-mean picture is rounded to 8 bits, to the nearest level or down.
    """

    name: str
    ssim_window: SsimWindow
    lpips_backbone: LpipsBackbone
    lpips_feeding: LpipsFeeding
    niqe_variant: NiqeVariant
    gt_mean_rounding: Literal["nearest", "down"]

    def describe(self) -> str:
        """One line with all variants, to print with the scores."""
        window = {"gaussian": "Gaussian 11x11 sigma 1.5", "uniform": "uniform 7x7, sample covariance"}
        network = {"alex": "AlexNet", "vgg": "VGG-16"}
        feeding = {"rgb": "RGB in [-1,1]", "paper": "BGR in 0-255"}
        blocks = {
            "basicsr": "as in BasicSR, 96x96 blocks of studio-range Y",
            "paper": "port with 8x8 blocks of grey",
        }
        rounding = {"nearest": "to nearest", "down": "down"}
        return (
            f"protocol {self.name}: 8-bit RGB; PSNR over all channels; "
            f"SSIM {window[self.ssim_window]}, valid region, mean of channels; "
            f"LPIPS v0.1 {network[self.lpips_backbone]}, {feeding[self.lpips_feeding]}; "
            f"GT-mean by OpenCV grey, rounded {rounding[self.gt_mean_rounding]}; "
            f"NIQE {blocks[self.niqe_variant]}; NIQE-grey the same of MATLAB rgb2gray"
        )


STANDARD = Protocol("standard", "gaussian", "alex", "rgb", "basicsr", "nearest")
PAPER = Protocol("paper", "uniform", "vgg", "paper", "paper", "down")
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (STANDARD, PAPER)}


@dataclass(frozen=True)
class Scores:
    """The scores of one picture, or means over many.

    `raw` and `gt_mean` hold "psnr" (dB), "ssim" and, if requested, "lpips"; both are empty without ground
    truth. `niqe` and `niqe_grey` are computed on the raw output; None if not requested.
    """

    raw: dict[str, float] = field(default_factory=dict)
    gt_mean: dict[str, float] = field(default_factory=dict)
    niqe: float | None = None
    niqe_grey: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; infinity becomes the string "inf"."""
        return {
            "raw": {name: json_safe(value) for name, value in self.raw.items()},
            "gt_mean": {name: json_safe(value) for name, value in self.gt_mean.items()},
            "niqe": None if self.niqe is None else json_safe(self.niqe),
            "niqe_grey": None if self.niqe_grey is None else json_safe(self.niqe_grey),
        }


def protocol_named(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UserError: unknown name; the message lists the known ones.
    """
    if name not in PROTOCOLS:
        raise UserError(f"protocol {name!r} is unknown; choose from {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def gt_mean(output: Tensor, gt: Tensor) -> Tensor:
    """Scale the output to the mean brightness of the ground truth: clip(k·output, 0, 1), k = mean grey ratio.

    From KinD's evaluation code. It raises every score, so it is reported only together with the raw score.

    Args:
        output, gt: (..., 3, H, W) in [0, 1]; each picture has its own k.

    Returns:
        A tensor with the shape and dtype of `output`, not rounded. A black output stays black.
    """
    mean_output, mean_gt = _mean_grey(output), _mean_grey(gt)
    k = torch.where(mean_output > 0, mean_gt / mean_output.clamp(min=1e-12), 1.0)
    return (output.double() * k).clamp(0, 1).to(output.dtype)


def _mean_grey(image: Tensor) -> Tensor:
    """(..., 3, H, W) → float64 (..., 1, 1, 1)."""
    luma = torch.tensor(_LUMA, dtype=torch.float64, device=image.device).view(3, 1, 1)
    return (image.double().mean(dim=(-2, -1), keepdim=True) * luma).sum(dim=-3, keepdim=True)


class Scorer:
    """Scores pictures one at a time by a protocol. LPIPS is loaded on first use.

    Args:
        protocol: the variants of the metrics.
        with_lpips, with_niqe, with_niqe_grey: whether to compute them.
        lpips_weights: a file with the backbone's convolutions; see `LPIPS`.
        device: device of LPIPS; the rest runs on the CPU, so that scores do not depend on the device.
    """

    def __init__(
        self,
        protocol: Protocol = STANDARD,
        *,
        with_lpips: bool = True,
        with_niqe: bool = False,
        with_niqe_grey: bool = False,
        lpips_weights: str | Path | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.protocol = protocol
        self.with_lpips = with_lpips
        self.with_niqe = with_niqe
        self.with_niqe_grey = with_niqe_grey
        self._lpips_weights = lpips_weights
        self._device = torch.device(device)
        self._lpips: LPIPS | None = None

    def lpips(self) -> LPIPS:
        """The LPIPS network of the protocol. Call it early, so that missing weights are reported early.

        Raises:
            UserError: its weights are missing and cannot be downloaded.
        """
        if self._lpips is None:
            protocol = self.protocol
            module = LPIPS(protocol.lpips_backbone, self._lpips_weights, protocol.lpips_feeding)
            self._lpips = module.to(self._device)
        return self._lpips

    @torch.no_grad()
    def score(self, output: Tensor, gt: Tensor | None = None) -> Scores:
        """Score one picture; the scores equal those of the PNG file written from it.

        Args:
            output, gt: (3, H, W) in [0, 1]; without a ground truth only NIQE is computed.

        Raises:
            UserError: the sizes differ or are too small, a value is not finite, or LPIPS weights are missing.
        """
        output = _as_batch(output, "output")
        natural = Scores(
            niqe=niqe(output, self.protocol.niqe_variant).item() if self.with_niqe else None,
            niqe_grey=niqe(output, "grey").item() if self.with_niqe_grey else None,
        )
        if gt is None:
            return natural
        gt = _as_batch(gt, "ground truth")
        check_pair(output, gt)
        output, gt = to_eight_bits(output), to_eight_bits(gt)
        outputs = [output, self._adjust(output, gt)]
        raw, adjusted = ({"psnr": psnr(x, gt).item(), "ssim": self._ssim(x, gt)} for x in outputs)
        if self.with_lpips:
            raw["lpips"], adjusted["lpips"] = (d.item() for d in self.lpips().distances(outputs, gt))
        return replace(natural, raw=raw, gt_mean=adjusted)

    def _adjust(self, output: Tensor, gt: Tensor) -> Tensor:
        levels = gt_mean(output, gt) * 255
        return (levels.round() if self.protocol.gt_mean_rounding == "nearest" else levels.floor()) / 255

    def _ssim(self, output: Tensor, gt: Tensor) -> float:
        return ssim(output, gt, self.protocol.ssim_window).item()


def _as_batch(picture: Tensor, name: str) -> Tensor:
    if picture.ndim != 3:
        raise UserError(f"{name} has shape {tuple(picture.shape)}; expected one RGB picture, (3, H, W)")
    batch = picture.detach().cpu()[None]
    check_batch(batch, name)
    return batch


def summarise(scores: Iterable[Scores]) -> Scores:
    """The mean of every score over the pictures that have it; infinite if one of them is.

    Raises:
        UserError: no scores.
    """
    scores = list(scores)
    if not scores:
        raise UserError("no picture was scored: check that the folder or the data set is not empty")
    natural = [
        {name: value for name in ("niqe", "niqe_grey") if (value := getattr(s, name)) is not None}
        for s in scores
    ]
    return Scores(
        raw=_means([s.raw for s in scores]), gt_mean=_means([s.gt_mean for s in scores]), **_means(natural)
    )


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _mean([row[name] for row in rows if name in row]) for name in names}


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.inf


def json_safe(value: float) -> float | str:
    """The number for JSON; infinity becomes the string "inf"."""
    return value if math.isfinite(value) else "inf"
