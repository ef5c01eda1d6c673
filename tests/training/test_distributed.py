"""Several processes, started by torchrun, against one; and what becomes of them when one is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from repository import call
from tiny_runs import left_by, same, write_lol
from torch import Tensor

from reddit.checkpoint.format import load_state
from reddit.image.write import encode
from reddit.training import distributed
from reddit.training.distributed import World, join
from reddit.training.logging import read_log
from reddit.utils.errors import UserError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def command(folder: Path, name: str, *settings: str, stop: int | None = None) -> dict[str, Any]:
    return {
        "command": "train",
        "arguments": ["-c", str(folder / "tiny.yaml"), "--quiet", "--name", name, "--set", *settings],
        "stop": stop,
    }


def student(folder: Path, name: str, *settings: str) -> dict[str, Any]:
    taught = command(folder, name, *settings)
    taught["arguments"] += ["--steps", "1", "--teacher", str(folder / "runs" / "together")]
    return taught | {"command": "distill"}


def scoring(folder: Path, name: str) -> dict[str, Any]:
    """Score five pictures, of which one is broken: more than fits evenly."""
    pairs = write_scored(folder / "scored")
    arguments = [
        "--dataset",
        "pairs",
        "--weights",
        str(folder / "runs/together"),
        "--metrics",
        "psnr",
        "ssim",
    ]
    arguments += ["--seeds", "0", "1", "--quiet", "--html", str(folder / f"{name}.html")]
    arguments += ["--save", str(folder / name), "--json", str(folder / f"{name}-all.json")]
    arguments += ["--set", "device=cpu", *(f"data.test_{side}={pairs / side}" for side in ("low", "high"))]
    return {"command": "evaluate", "arguments": arguments}


def write_scored(folder: Path) -> Path:
    """Five pairs of pictures, the second of which cannot be read."""
    for number in range(5):
        for side in ("low", "high"):
            picture = np.random.default_rng([number, side == "low"]).integers(0, 200, (24, 32, 3), np.uint8)
            (folder / side).mkdir(parents=True, exist_ok=True)
            (folder / side / f"{number}.png").write_bytes(encode(picture))
    (folder / "low" / "1.png").write_bytes(b"nothing")
    return folder


TWENTY, TEN = "train.iterations=20", "train.iterations=10"
COMMON = [
    "train.lr=3e-4",
    "train.validate_every=10",
    "train.log_every=5",
    "train.checkpoint_every=10",
    "data.crop=8",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes did, beside what one did."""
    folder = tmp_path_factory.mktemp("processes")
    write_lol(folder)
    parts = "train.grad_accum_steps=2"
    together = [
        command(folder, "together", TWENTY, *COMMON),
        command(folder, "parts", TWENTY, parts, *COMMON),
        command(folder, "twice", TEN, *COMMON),
        command(folder, "twice", TWENTY, *COMMON),
        command(folder, "parts-twice", TEN, parts, *COMMON),
        command(folder, "parts-twice", TWENTY, parts, *COMMON),
        command(folder, "stopped", TWENTY, *COMMON, stop=6),
        command(folder, "stopped", TWENTY, *COMMON),
        student(folder, "student", TWENTY, *COMMON),
        student(folder, "student-twice", TEN, *COMMON),
        student(folder, "student-twice", TWENTY, *COMMON),
        command(folder, "handed-over", TEN, *COMMON),
        scoring(folder, "scores-2"),
        command(folder, "uneven", TWENTY, "train.batch_size=3"),
    ]
    (folder / "commands.json").write_text(json.dumps(together))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*TORCHRUN, str(HERE / "commands.py"), str(folder)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    torch.set_num_threads(1)
    alone = [
        command(folder, "alone", TWENTY, *COMMON),
        command(folder, "alone-parts", TWENTY, "train.grad_accum_steps=4", *COMMON),
        student(folder, "student-alone", TWENTY, *COMMON),
        command(folder, "handed-over", TWENTY, *COMMON),
    ]
    for one in alone:
        call(one["command"], *one["arguments"])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = call("evaluate", *scoring(folder, "scores-1")["arguments"])
    (folder / "scores-1.json").write_text(json.dumps([code, printed.getvalue()]))
    return folder


def left(folder: Path, run: str) -> dict[str, Any]:
    return left_by(folder / "runs" / run)


