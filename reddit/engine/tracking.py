"""What a run writes about itself: log.jsonl, TensorBoard scalars and panels."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


class Tracker:
    """Writes one line of JSON and one TensorBoard point for every report.

    A resumed run drops what an interrupted one logged beyond its last checkpoint; one from the start, all.
    """

    def __init__(self, folder: Path, done: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        if self.path.exists():
            kept = [line for line in read_log(folder) if float(line["iteration"]) <= done] if done else []
            self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(str(folder / "tb"), purge_step=done + 1)

    def scalars(self, iteration: int, kind: str, values: dict[str, float]) -> None:
        """Report numbers of one kind (`train`, `validation`) at an iteration."""
        line = {"iteration": iteration, "kind": kind, "time": round(time.time(), 3)} | values
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, iteration)

    def panel(self, iteration: int, low: Tensor, ours: Tensor, truth: Tensor) -> None:
        """Show low, ours and truth side by side; each (3, H, W) in [0, 1]."""
        picture = torch.cat([low, ours, truth], dim=2).clamp(0, 1)
        self._board.add_image("low | ours | truth", picture.float().cpu(), iteration)

    def close(self) -> None:
        self._board.close()


def read_log(folder: Path) -> list[dict[str, float | str]]:
    """The reports of a run, oldest first; a line cut short by a crash is left out."""
    lines = []
    path = folder / "log.jsonl"
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines
