"""From a configuration to training data: what is read, how often, by whom; and what is left in memory."""

from __future__ import annotations

import pickle
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from tiny_runs import tiny_settings, write_lol

from reddit.config import Config, resolve_config
from reddit.data import MixedCrops, PhotoCrops, TrainingCrops, fingerprint
from reddit.data import cache as caching
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.training.data import TrainingData, TrainingSet
from reddit.training.data_record import DataRecord, check_validation
from reddit.training.distributed import World
from reddit.utils.errors import UserError

T = TypeVar("T")
PAIRS = 6


@dataclass
class Meeting:
    """Where processes exchange values; here they are threads."""

    size: int
    barrier: threading.Barrier = field(init=False)
    values: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=60)


@dataclass(frozen=True)
class ThreadWorld(World):
    meeting: Meeting = field(default_factory=lambda: Meeting(1))

    def gather(self, value: T) -> list[T]:
        self.meeting.values[self.rank] = pickle.dumps(value)  # a thread would go on to change it
        self.meeting.barrier.wait()
        values = [pickle.loads(self.meeting.values[rank]) for rank in range(self.size)]
        self.meeting.barrier.wait()
        return values

    def wait(self) -> None:
        self.meeting.barrier.wait()

    def share(self, items: Sequence[T]) -> Sequence[T]:
        return items[self.rank :: self.size]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file was decoded."""
    found: Counter[Path] = Counter()

    def counting(path: Path) -> np.ndarray:
        found[path] += 1
        return read_uint8(path)

    monkeypatch.setattr(caching, "read_uint8", counting)
    return found


def config(folder: Path, *overrides: str) -> Config:
    return resolve_config(tiny_settings(folder), overrides, source="test")


def prepared(
    chosen: Config,
    processes: int = 1,
    denoise: Any = None,
    log: Any = None,
    before: DataRecord | None = None,
) -> list[TrainingData]:
    """What each of several processes ends up with."""
    meeting = Meeting(processes)
    found: dict[int, TrainingData | Exception] = {}

    def work(rank: int) -> None:
        try:
            world = ThreadWorld(rank, processes, meeting=meeting)
            data = TrainingSet(chosen)
            found[rank] = data.prepare(4, denoise, world, log or (lambda line: None), True, before)
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found.values():
        if isinstance(one, Exception):
            raise one
    return [found[rank] for rank in range(processes)]  # type: ignore[misc]


def files(folder: Path) -> list[Path]:
    return sorted((folder / "data").glob("LOLv1/our485/*/*.png"))


@pytest.mark.parametrize("denoised", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_set_larger_than_memory_is_read_once(
    processes: int, denoised: bool, tmp_path: Path, read: Counter[Path]
) -> None:
    """Checked, fingerprinted, grouped and denoised in one pass that the processes share."""
    write_lol(tmp_path, PAIRS)
    made: list[str] = []

    def denoise(low: np.ndarray) -> np.ndarray:
        made.append(fingerprint(low))
        return low

    chosen = config(tmp_path, "data.memory_gb=0", "data.workers=auto")
    data = prepared(chosen, processes, denoise if denoised else None)
    assert len(files(tmp_path)) == 2 * PAIRS
    assert read == dict.fromkeys(files(tmp_path), 1)
    lows = [fingerprint(read_uint8(path)) for path in files(tmp_path) if path.parent.name == "low"]
    assert sorted(made) == (sorted(lows) if denoised else [])
    assert not any(one.crops.in_memory for one in data)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_set_larger_than_memory_is_decoded_once(
    processes: int, tmp_path: Path, read: Counter[Path]
) -> None:
    """Every process finds what the others have written, and makes the same crops."""
    write_lol(tmp_path, PAIRS)
    tiny = "data.memory_gb=0"
    plain, *_ = prepared(config(tmp_path, tiny), 1, lambda low: low // 2)
    expected = [plain.crops[(7, index)] for index in range(len(plain.crops))]
    read.clear()
    data = prepared(config(tmp_path, tiny, "data.decoded=true"), processes, lambda low: low // 2)
    for one in data:
        for index, theirs in enumerate(expected):
            ours = one.crops[(7, index)]
            assert not isinstance(ours, UserError) and not isinstance(theirs, UserError)
            assert all(
                torch.equal(ours[name], theirs[name]) for name in ("low", "high", "denoised", "context")
            )
    assert read == dict.fromkeys(files(tmp_path), 1)
    assert not any(one.crops.in_memory for one in data)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_set_that_fits_is_held_by_every_process(
    processes: int, tmp_path: Path, read: Counter[Path]
) -> None:
    write_lol(tmp_path, PAIRS)
    data = prepared(config(tmp_path), processes, lambda low: low)
    assert all(one.crops.in_memory for one in data)
    assert max(read.values()) <= processes
    read.clear()
    for one in data:
        for index in range(len(one.crops)):
            assert not isinstance(one.crops[(0, index)], UserError)
    assert not read


def test_a_share_that_fits_of_a_set_that_does_not(tmp_path: Path, read: Counter[Path]) -> None:
    """Two of three processes' shares are on disk alone: workers must prepare the batches."""
    write_lol(tmp_path, PAIRS)
    size = sum(read_uint8(path).nbytes for path in files(tmp_path))
    data = prepared(config(tmp_path, f"data.memory_gb={0.6 * size / 1e9}"), 3)
    assert not any(one.crops.in_memory for one in data)
    assert read == dict.fromkeys(files(tmp_path), 1)


