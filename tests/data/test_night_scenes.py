from __future__ import annotations

import numpy as np

from reddit.data.night_scenes import night_scene


def test_night_scenes_are_dark() -> None:
    scenes = [night_scene(np.random.default_rng(seed), 80, 120) for seed in range(40)]
    assert all(np.median(scene) <= 40 for scene in scenes)
    assert max(int(scene.max()) for scene in scenes) > 150  # stars and lamps are bright
