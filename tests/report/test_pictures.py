from __future__ import annotations

import base64

import cv2
import numpy as np

from reddit.report.pictures import SHOWN_SIDE, SMALLEST_VIEW, THUMBNAIL_SIDE, data_uri, slider


def picture(height: int = 30, width: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 256, (3, 4, 3), np.uint8), (width, height))


def decode(address: str) -> np.ndarray:
    head, data = address.split(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR))[
        ..., ::-1
    ]


def test_a_data_uri_decodes_to_the_picture() -> None:
    assert np.abs(decode(data_uri(picture(300, 400))).astype(int) - picture(300, 400)).mean() <= 2


def test_a_slider_keeps_order_labels_and_notes() -> None:
    view = slider("name", {"low": picture(), "a": picture(), "gt": picture()}, "low", "a", {"a": "20 dB"})
    assert [one.label for one in view.pictures] == ["low", "a", "gt"]
    assert [one.note for one in view.pictures] == ["", "20 dB", ""]
    assert (view.name, view.left, view.right) == ("name", "low", "a")
    assert all(one.thumbnail == "" and one.src for one in view.pictures)


def test_large_pictures_are_shrunk_and_small_ones_enlarged_by_css() -> None:
    tall = slider("x", {"a": picture(2000, 1000)}, "a", "a", thumbnails=True)
    assert (tall.width, tall.height) == (SHOWN_SIDE // 2, SHOWN_SIDE)
    assert decode(tall.pictures[0].src).shape[:2] == (SHOWN_SIDE, SHOWN_SIDE // 2)
    assert decode(tall.pictures[0].thumbnail).shape[:2] == (THUMBNAIL_SIDE, THUMBNAIL_SIDE // 2)
    small = slider("x", {"a": picture(30, 40)}, "a", "a")
    assert (small.width, small.height) == (SMALLEST_VIEW, SMALLEST_VIEW * 3 // 4)
    assert decode(small.pictures[0].src).shape[:2] == (30, 40)
