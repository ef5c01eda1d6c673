#!/usr/bin/env python3
"""What weights do to photographs, beside the input, CLAHE and gamma, and the best gain and gamma.

    python benchmarks/photographs.py --weights light-1 light-4 --folders DICM LIME MEF --lolv1

Prints a table a folder, one of drawn night scenes, and one of pairs (the LOL-v1 test set). The measures and
what is good: `reddit.metrics.photographs`. `--sheet FILE` writes before/after pictures to look at.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import reddit
from reddit.cli.errors import run
from reddit.config import Config, DataConfig
from reddit.data import Pair, load_pairs, load_picture
from reddit.data.night import grid_of, random_night, relight
from reddit.evaluation.baselines import fit_gain_gamma
from reddit.image.pixels import to_float
from reddit.image.read import list_images
from reddit.metrics import gt_mean, niqe, psnr, ssim
from reddit.metrics import photographs as measure
from reddit.metrics.perceptual import LPIPS
from reddit.metrics.photographs import Enhance
from reddit.report.tables import Cell, render, show
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

LONGEST = 1600
"""Pictures are shrunk to this side, so that large ones do not decide how long the benchmark takes."""


def main(argv: list[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    methods: dict[str, Enhance] = {"input": lambda p: p, "CLAHE and gamma": clahe_gamma}
    for name in arguments.weights:
        methods[Path(name).stem if "/" in name else name] = enhancer(name, arguments.steps)
    for folder in arguments.folders:
        pictures = {path.stem: _read(path) for path in list_images(folder)[: arguments.limit]}
        if not pictures:
            raise UserError(f"{folder} holds no pictures")
        steady = list(pictures)[: arguments.steady]
        rows = [_row(name, UNPAIRED, _unpaired(pictures, method, steady)) for name, method in methods.items()]
        print(f"\n{folder} ({len(pictures)} pictures)\n\n" + render(rows, "md"))
    rows = [_row(name, NIGHTS, _nights(method)) for name, method in methods.items()]
    print("\nDrawn scenes\n\n" + render(rows, "md"))
    if arguments.good:
        _good(arguments.good, methods, arguments.limit)
    if arguments.lolv1:
        _pairs(methods, arguments.limit)
    if arguments.sheet:
        _sheet(arguments.sheet, arguments.folders, methods, arguments.limit)


def enhancer(name: str, steps: int | None) -> Enhance:
    """Weights as a function from picture to picture, without the guard for pictures that are not dark."""
    model = reddit.load(name, steps)
    return lambda picture: model.enhance(picture, guard=False)


def clahe_gamma(picture: np.ndarray) -> np.ndarray:
    """OpenCV's CLAHE on L of Lab (clip limit 2, 8×8 tiles), then the gamma that brings mean Y to 0.4."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(lab[..., 0])
    equalised = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    mean = float(np.clip(measure.grey(equalised).mean() / 255, 1e-3, 0.999))
    gamma = np.log(0.4) / np.log(mean)
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return table[equalised]


Columns = dict[str, int]
"""Name of each figure → its decimals."""
UNPAIRED: Columns = {
    "NIQE": 2,
    "newly clipped, mean %": 2,
    "worst %": 2,
    "any channel %": 2,
    "bright detail": 2,
    "shadow lift": 1,
    "shift jump": 2,
    "flip jump": 2,
}
LENS = 0.6
"""Blur of a sharp lens, in pixels."""
NIGHTS: Columns = {
    "starry sky, background": 1,
    "contrast of the stars": 2,
    "through a lens": 2,
    "black": 1,
    "ones": 1,
    "neon, background": 1,
    "halo": 2,
}
GOOD: Columns = {"to itself, PSNR": 2, "worst": 2, "darkened, PSNR": 2, "grain": 2, "saturation": 2}
PAIRS: Columns = {
    "raw PSNR": 2,
    "GT-mean PSNR": 2,
    "SSIM": 3,
    "LPIPS": 3,
    "detail": 2,
    "saturation": 2,
    "shift jump": 2,
}