def test_every_process_gets_the_same_pairs(tmp_path: Path) -> None:
    write_lol(tmp_path, PAIRS)
    alone, *others = prepared(config(tmp_path), 1) + prepared(config(tmp_path, "data.memory_gb=0"), 3)
    everything = {fingerprint(read_uint8(path)) for path in files(tmp_path)}
    for one in (alone, *others):
        assert one.record.training == everything
        assert [pair.name for pair in one.validation] == [pair.name for pair in alone.validation]
        assert len(one.crops) + len(one.validation) == PAIRS
        assert one.validation_pictures == {
            fingerprint(read_uint8(side)) for pair in one.validation for side in (pair.low, pair.high)
        }


@pytest.mark.parametrize("processes", [1, 2])
def test_a_damaged_pair_is_the_same_error_everywhere(processes: int, tmp_path: Path) -> None:
    write_lol(tmp_path, PAIRS)
    first, last = (files(tmp_path)[PAIRS + index] for index in (1, PAIRS - 1))
    first.write_bytes(b"")
    last.write_bytes(b"")
    with pytest.raises(UserError, match=rf"{first.name} is empty .*on_corrupt=skip"):
        prepared(config(tmp_path), processes)
    lines: list[str] = []
    (data, *_) = prepared(config(tmp_path, "data.on_corrupt=skip"), processes, log=lines.append)
    assert len(data.crops) + len(data.validation) == PAIRS - 2
    assert len(lines) == 2 * processes and first.name in lines[0]


@pytest.mark.parametrize("processes", [1, 2])
def test_test_pictures_that_choose_are_read_once(processes: int, tmp_path: Path, read: Counter[Path]) -> None:
    write_lol(tmp_path, PAIRS)
    for half in ("low", "high"):
        path = tmp_path / "data" / "LOLv1" / "eval15" / half / "a.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(encode(np.full((32, 40, 3), 9, np.uint8)))
    (data, *_) = prepared(config(tmp_path, "train.select_on_test=true", "data.memory_gb=0"), processes)
    assert [pair.name for pair in data.validation] == ["a"]
    assert set(read.values()) == {1} and len(read) == 2 * PAIRS + 2


def write_photos(folder: Path, sizes: list[tuple[int, int]]) -> None:
    for number, size in enumerate(sizes):
        path = folder / "data" / "photos" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((*size, 3), 10 * number, np.uint8)))


def test_photographs_are_fingerprinted_once_by_one_process(tmp_path: Path, read: Counter[Path]) -> None:
    write_photos(tmp_path, [(40, 40)] * 8)
    chosen = config(tmp_path, "data.dataset=photos", "data.validation=0")
    first, second = prepared(chosen, 2)
    assert len(read) == 8 and set(read.values()) == {1}
    assert first.record == second.record and len(first.record.training) == 8


def test_a_photograph_too_small_for_a_crop_ends_the_run_at_once(tmp_path: Path) -> None:
    write_photos(tmp_path, [(40, 40), (12, 40)])
    chosen = config(tmp_path, "data.dataset=photos", "data.validation=0")
    with pytest.raises(UserError, match=r"1\.png: 40×12 pixels are too small for a crop of 16; lower"):
        prepared(chosen)


# Resumed runs


def add_pair(folder: Path, name: str, value: int, high: Path | None = None) -> None:
    for side in ("low", "high"):
        path = folder / "data/LOLv1/our485" / side / f"{name}.png"
        path.write_bytes(encode(np.full((32, 40, 3), value + (side == "high"), np.uint8)))
    if high is not None:
        shutil.copy(high, path)


