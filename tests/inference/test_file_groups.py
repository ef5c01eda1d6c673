"""Pictures of a folder that are restored together, as on a GPU."""

from __future__ import annotations

import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from reddit.image.read import Photo, read_photo
from reddit.image.write import write_photo
from reddit.inference import file_groups, sampling
from reddit.inference.enhancer import Enhancer, EnhanceWarning
from reddit.inference.files import Enhanced, enhance_files, plan_outputs
from reddit.inference.picture_enhancer import PictureEnhancer

SIZES = [(50, 50)] * 5 + [(50, 49)] + [(50, 50)] * 2
"""Of the pictures 0.png, 1.png …; four of 50×50 go together."""
LARGE, SMALL = (3, 50, 50), (3, 50, 49)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `in` with pictures of `SIZES`."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        write_photo(f"in/{number}.png", Photo(rng.integers(0, 40, (*size, 3), np.uint8)))
    return tmp_path


def enhance(model: PictureEnhancer, output: str = "out") -> Enhanced:
    return enhance_files(plan_outputs([Path("in")], Path(output)), model, seed=3, quiet=True)


def outputs(*numbers: int) -> list[Path]:
    return [Path(f"out/{number}.png") for number in numbers]


def results(folder: str) -> list[np.ndarray]:
    return [read_photo(path).pixels.astype(int) for path in sorted(Path(folder).iterdir())]


def test_equal_neighbours_give_what_each_gives(
    here: Path, model: Enhancer, together: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert enhance(model) == Enhanced(outputs(*range(8)), [])
    assert together == [(4, *LARGE), (1, *LARGE), (1, *SMALL), (2, *LARGE)]
    monkeypatch.setattr(Enhancer, "_batch_pixels", 0)
    together.clear()
    enhance(model, "alone")
    assert [shape[0] for shape in together] == [1] * 8
    for found, wanted in zip(results("out"), results("alone"), strict=True):
        assert abs(found - wanted).max() <= 1 and (found != wanted).mean() < 1e-3


def test_bit_depths_do_not_mix(here: Path, model: Enhancer, together: list[tuple[int, ...]]) -> None:
    write_photo("in/2.png", Photo(read_photo("in/2.png").pixels.astype(np.uint16) * 257))
    assert enhance(model).written == outputs(*range(8))
    assert together == [(2, *LARGE), (1, *LARGE), (2, *LARGE), (1, *SMALL), (2, *LARGE)]


def test_a_damaged_file_leaves_its_neighbours(
    here: Path, model: Enhancer, together: list[tuple[int, ...]]
) -> None:
    for name in ("in/1.png", "in/7.png"):
        Path(name).write_bytes(Path(name).read_bytes()[:100])
    done = enhance(model)
    assert done.written == outputs(0, 2, 3, 4, 5, 6)
    assert ["in/1.png is damaged" in done.failed[0], "in/7.png is damaged" in done.failed[1]] == [True] * 2
    assert together == [(1, *LARGE), (3, *LARGE), (1, *SMALL), (1, *LARGE)]


def test_a_lit_picture_is_named_once_and_left_out(
    here: Path, model: Enhancer, together: list[tuple[int, ...]]
) -> None:
    lit = np.full((50, 50, 3), 200, np.uint8)
    write_photo("in/2.png", Photo(lit))
    with pytest.warns(EnhanceWarning) as caught:
        assert enhance(model).written == outputs(*range(8))
    assert len(caught) == 1 and "in/2.png is not dark" in str(caught[0].message)
    assert together[0] == (3, *LARGE) and np.array_equal(results("out")[2], lit)


@pytest.mark.parametrize("cause", ["not finite", "memory"])
def test_what_fails_together_is_tried_alone(
    cause: str, here: Path, model: Enhancer, monkeypatch: pytest.MonkeyPatch, together: list[tuple[int, ...]]
) -> None:
    write_photo("in/1.png", Photo(np.zeros((50, 50, 3), np.uint8)))
    write_photo("in/2.png", Photo(np.full((50, 50, 3), 200, np.uint8)))
    recorded = sampling._sample

    def sample(*inputs: object, **settings: object) -> Tensor:
        y = inputs[3]
        assert isinstance(y, Tensor)
        if cause == "memory" and len(y) > 1:
            raise RuntimeError("CUDA out of memory")
        x_0 = recorded(*inputs, **settings)  # type: ignore[arg-type]
        if cause == "not finite":
            x_0[(y == -1).all(dim=(1, 2, 3))] = float("nan")
        return x_0

    monkeypatch.setattr(sampling, "_sample", sample)
    with pytest.warns(EnhanceWarning) as caught:
        done = enhance(model)
    assert len(caught) == 1
    black = [] if cause == "memory" else ["in/1.png: the network's output is not finite"]
    assert done.written == outputs(*(k for k in range(8) if k != 1 or not black))
    assert [line.partition(":")[0] for line in done.failed] == ["in/1.png"] * len(black)


def test_an_interrupt_keeps_the_groups_before(
    here: Path, model: Enhancer, monkeypatch: pytest.MonkeyPatch, together: list[tuple[int, ...]]
) -> None:
    recorded = sampling._sample

    def sample(*inputs: object, **settings: object) -> Tensor:
        if len(together) == 1:
            raise KeyboardInterrupt
        return recorded(*inputs, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(sampling, "_sample", sample)
    with pytest.raises(KeyboardInterrupt):
        enhance(model)
    assert sorted(Path("out").iterdir()) == outputs(0, 1, 2, 3)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert enhance(model).written == outputs(4, 5, 6, 7)


def test_a_processor_keeps_no_picture_while_it_reads_the_next(
    here: Path, model: Enhancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[weakref.ref[np.ndarray]] = []

    def read(path: Path) -> Photo:
        assert all(one() is None for one in kept)
        photo = read_photo(path)
        kept.append(weakref.ref(photo.pixels))
        return photo

    monkeypatch.setattr(file_groups, "read_photo", read)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(enhance(model).written) == len(kept) == 8