def _row(name: str, columns: Columns, numbers: list[float]) -> dict[str, Cell]:
    shown = [show(n, digits) for n, digits in zip(numbers, columns.values(), strict=True)]
    return {"": name, **dict(zip(columns, shown, strict=True))}


def _unpaired(pictures: dict[str, np.ndarray], method: Enhance, steady: list[str]) -> list[float]:
    results = {k: method(p) for k, p in progress(list(pictures.items()), "enhancing", "picture")}
    scores = [float(niqe(to_float(result)[None])) for result in results.values()]
    pairs = [(pictures[name], results[name]) for name in pictures]
    clipped = [100 * measure.newly_clipped(*pair) for pair in pairs]
    return [
        float(np.mean(scores)),
        float(np.mean(clipped)),
        max(clipped),
        100 * float(np.mean([measure.newly_clipped_any_channel(*pair) for pair in pairs])),
        float(np.nanmean([measure.bright_detail(*pair) for pair in pairs])),
        float(np.nanmean([measure.shadow_lift(*pair) for pair in pairs])),
        _most(measure.shift_jump, pictures, method, steady),
        _most(measure.symmetry_jump, pictures, method, steady),
    ]


def _most(
    jump: Callable[[np.ndarray, Enhance], float],
    pictures: dict[str, np.ndarray],
    method: Enhance,
    names: list[str],
) -> float:
    return max((jump(pictures[name], method) for name in names), default=float("nan"))


def _nights(method: Enhance) -> list[float]:
    skies = [_stars_kept(method, *starry_sky(blur)) for blur in (0, LENS)]
    neon, ring = neon_ring()
    flat = [float(method(np.full((400, 600, 3), value, np.uint8)).mean()) for value in (0, 1)]
    background = float(measure.grey(method(neon))[~ring].mean())
    (sky, contrast), (_, blurred) = skies
    return [sky, contrast, blurred, *flat, background, measure.halo(method)]


def _stars_kept(method: Enhance, sky: np.ndarray, stars: np.ndarray) -> tuple[float, float]:
    """The background of a sky, and the contrast of its stars against that before."""
    result, before = (measure.grey(picture).astype(np.float64) for picture in (method(sky), sky))
    contrast = (result[stars].mean() - result[~stars].mean()) / (before[stars].mean() - before[~stars].mean())
    return float(np.median(result[~stars])), float(contrast)


