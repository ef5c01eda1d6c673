"""A model of night photographs: a field of light over a well-lit picture, and a camera.

`relight` darkens a well-lit photograph. Areas fully lit by a lamp, a window or a flash stay as they are;
others become darker, noisier and tinted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from reddit.data.darken import linear_to_srgb, srgb_to_linear
from reddit.image.luminance import LUMA

Grid = tuple[np.ndarray, np.ndarray]
"""(rows (H, 1), columns (1, W)) in units of the picture's longer side, 0 at its top left corner."""


@dataclass(frozen=True)
class Lamp:
    """A light source; its light falls off with distance.

    Attributes:
        shape: `lamp` a Gaussian; `window` a soft-edged box; `side` a soft-edged half of the picture; `flash`
            an inverse-square fall-off; `panel` a disc that is lit and casts no light, as a sign or a screen.
        place: (row, column) of its centre, in units of the longer side.
        size: radius, half side, or softness of the edge, in the same units.
        angle: of a window's or a side's axis, radians.
        strength: share of full light at the centre; above 1 the lit part grows.
        colour: gains of red, green and blue.
    """

    shape: str
    place: tuple[float, float]
    size: float
    angle: float
    strength: float
    colour: tuple[float, float, float]

    def light(self, grid: Grid) -> np.ndarray:
        """(H, W, 3), at least 0."""
        down, right = grid[0] - self.place[0], grid[1] - self.place[1]
        along = right * np.cos(self.angle) + down * np.sin(self.angle)
        across = down * np.cos(self.angle) - right * np.sin(self.angle)
        if self.shape == "lamp":
            fall = np.exp(-(along**2 + across**2) / (2 * self.size**2))
        elif self.shape == "window":
            edge = 0.15 * self.size
            outside = np.maximum(np.abs(along), 1.6 * np.abs(across)) - self.size
            fall = _sigmoid(-outside / edge)
        elif self.shape == "side":
            fall = _sigmoid(along / (0.3 * self.size))
        elif self.shape == "panel":
            fall = _sigmoid((self.size - np.hypot(along, across)) / 0.002)
        else:
            fall = 1 / (1 + (along**2 + across**2) / self.size**2) ** 2
        return (self.strength * fall).astype(np.float32)[..., None] * np.asarray(self.colour, np.float32)


@dataclass(frozen=True)
class Backlight:
    """Light on the bright parts of a scene alone, as on the sky behind a person.

    Attributes:
        threshold: linear luminance that is half lit, in (0, 1).
        softness: width of the transition, in stops.
        blur: radius in pixels over which the luminance is averaged.
    """

    threshold: float
    softness: float
    blur: float

    def light(self, scene: np.ndarray) -> np.ndarray:
        """The share of full light on a scene, linear RGB (H, W, 3) → (H, W, 1)."""
        luminance = cv2.GaussianBlur(scene @ LUMA, (0, 0), self.blur)
        stops = np.log2(np.maximum(luminance, 1e-4) / np.float32(self.threshold))
        return _sigmoid(stops / np.float32(self.softness)).astype(np.float32)[..., None]


