"""Films: brightness and colour that do not flicker.

Frames are enhanced one by one, and the noise of a dark frame decides a little how bright a network makes each
region. The gain from the dark to the enhanced frame is therefore averaged over time, along the motion of the
picture (optical flow). Where the dark film changes, at a cut or at what comes into view, the average starts
anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from reddit.image.arrays import shrink
from reddit.image.luminance import luminance
from reddit.image.pixels import white

SIDE = 160
"""Longest side of the small copies on which gains are compared."""
SECONDS = 2.0
"""Time constant of the average."""
CHANGED = 0.25
"""Difference of log light above which a place of the dark film shows something else."""
CUT = 0.6
"""Share of the places that show the same as before, below which the film has been cut."""
NEW = 0.5
"""Seconds that the average around a place counts for where something new comes into view."""
LARGEST = 0.5
"""Largest change of a log gain."""
FLOOR = 0.02
"""Added to values in [0, 1] before a logarithm, so that noise in black changes little."""
FLOW_WINDOW, FLAT = 31, 500.0
"""Side of the window over which the flow is averaged, and the squared contrast that counts as none."""
BLUR = 5
"""Side of the window over which corrections are averaged, in pixels of the small copy."""


@dataclass
class _State:
    """The averages so far, at the places of the latest frame.

    Attributes:
        light: log luminance of the dark film, (h, w).
        gain: log gain, (h, w, 3).
        seconds: how long each place has been averaged, (h, w).
        frame: log luminance of the latest dark frame, for the optical flow, uint8 (h, w).
        time: of the latest frame, in seconds.
    """

    light: np.ndarray
    gain: np.ndarray
    seconds: np.ndarray
    frame: np.ndarray
    time: float


class Steady:
    """Averages the gain of the frames of one film; give it the frames in order.

    Args:
        seconds: time constant of the average.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._length = seconds
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._state: _State | None = None

    def __call__(self, dark: np.ndarray, bright: np.ndarray, time: float) -> np.ndarray:
        """The enhanced frame with the gain of the frames so far.

        Args:
            dark, bright: the frame before and after enhancing, RGB (H, W, 3) of one dtype.
            time: of the frame in the film, in seconds.

        Returns:
            (H, W, 3) of the same dtype.
        """
        small_dark, small_bright = (_small(picture) for picture in (dark, bright))
        light = np.log(luminance(small_dark) + np.float32(FLOOR))
        gain = np.log((small_bright + FLOOR) / (small_dark + FLOOR))
        before, self._state = self._state, _State(light, gain, np.zeros_like(light), _levels(light), time)
        if before is None or before.light.shape != light.shape or time <= before.time:
            return bright
        self._average(before, self._state)
        change = np.clip(self._state.gain - gain, -LARGEST, LARGEST)
        return _corrected(bright, np.exp(cv2.blur(change, (BLUR, BLUR))))

    def _average(self, before: _State, now: _State) -> None:
        """Continue the averages of the frame before in `now`, which holds the values of its frame alone."""
        old = _moved(before, self._flow_from(now.frame, before.frame))
        same = np.abs(old.light - now.light) < CHANGED  # not where nothing is known
        if same.mean() < CUT:
            return
        step = now.time - before.time
        age = np.where(same, np.minimum(old.seconds + step, self._length), 0).astype(np.float32)
        nearby, trust = _nearby(np.where(same[..., None], old.gain - now.gain, 0), age)
        expected = np.where(same[..., None], old.gain, now.gain + nearby)
        now.seconds = np.where(same, age, NEW * trust)
        weight = step / (now.seconds + step)
        now.light = np.where(same, old.light + weight * (now.light - old.light), now.light)
        now.gain = expected + weight[..., None] * (now.gain - expected)

    def _flow_from(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Where each place of the frame was in the frame before: (h, w, 2), x and y; zero if too small.

        Noise has a flow of its own. So the flow is averaged over the neighbourhood, weighted by contrast.
        """
        flow = np.zeros((*now.shape, 2), np.float32)
        if min(now.shape) < 16:  # for the patches of the method
            return flow
        flow = np.asarray(self._flow.calc(now, before, flow))
        smooth = cv2.GaussianBlur(now.astype(np.float32), (0, 0), 1.5)
        contrast = cv2.Sobel(smooth, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(smooth, cv2.CV_32F, 0, 1) ** 2
        window = (FLOW_WINDOW, FLOW_WINDOW)
        total = cv2.blur(flow * contrast[..., None], window)
        return np.asarray(total / (cv2.blur(contrast, window) + FLAT)[..., None])


def _nearby(change: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean change around each place, weighted by age (h, w, 3), and its reliability in [0, 1], (h, w)."""
    side = (1 + max(age.shape) // 2,) * 2
    share = cv2.blur(age, side, borderType=cv2.BORDER_REFLECT)
    mean = cv2.blur(change * age[..., None], side, borderType=cv2.BORDER_REFLECT) / (share[..., None] + 1e-6)
    trust = np.clip(2 * share / max(float(age.max()), 1e-6), 0, 1)
    return mean * trust[..., None], trust


def _small(picture: np.ndarray) -> np.ndarray:
    """The small copy, float32 in [0, 1]; averaged without rounding."""
    if picture.dtype == np.uint8:  # wider, so that averages of dark pixels keep their fractions
        picture = picture.astype(np.uint16) * np.uint16(257)
    return np.asarray(shrink(picture, SIDE).astype(np.float32) / white(picture))


def _levels(log_light: np.ndarray) -> np.ndarray:
    """Log light as uint8, for the optical flow."""
    darkest, brightest = np.log(FLOOR), np.log(1 + FLOOR)
    return np.rint((log_light - darkest) * (255 / (brightest - darkest))).clip(0, 255).astype(np.uint8)


def _moved(state: _State, flow: np.ndarray) -> _State:
    """The averages at the places of the next frame; beyond the border nothing is known."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    light, gain, seconds = (
        cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for values in (state.light, state.gain, state.seconds)
    )
    height, width = flow.shape[:2]
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return _State(np.where(outside, np.nan, light), gain, seconds, state.frame, state.time)


def _corrected(bright: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """A frame times a gain (h, w, 3) that is enlarged to its size."""
    top = np.float32(white(bright))
    full = cv2.resize(gain.astype(np.float32), bright.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    values = (bright.astype(np.float32) + FLOOR * top) * full - FLOOR * top
    return np.rint(np.clip(values, 0, top)).astype(bright.dtype)