@pytest.mark.parametrize("processes", [1, 2])
def test_new_pictures_leave_the_validation_pairs_as_they_were(processes: int, tmp_path: Path) -> None:
    write_lol(tmp_path, PAIRS)
    (before, *_) = prepared(config(tmp_path), processes)
    for number in range(20):
        add_pair(tmp_path, f"new-{number}", 7 + 2 * number)
    (now, *_) = prepared(config(tmp_path, "data.validation=0.5"), processes, before=before.record)
    assert now.record.validation == before.record.validation
    assert [pair.name for pair in now.validation] == [pair.name for pair in before.validation]
    assert len(now.crops) == len(before.crops) + 20
    assert now.change == (
        "the training set has changed since this run began: 40 pictures new, 0 gone; the validation pictures "
        "are the same"
    )
    (afresh, *_) = prepared(config(tmp_path), processes)
    assert afresh.record.validation != before.record.validation  # what would be drawn otherwise


def test_new_names_leave_the_order_of_validation_as_it_was(tmp_path: Path) -> None:
    """The first of them are those that are scored."""
    write_lol(tmp_path, PAIRS)
    (before,) = prepared(config(tmp_path))
    first, last = before.validation[0].name, before.validation[-1].name
    for path in files(tmp_path):
        path.rename(path.with_name({first: "z.png", last: "a.png"}.get(path.stem, path.name)))
    (now,) = prepared(config(tmp_path), before=before.record)
    assert now.record == before.record and now.change is None
    assert (now.validation[0].name, now.validation[-1].name) == ("z", "a")


def test_a_new_picture_of_a_validation_scene_is_not_trained_on(tmp_path: Path) -> None:
    write_lol(tmp_path, PAIRS)
    (before,) = prepared(config(tmp_path))
    add_pair(tmp_path, "again", 3, high=before.validation[0].high)  # type: ignore[arg-type]
    said: list[str] = []
    (now,) = prepared(config(tmp_path), before=before.record, log=said.append)
    assert said == ["left out: again: it has the scene or ground truth of a validation pair"]
    assert len(now.crops) == len(before.crops) and now.record.validation == before.record.validation


def test_copies_among_the_validation_pairs_stay(tmp_path: Path) -> None:
    write_lol(tmp_path, PAIRS)
    for name in ("copy", "another"):
        for side in ("low", "high"):
            folder = tmp_path / "data/LOLv1/our485" / side
            shutil.copy(sorted(folder.iterdir())[-1], folder / f"{name}.png")
    (before,) = prepared(config(tmp_path, "data.validation=0.7"))
    (now,) = prepared(config(tmp_path, "data.validation=0.7"), before=before.record)
    assert now.record == before.record and len(now.crops) == len(before.crops)


@pytest.mark.parametrize("dataset", ["photos", "nights"])
def test_photographs_and_nights_of_validation_stay(dataset: str, tmp_path: Path) -> None:
    write_photos(tmp_path, [(40, 40)] * 8)
    chosen = config(tmp_path, f"data.dataset={dataset}")
    (before,) = prepared(chosen)
    assert len(before.validation) == 4
    write_photos(tmp_path, [(40, 40)] * 20)
    (now,) = prepared(chosen, before=before.record)
    assert now.record.validation == before.record.validation
    assert (now.change is None) == (dataset == "nights")
    (afresh,) = prepared(chosen)
    assert (afresh.record.validation == before.record.validation) == (dataset == "nights")


def test_darkened_ground_truths_take_their_share_and_are_never_those_of_validation(tmp_path: Path) -> None:
    write_lol(tmp_path, PAIRS)
    mix = "data.mix=[{dataset: lolv1, weight: 3, darkened: 0.25}, {dataset: nights, weight: 1}]"
    (plain,) = prepared(config(tmp_path))
    (mixed,) = prepared(config(tmp_path, mix))
    assert isinstance(mixed.crops, MixedCrops)
    pairs, truths, _ = mixed.crops.sets
    assert mixed.crops.weights == [2.25, 0.75, 1]
    assert isinstance(pairs, TrainingCrops) and isinstance(truths, PhotoCrops)
    assert truths.photos == [pair.high for pair in pairs.pairs]
    assert plain.validation == mixed.validation[: len(plain.validation)]
    assert not {pair.high for pair in mixed.validation if isinstance(pair.high, Path)} & set(
        truths.photos or []
    )
    assert not isinstance(truths[(0, 0)], UserError)


@pytest.mark.parametrize(
    "change", ["data.split_seed=1", "data.dataset=photos", "data.mix=[{dataset: nights}]"]
)
def test_validation_that_cannot_stay_is_seen(change: str, tmp_path: Path) -> None:
    write_photos(tmp_path, [(40, 40)] * 8)
    (before,) = prepared(config(tmp_path, "data.dataset=nights"))
    (now,) = prepared(config(tmp_path, "data.dataset=nights", change), before=before.record)
    if change == "data.mix=[{dataset: nights}]":
        assert now.record.validation == before.record.validation
        return
    with pytest.raises(
        UserError, match=r"^runs/a was validated on other pictures \(4 pairs gone, [04] new\)"
    ):
        check_validation(before.record, now.record, Path("runs/a"))
