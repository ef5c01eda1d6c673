"""A mixture of data sets in fixed shares, and its order, which is the same after a resume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Dataset, Sampler

from reddit.data.crops import Batch, TrainingCrops
from reddit.data.photos import PhotoCrops
from reddit.utils.errors import UserError

CYCLE = 100
"""Positions in which every set appears exactly according to its share, rounded to hundredths."""


class MixedCrops(Dataset["Batch | UserError"]):
    """Several sets of crops combined; a key is (position, (set, index))."""

    def __init__(self, sets: Sequence[TrainingCrops | PhotoCrops], weights: Sequence[float]) -> None:
        self.sets = list(sets)
        self.weights = list(weights)
        self.config = sets[0].config

    def __len__(self) -> int:
        return sum(len(crops) for crops in self.sets)

    @property
    def in_memory(self) -> bool:
        return all(crops.in_memory for crops in self.sets)

    def order(self, seed: int, batch_size: int, batch_indices: range, done: int) -> MixedOrder:
        lengths = [len(crops) for crops in self.sets]
        return MixedOrder(lengths, self.weights, seed, batch_size, batch_indices, done)

    def __getitem__(self, key: tuple[int, tuple[int, int]]) -> Batch | UserError:
        position, (number, index) = key
        return self.sets[number][(position, index)]


class MixedOrder(Sampler[tuple[int, tuple[int, int]]]):
    """An endless sequence of (position, (set, index)); each set has its own permutations.

    Args:
        lengths: number of pictures in each set.
        weights: weight of each set; its share of every `CYCLE` positions.
        seed, batch_size, batch_indices, done: as in `EndlessOrder`.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        weights: Sequence[float],
        seed: int,
        batch_size: int = 1,
        batch_indices: range | None = None,
        done: int = 0,
    ) -> None:
        self.lengths, self.seed, self.batch_size, self.done = list(lengths), seed, batch_size, done
        self.batch_indices = batch_indices if batch_indices is not None else range(batch_size)
        self.cycle = np.random.default_rng([seed, 5]).permutation(
            np.repeat(np.arange(len(lengths)), shares(weights, CYCLE))
        )
        chosen = self.cycle[None, :] == np.arange(len(lengths))[:, None]
        self.before = np.concatenate([np.zeros((len(lengths), 1), int), chosen.cumsum(axis=1)], axis=1)

    def __iter__(self) -> Iterator[tuple[int, tuple[int, int]]]:
        known: dict[int, tuple[int, np.ndarray]] = {}
        for iteration in itertools.count(self.done):
            for place in self.batch_indices:
                position = iteration * self.batch_size + place
                cycle, offset = divmod(position, CYCLE)
                number = int(self.cycle[offset])
                drawn = cycle * int(self.before[number, -1]) + int(self.before[number, offset])
                epoch, index = divmod(drawn, self.lengths[number])
                if number not in known or known[number][0] != epoch:
                    rng = np.random.default_rng([self.seed, number, epoch, 6])
                    known[number] = (epoch, rng.permutation(self.lengths[number]))
                yield position, (number, int(known[number][1][index]))


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Integers proportional to the weights that sum to `total` (largest remainder method)."""
    exact = np.asarray(weights, float) / sum(weights) * total
    whole = np.floor(exact).astype(int)
    for number in np.argsort(whole - exact, kind="stable")[: total - whole.sum()]:
        whole[number] += 1
    return [int(n) for n in whole]