@dataclass(frozen=True)
class Night:
    """Light and camera of one picture.

    Attributes:
        ambient: share of full light that falls everywhere, (red, green, blue).
        lamps: light sources that add to it, up to full light.
        backlight: light that adds to it on the bright parts of the scene.
        full_well: photo-electrons at white; sets the shot noise.
        read_noise: standard deviation of the read-out, electrons.
        chroma_noise: deviation of blotches of colour, relative to the read noise.
        banding: deviation of an offset of each row, electrons.
        gamma: exponent of the camera's tone curve beside sRGB's.
        black: values up to it are clipped to black, [0, 1) of white.
        smoothing: deviation in pixels of the camera's own denoising; 0: none.
        quality: JPEG quality; None: not compressed.
    """

    ambient: tuple[float, float, float]
    lamps: tuple[Lamp, ...]
    full_well: float
    read_noise: float
    chroma_noise: float = 0.0
    banding: float = 0.0
    gamma: float = 1.0
    black: float = 0.0
    smoothing: float = 0.0
    quality: int | None = None
    backlight: Backlight | None = None

    def light(self, grid: Grid, scene: np.ndarray) -> np.ndarray:
        """The share of full light on a scene, linear RGB (H, W, 3) → (H, W, 3) in [0, 1]."""
        total = np.asarray(self.ambient, np.float32)[None, None]
        for lamp in self.lamps:
            total = total + lamp.light(grid)
        if self.backlight is not None:
            total = total + self.backlight.light(scene)
        return np.minimum(total, 1.0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def grid_of(
    height: int, width: int, rows: slice | None = None, columns: slice | None = None, step: int = 1
) -> Grid:
    """The positions of the pixels in a part of a picture (H, W); `step` takes every k-th pixel."""
    longer = max(height, width)
    down = np.arange(height, dtype=np.float32)[rows or slice(None)][::step] / longer
    right = np.arange(width, dtype=np.float32)[columns or slice(None)][::step] / longer
    return down[:, None], right[None, :]


def relight(scene: np.ndarray, night: Night, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Photograph a part of a well-lit picture, RGB uint8 (H, W, 3), under the light of a night; uint8.

    Linear light × field of light → shot and read noise, blotches of colour, banding → tone curve →
    smoothing → 8 bits → JPEG. Shot noise is drawn as Gaussian, of the photo-electrons' variance.
    """
    linear = _linear(scene)
    electrons = linear * night.light(grid, linear) * night.full_well
    noise = np.sqrt(electrons + night.read_noise**2) * rng.standard_normal(scene.shape, np.float32)
    if night.chroma_noise:
        blotches = cv2.GaussianBlur(rng.standard_normal(scene.shape, np.float32), (0, 0), 2.0) * 7.0
        noise += night.chroma_noise * night.read_noise * (blotches - blotches.mean(axis=2, keepdims=True))
    if night.banding:
        noise += night.banding * rng.standard_normal((len(scene), 1, 1), np.float32)
    signal = np.clip((electrons + noise) / night.full_well, 0, 1)
    value = np.asarray(linear_to_srgb(signal), np.float32) ** np.float32(night.gamma)
    value = np.maximum(value - np.float32(night.black), 0) / np.float32(1 - night.black)
    if night.smoothing:
        value = _smoothed(value, night.smoothing)
    picture = np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8)
    return picture if night.quality is None else _jpeg(picture, night.quality)


def _linear(scene: np.ndarray) -> np.ndarray:
    return _TO_LINEAR[scene]


_TO_LINEAR = srgb_to_linear(np.arange(256) / 255.0).astype(np.float32)


def _smoothed(value: np.ndarray, deviation: float) -> np.ndarray:
    """Blur colour more than light, as cameras do."""
    ycc = cv2.cvtColor(value, cv2.COLOR_RGB2YCrCb)
    colour = cv2.GaussianBlur(ycc[..., 1:], (0, 0), 3 * deviation)
    light = cv2.GaussianBlur(ycc[..., 0], (0, 0), deviation)
    return np.asarray(cv2.cvtColor(np.dstack([light, colour]), cv2.COLOR_YCrCb2RGB))


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def random_night(rng: np.random.Generator, aspect: tuple[float, float] = (1.0, 1.0)) -> Night:
    """Draw light and camera.

    In 15 % the light is full and the picture stays as it is but for noise. Else the ambient light is 1/100 to
    1/2, log-uniform. One to three lamps add to it in 50 %, light on the bright parts of the scene in 22 %.

    Args:
        aspect: (height, width) of the picture in units of its longer side.
    """
    good = rng.random() < 0.15
    level = 1.0 if good else float(np.exp(rng.uniform(np.log(1 / 100), np.log(1 / 2))))
    tint = np.exp(rng.normal(0, 0.03 if good else 0.12, 3) * (1, 0, 1))
    lamps, backlight = [], None
    kind = 1.0 if good else rng.random()
    if kind < 0.25:
        backlight = _random_backlight(rng)
    elif kind < 0.8:
        lamps = [_random_lamp(rng, aspect) for _ in range(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))]
    full_well = float(np.exp(rng.uniform(np.log(500), np.log(20000))))
    read = float(np.exp(rng.uniform(np.log(1.0), np.log(6.0)))) * min(1.0, (full_well / 2000) ** 0.5)
    return Night(
        ambient=(float(level * tint[0]), level, float(level * tint[2])),
        lamps=tuple(lamps),
        full_well=full_well,
        read_noise=read,
        chroma_noise=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.4 else 0.0,
        banding=float(rng.uniform(0.1, 0.5)) * read if rng.random() < 0.15 else 0.0,
        gamma=float(np.exp(rng.uniform(-0.1, 0.1))) if rng.random() < 0.3 else 1.0,
        black=float(rng.uniform(0, 0.02)) if rng.random() < 0.2 else 0.0,
        smoothing=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.35 else 0.0,
        quality=int(rng.integers(60, 97)) if rng.random() < 0.4 else None,
        backlight=backlight,
    )


def _random_backlight(rng: np.random.Generator) -> Backlight:
    return Backlight(
        threshold=float(np.exp(rng.uniform(np.log(0.12), np.log(0.6)))),
        softness=float(rng.uniform(0.15, 0.6)),
        blur=float(np.exp(rng.uniform(np.log(0.8), np.log(6.0)))),
    )


def _random_lamp(rng: np.random.Generator, aspect: tuple[float, float]) -> Lamp:
    shape = str(rng.choice(["lamp", "lamp", "window", "side", "flash", "panel"]))
    warmth = rng.normal(0, 0.15)
    return Lamp(
        shape=shape,
        place=(float(rng.uniform(0, aspect[0])), float(rng.uniform(0, aspect[1]))),
        size=float(np.exp(rng.uniform(np.log(0.03), np.log(0.2)))),
        angle=float(rng.uniform(0, 2 * np.pi)),
        strength=float(np.exp(rng.uniform(np.log(0.3), np.log(2.5)))),
        colour=(float(np.exp(warmth)), 1.0, float(np.exp(-warmth))),
    )