def starry_sky(blur: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sky of value 3/4/8 with 150 stars up to 255 and some noise, and where the stars are.

    Stars are single pixels, or the spots that a lens makes of them: Gaussians of so many pixels.
    """
    rng = np.random.default_rng(0)
    sky = np.array([3, 4, 8.0]) + rng.normal(0, 2.5, (400, 600, 3))
    stars = np.zeros((400, 600), bool)
    stars[rng.integers(2, 398, 150), rng.integers(2, 598, 150)] = True
    light = np.zeros_like(sky)
    light[stars] = rng.uniform(60, 255, (int(stars.sum()), 1))
    if blur:
        sky += cv2.GaussianBlur(light, (0, 0), blur)
    else:
        sky[stars] = light[stars]
    return np.rint(np.clip(sky, 0, 255)).astype(np.uint8), stars


def neon_ring() -> tuple[np.ndarray, np.ndarray]:
    """A neon ring on black, and where it (with a margin) is."""
    rows, columns = np.mgrid[:400, :600]
    distance = np.abs(np.hypot(columns - 300, rows - 120) - 80)
    picture = np.where((distance < 6)[..., None], (255, 0, 180), (6, 5, 10)).astype(np.uint8)
    return picture, distance < 14


def _good(folder: Path, methods: dict[str, Enhance], limit: int | None) -> None:
    """Well-exposed photographs should come back; darkened ones should lose their noise."""
    pictures = [_read(path) for path in list_images(folder)[:limit]]
    darkened = []
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng([7, number])
        longer = max(picture.shape[:2])
        night = random_night(rng, (picture.shape[0] / longer, picture.shape[1] / longer))
        darkened.append(relight(picture, night, grid_of(*picture.shape[:2]), rng))
    rows = []
    for name, method in methods.items():
        again = [_psnr(method(picture), picture) for picture in pictures]
        results = [method(low) for low in darkened]
        both = list(zip(results, pictures, strict=True))
        grain = [measure.grain_against_gt(*pair) for pair in both]
        numbers = [
            float(np.mean(again)),
            min(again),
            float(np.mean([_psnr(*pair) for pair in both])),
            float(np.nanmean(grain)),
            float(np.mean([measure.saturation_against_gt(*pair) for pair in both])),
        ]
        rows.append(_row(name, GOOD, numbers))
    print(f"\n{folder}: good photographs ({len(pictures)})\n\n" + render(rows, "md"))


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return min(60.0, float(psnr(to_float(a)[None], to_float(b)[None])))


def _pairs(methods: dict[str, Enhance], limit: int | None) -> None:
    data, root = DataConfig(dataset="lolv1"), Config().data_root()
    curve = fit_gain_gamma(load_pairs(data, root, "train"))
    table = np.rint(255 * curve.curve()).astype(np.uint8)
    methods = {**methods, "best gain and gamma": lambda picture: table[picture]}
    pairs = load_pairs(data, root, "test")[:limit]
    lpips = LPIPS("alex")
    rows = []
    for name, method in methods.items():
        scores = np.array([_scores(pair, method, lpips) for pair in progress(pairs, name, "pair")])
        rows.append(_row(name, PAIRS, [*scores[:, :-1].mean(axis=0), scores[:, -1].max()]))
    print(f"\nLOL-v1, test ({len(pairs)} pairs)\n\n" + render(rows, "md"))


def _scores(pair: Pair, method: Enhance, lpips: LPIPS) -> list[float]:
    """In the order of `PAIRS`."""
    low, high = load_picture(pair.low), load_picture(pair.high)
    result = method(low)
    ours, gt = to_float(result)[None], to_float(high)[None]
    return [
        float(psnr(ours, gt)),
        float(psnr(gt_mean(ours, gt), gt)),
        float(ssim(ours, gt)),
        float(lpips.distance(ours, gt)),
        measure.detail_against_gt(result, high),
        measure.saturation_against_gt(result, high),
        measure.shift_jump(low, method),
    ]


def _sheet(path: Path, folders: list[Path], methods: dict[str, Enhance], limit: int | None) -> None:
    """Rows of input and results, 480 pixels wide each."""
    rows = []
    for folder in folders:
        for file in list_images(folder)[:limit]:
            picture = _read(file)
            cells = [_labelled(method(picture), f"{file.stem}: {name}") for name, method in methods.items()]
            rows.append(np.hstack(cells))
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    cell = cv2.resize(picture, (480, 320), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.putText(cell, text, (6, 312), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 220, 0), 1))


def _read(path: Path) -> np.ndarray:
    picture = load_picture(path)
    scale = LONGEST / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", nargs="*", default=["light"], help="names or paths of weights")
    parser.add_argument("--steps", type=int, help="sampling steps; default: those of the weights")
    parser.add_argument("--folders", nargs="*", type=Path, default=[], help="pictures without ground truth")
    parser.add_argument("--good", type=Path, help="a folder of well-exposed photographs")
    parser.add_argument("--lolv1", action="store_true", help="score the LOL-v1 test set as well")
    parser.add_argument("--limit", type=int, help="at most so many pictures of each folder")
    parser.add_argument("--steady", type=int, default=4, help="pictures a folder measured for steadiness")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a sheet of before/after pictures")
    return parser


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(main)
