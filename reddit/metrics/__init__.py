"""Metrics, each computed per picture, and the protocols that say which variant is used."""

from reddit.metrics.niqe import NiqeVariant, niqe
from reddit.metrics.perceptual import LPIPS, LpipsBackbone, LpipsFeeding
from reddit.metrics.protocol import (
    PAPER,
    PROTOCOLS,
    STANDARD,
    Protocol,
    Scorer,
    Scores,
    gt_mean,
    json_safe,
    protocol_named,
    summarise,
)
from reddit.metrics.psnr import psnr
from reddit.metrics.ssim import SsimWindow, ssim

__all__ = [
    "LPIPS",
    "PAPER",
    "PROTOCOLS",
    "STANDARD",
    "LpipsBackbone",
    "LpipsFeeding",
    "NiqeVariant",
    "Protocol",
    "Scorer",
    "Scores",
    "SsimWindow",
    "gt_mean",
    "json_safe",
    "niqe",
    "protocol_named",
    "psnr",
    "ssim",
    "summarise",
]
