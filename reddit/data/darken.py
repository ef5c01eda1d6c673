"""A camera model: turns a well-lit picture into a dark one with a short exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """One exposure.

    Attributes:
        exposure: share of the light that reaches the sensor, (0, 1].
        full_well: photo-electrons at white with exposure 1; sets the shot noise.
        read_noise: standard deviation of the read noise, electrons.
        white_balance: gains of red, green and blue; models errors of the white balance.
    """

    exposure: float
    full_well: float
    read_noise: float
    white_balance: tuple[float, float, float]


def srgb_to_linear(value: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, [0, 1] → [0, 1]."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(value: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_to_linear`."""
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * np.maximum(value, 0.0) ** (1 / 2.4) - 0.055)


def darken(picture: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Darken an RGB uint8 (H, W, 3) picture; returns uint8.

    Linear light × exposure → Poisson shot noise → Gaussian read noise → white balance → sRGB → 8 bits.
    """
    light = srgb_to_linear(picture.astype(np.float64) / 255.0) * camera.exposure
    electrons = rng.poisson(light * camera.full_well) + rng.normal(0.0, camera.read_noise, light.shape)
    balanced = electrons / camera.full_well * np.asarray(camera.white_balance)
    return np.rint(linear_to_srgb(np.clip(balanced, 0.0, 1.0)) * 255.0).astype(np.uint8)


def random_camera(rng: np.random.Generator) -> Camera:
    """A random camera: exposure 1/80 to 1/5, log-uniform; a small sensor; white balance within 5 %."""
    red, blue = rng.uniform(0.95, 1.05, 2)
    return Camera(
        exposure=float(np.exp(rng.uniform(np.log(1 / 80), np.log(1 / 5)))),
        full_well=float(rng.uniform(4000, 12000)),
        read_noise=float(rng.uniform(2, 5)),
        white_balance=(float(red), 1.0, float(blue)),
    )
