"""The line that a finished run logs."""

from __future__ import annotations

from pathlib import Path

from reddit.training.logging import read_log
from reddit.training.state import Progress


def summary(folder: Path, progress: Progress, batch_size: int) -> str:
    """Iterations, speed, waiting time and memory of a run, and its best validation score."""
    trained = [line for line in read_log(folder) if line["kind"] == "train"]
    lines = [f"{folder}: {progress.iteration} iterations in {progress.seconds:.0f} s of training"]
    if trained and progress.seconds:
        waits = [float(line["data_wait"]) for line in trained if "data_wait" in line]
        lines[0] += (
            f" ({batch_size * progress.iteration / progress.seconds:.1f} samples/s, "
            f"{100 * sum(waits) / max(1, len(waits)):.1f} % waiting for data"
        )
        memory = trained[-1].get("memory_gb")
        lines[0] += ")" if memory is None else f", peak memory {float(memory):.1f} GB)"
    if progress.scores:
        lines.append(f"best validation PSNR {progress.best:.2f} dB, at iteration {progress.best_iteration}")
    return "; ".join(lines) + f": {folder / 'checkpoints' / 'best.safetensors'}"