def difference(a: Any, b: Any) -> float:
    """The largest between the tensors of two equal trees."""
    if isinstance(a, Tensor):
        return (a.double() - b.double()).abs().max().item() if a.numel() else 0.0
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return max((difference(a[k], b[k]) for k in a), default=0.0)
    return 0.0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("together", "alone"),
        ("parts", "alone"),
        ("alone-parts", "alone"),
        ("handed-over", "alone"),
        ("student", "student-alone"),
    ],
)
def test_the_same_weights_as_one_process(folder: Path, ours: str, theirs: str) -> None:
    """Half the batch each; that in two parts; in four parts by one; by two, and then by one."""
    a, b = left(folder, ours), left(folder, theirs)
    for part in ("denoiser", "average"):
        assert difference(a["state"][part], b["state"][part]) < 1e-5
    assert difference(a["weights"]["last"][0], b["weights"]["last"][0]) < 1e-5
    assert a["state"]["progress"]["iteration"] == 20
    scores = [left(folder, run)["state"]["progress"]["scores"]["psnr"] for run in (ours, theirs)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    logs = [
        [line["loss"] for line in read_log(folder / "runs" / run) if line["kind"] == "train"]
        for run in (ours, theirs)
    ]
    assert len(logs[0]) == 4 and logs[0] == pytest.approx(logs[1], rel=1e-4)


@pytest.mark.parametrize(
    ("twice", "once"), [("twice", "together"), ("parts-twice", "parts"), ("student-twice", "student")]
)
def test_two_processes_resume_bit_for_bit(folder: Path, twice: str, once: str) -> None:
    assert same(left(folder, twice), left(folder, once))


def test_a_stop_of_one_process_stops_all(folder: Path) -> None:
    """SIGTERM reached the second process alone, in its seventh step; the run was then resumed."""
    for rank in (0, 1):
        codes = json.loads((folder / f"done-{rank}.json").read_text())["codes"]
        assert codes[6:8] == [143, 0]
    assert same(left(folder, "stopped"), left(folder, "together"))


def test_two_processes_print_the_table_of_one(folder: Path) -> None:
    """To the last digit, with an unreadable picture; the files are the same, too."""
    code, table = json.loads((folder / "scores-1.json").read_text())
    first, second = (json.loads((folder / f"done-{rank}.json").read_text()) for rank in (0, 1))
    number = first["codes"].index(1)
    assert code == 1 and second["codes"][number] == 1
    assert "4 of 5 test pictures" in table and "psnr" in table.lower()
    assert first["printed"][number] == table and second["printed"][number] == ""
    files = [folder / f"scores-{count}-all.json" for count in (1, 2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    ours, theirs = (
        {path.name: path.read_bytes() for path in (folder / f"scores-{count}").iterdir()} for count in (1, 2)
    )
    assert len(ours) == 4 and ours == theirs
    assert (folder / "scores-1.html").read_bytes() == (folder / "scores-2.html").read_bytes()


def test_a_batch_that_does_not_part_evenly(folder: Path) -> None:
    for rank in (0, 1):
        codes = json.loads((folder / f"done-{rank}.json").read_text())["codes"]
        assert [code for code in codes if code not in (0, 1, 143)] == [codes[-1]]
        assert codes[-1] == (
            "train.batch_size: 3 must be divisible by 2 processes × train.grad_accum_steps 1; "
            "choose a multiple of 2"
        )


def test_only_the_first_process_writes(folder: Path) -> None:
    first, second = (json.loads((folder / f"done-{rank}.json").read_text()) for rank in (0, 1))
    assert any("state.pt" in line for line in first["written"])  # the watch sees what is written
    assert second["written"] == []
    for run in ("together", "student"):
        boards = list((folder / "runs" / run / "tb").iterdir())
        assert len(boards) == 1 and f".{first['pid']}." in boards[0].name


def started_by(parent: int, rank: int) -> int | None:
    """The process of a rank among the children of torchrun."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            above = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if above == parent and f"RANK={rank}\0".encode() in b"\0" + path.joinpath("environ").read_bytes():
                return int(path.name)
    return None


def test_a_killed_process_ends_the_others(tmp_path: Path) -> None:
    folder, logs = write_lol(tmp_path).parent, tmp_path / "logs"
    run = [str(ROOT / "scripts" / "train_teacher.py"), "-c", str(folder / "tiny.yaml"), "--quiet"]
    quick = ["--set", "train.iterations=1000000", "train.validate_every=1000000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [*TORCHRUN, "--redirects=3", f"--log-dir={logs}", *run, *quick],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(3000):
            if process.poll() is not None or (folder / "runs/tiny/checkpoints/state.pt").exists():
                break
            time.sleep(0.1)
        victim = started_by(process.pid, 1)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        assert process.wait(timeout=60) != 0
    finally:
        if process.poll() is None:
            process.terminate()  # which it hands on to its processes
            process.wait(timeout=60)
    (said,) = (path.read_text() for path in logs.glob("**/0/stderr.log"))
    lines = [line for line in said.splitlines() if line]
    assert "Traceback" not in said
    assert re.match(
        r"error: process 0: another process of this run was lost \(.*\); "
        r"run the same command again to resume from the last checkpoint$",
        lines[-1],
    )
    assert load_state(folder / "runs/tiny/checkpoints/state.pt")["progress"]["iteration"] > 0


# Without other processes


def test_a_single_process_exchanges_nothing() -> None:
    world, tensor = World(), torch.tensor([1.0, 2.0])
    world.wait()
    world.mean([tensor])
    assert world.main and world.any(True) and not world.any(False)
    assert world.from_main("mine") == "mine" and world.gather(3) == [3]
    assert list(world.share(range(5))) == [0, 1, 2, 3, 4] and tensor.tolist() == [1.0, 2.0]


def test_shares_part_the_work() -> None:
    shares = [list(World(rank, 3).share(range(8))) for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError("[/gloo/pair.cc:5] Connection closed by peer [::1]:42\nframe #0"),
            "(Connection closed",
        ),
        (RuntimeError(""), "RuntimeError"),
        (RuntimeError("x" * 1000), "x" * 120),
    ],
)
def test_a_lost_process_is_one_line(
    error: RuntimeError, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("RANK", "1")
    for name in ("barrier", "all_reduce", "broadcast_object_list", "all_gather_object"):
        monkeypatch.setattr(distributed.dist, name, fail)
    world = World(1, 2, "try again")
    for exchange in (
        world.wait,
        lambda: world.any(True),
        lambda: world.from_main(1),
        lambda: world.gather(1),
        lambda: world.mean([torch.zeros(2)]),
    ):
        with pytest.raises(UserError, match="process 1: another process of this run was lost") as lost:
            exchange()
        assert reason in str(lost.value) and str(lost.value).endswith("; try again")
        assert "\n" not in str(lost.value) and len(str(lost.value)) < 300


def test_processes_that_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("The client socket has timed out\nException raised from …")

    monkeypatch.setattr(distributed.dist, "init_process_group", fail)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "there", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="the 2 processes cannot connect at there:1: The client") as e:
        join()
    assert "\n" not in str(e.value)


def test_half_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="start with torchrun, or unset WORLD_SIZE"):
        join()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join() == World()
