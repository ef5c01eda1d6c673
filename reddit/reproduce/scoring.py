"""Scores of every cell, seed and picture; each is computed once and then read from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import torch

from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import load_denoiser
from reddit.config import Config
from reddit.data import Pair, fingerprint, load_pairs, load_picture
from reddit.diffusion import Denoiser
from reddit.evaluation.evaluate import Predict, device_name, evaluate, predict_with
from reddit.evaluation.result import flat_scores
from reddit.evaluation.timing import seconds_a_call
from reddit.metrics import Scorer
from reddit.reproduce.plan import Cell, Plan
from reddit.reproduce.runs import Runs
from reddit.training.run_folder import run_folder
from reddit.utils.device import choose_device, precision_on
from reddit.utils.files import write_bytes
from reddit.utils.progress import Log, print_out, progress
from reddit.utils.text import counted

TIMED_PICTURES = 8
"""The largest number of pictures that are timed."""
VERSION = 1
"""To be raised with every change of the code that changes scores."""

Numbers = dict[str, dict[str, float]]
"""Picture → metric → score."""


@dataclass(frozen=True)
class Scored:
    """The scores of one cell with one seed.

    Attributes:
        run, digest: folder of the run, and first digits of the SHA-256 of its weights.
        sampler: the sampler.
        scenes: picture → scene; pictures of one scene are not independent.
        seen: number of pictures that were in the training or validation set.
        fold: the fold of the pictures or of the run, from 0.
    """

    cell: Cell
    seed: int
    run: str
    digest: str
    sampler: str
    pictures: Numbers
    scenes: dict[str, str]
    seen: int = 0
    fold: int = 0

    def mean(self, metric: str) -> float:
        """The mean over pictures."""
        return fmean(scores[metric] for scores in self.pictures.values())


class Scoring:
    """Scores weights on the test set of a configuration.

    Args:
        config: the data set, device and precision.
    """

    def __init__(self, config: Config, quiet: bool = False, log: Log = print_out) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.precision = precision_on(self.device, config.precision)
        self.test = load_pairs(config.data, config.data_root(), "test")
        self.quiet, self.log = quiet, log
        self._warned: set[str] = set()

    def score(self, plan: Plan, runs: Runs, scorer: Scorer, seeds: Iterable[int]) -> list[Scored]:
        """Score every cell with every seed, which is also the seed of its sampling noise.

        Raises:
            UserError: a run has no weights yet; a test picture cannot be read.
        """
        return [self._score(plan, runs, scorer, *which) for which in self._each(plan, seeds, "scores")]

    def _score(self, plan: Plan, runs: Runs, scorer: Scorer, cell: Cell, seed: int) -> Scored:
        arm = plan.arm(cell.arm)
        run = runs.of(arm, cell.steps, seed)
        info = run.chosen()
        sampler = arm.sampler or info.config.diffusion.sampler
        facts = {
            "checkpoint": info.digest,
            "steps": cell.steps,
            "sampler": sampler,
            "seed": seed,
            "precision": self.precision,
            "device": self.device.type,
            "protocol": scorer.protocol.name,
            "lpips": _digest_of(scorer.lpips()) if scorer.with_lpips else None,
            "niqe": scorer.with_niqe,
            "niqe-grey": scorer.with_niqe_grey,
        }

        if arm.ensemble > 1:
            facts["ensemble"] = arm.ensemble

        def compute() -> Numbers:
            denoiser = load_denoiser(info.path)[0].to(self.device)
            predict = predict_with(
                denoiser,
                cell.steps,
                sampler=sampler,
                clip=info.config.diffusion.clip,
                precision=self.precision,
                ensemble=arm.ensemble,
            )
            label, dataset = f"{arm.label}, {counted(cell.steps, 'step')}", self.config.data.dataset
            result = evaluate(dataset, self.test, label, predict, scorer, seeds=[seed], quiet=self.quiet)
            return {p.name: flat_scores(p.scores[0]) for p in result.pictures}

        seen = sum(not info.training_pictures.isdisjoint(both) for both in self._fingerprints.values())
        if seen and str(run.folder) not in self._warned:
            self._warned.add(str(run.folder))
            which = f"{seen} of {len(self.test)} test pictures"
            self.log(f"warning: {run.folder} was trained or validated on {which}")
        pictures = self._stored(facts, compute)
        return Scored(cell, seed, str(run.folder), info.digest, sampler, pictures, self._scenes, seen)

    def time(self, plan: Plan, rounds: Iterable[int]) -> list[Scored]:
        """Time every cell on the first test pictures, in rounds; each picture is a scene.

        Untrained networks are used, as training does not change the speed. Times are stored per device.
        """
        denoiser = build_denoiser(self.config).eval().to(self.device)
        return [self._time(plan, denoiser, *which) for which in self._each(plan, rounds, "times")]

    def _time(self, plan: Plan, denoiser: Denoiser, cell: Cell, number: int) -> Scored:
        sampler = plan.arm(cell.arm).sampler or self.config.diffusion.sampler
        predict = predict_with(denoiser, cell.steps, sampler=sampler, precision=self.precision)
        facts = {
            "timed on": device_name(self.device),
            "network": self.config.model.model_dump(),
            "precision": self.precision,
            "steps": cell.steps,
            "round": number,
        }

        def compute() -> Numbers:
            _seconds(predict, self.test[0], self.device)  # warm-up
            return {
                p.name: {"seconds": _seconds(predict, p, self.device)} for p in self.test[:TIMED_PICTURES]
            }

        pictures = self._stored(facts, compute)
        return Scored(cell, number, "", "untrained", sampler, pictures, {name: name for name in pictures})

    def _each(self, plan: Plan, seeds: Iterable[int], what: str) -> Iterable[tuple[Cell, int]]:
        pairs = [(cell, seed) for seed in seeds for cell in plan.cells]
        return progress(pairs, what, "cell", quiet=self.quiet)

    def _stored(self, facts: dict[str, object], compute: Callable[[], Numbers]) -> Numbers:
        """The stored scores for these facts, test pictures and version; else compute and store them."""
        facts = facts | {"pictures": self._fingerprints, "version": VERSION, "torch": torch.__version__}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        path = run_folder(self.config, f"reproduce/{self.config.name}/scores") / f"{digest}.json"
        if path.is_file():
            return dict(json.loads(path.read_text())["numbers"])
        numbers = compute()
        write_bytes(path, json.dumps({"facts": facts, "numbers": numbers}, indent=1).encode())
        return numbers

    @cached_property
    def _fingerprints(self) -> dict[str, tuple[str, str]]:
        """Test picture → the fingerprints of its low and its high."""
        pairs = progress(self.test, "reading the test set", "pair", quiet=self.quiet)
        return {
            pair.name: (fingerprint(load_picture(pair.low)), fingerprint(load_picture(pair.high)))
            for pair in pairs
        }

    @cached_property
    def _scenes(self) -> dict[str, str]:
        """Test picture → its scene."""
        return {pair.name: pair.scene or self._fingerprints[pair.name][1] for pair in self.test}


def _digest_of(module: torch.nn.Module) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for value in module.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()


def _seconds(predict: Predict, pair: Pair, device: torch.device) -> float:
    low = load_picture(pair.low)
    return seconds_a_call(lambda: predict(pair.name, low, 0), device, repeats=1, warm_up=0)
