"""The names of the cases; PyTorch is not imported."""

from __future__ import annotations

from typing import Any

NETWORKS: dict[str, dict[str, Any]] = {
    "sr3": {"width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4, "attention_levels": [1]},
    "light": {
        "width": 8,
        "multipliers": [1, 2],
        "blocks": 1,
        "block": "light",
        "context": True,
        "unshuffle": 2,
        "log_condition": True,
        "attention_levels": [],
    },
    "compact": {"architecture": "compact", "width": 8, "multipliers": [1, 2], "blocks": 1},
}
"""Tiny networks of each kind."""

METHODS: dict[str, list[str]] = {
    "teacher": [],
    "teacher with image losses": ["teacher.p_terminal=0.5", "teacher.w_per=0.1", "teacher.w_ssim=0.1"],
    "reddit": [],
    "reddit with everything": [
        "distill.reddit.symmetries=2",
        "distill.reddit.w_ssim=0.1",
        "distill.reddit.w_illumination=0.1",
        "distill.reddit.w_shift=0.1",
        "distill.reddit.p_terminal=0.5",
        "distill.reddit.omega_space=clean",
        "distill.reddit.illumination=smooth_max",
    ],
    "reddit with rollouts": ["distill.reddit.p_rollout=1.0"],
    "reddit with the authors' faults": [
        "distill.reddit.reflectance=authors",
        "distill.reddit.last_interval=wrapped",
        "distill.reddit.jitter=shared",
    ],
    "progressive": [],
    "consistency": [],
    "consistency with LPIPS": ["distill.consistency.distance=lpips"],
    "reflow": [],
    "regression": ["distill.regression.w_per=0.1"],
    "ctm": [],
    "ctm with LPIPS": ["distill.ctm.distance=lpips"],
    "shortcut": ["distill.shortcut.p_consistency=0.5"],
}
"""Training steps and their settings; the method is the first word."""
