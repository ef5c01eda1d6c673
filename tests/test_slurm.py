"""The SLURM script starts torchrun on every node, with the user's command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repository import ROOT

SCRIPT = ROOT / "scripts/slurm.sh"
STUBS = {"scontrol": 'echo "node1\nnode2"', "srun": 'printf "%s\\n" "$@"'}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_command_of_a_node(tmp_path: Path) -> None:
    for name, body in STUBS.items():
        stub = tmp_path / name
        stub.write_text(f"#!/bin/sh\n{body}\n")
        stub.chmod(0o755)
    slurm = {"JOB_NODELIST": "node[1-2]", "JOB_NUM_NODES": "2", "GPUS_ON_NODE": "8", "JOB_ID": "7"}
    environment = {f"SLURM_{name}": value for name, value in slurm.items()}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(SCRIPT), "train_teacher", "-c", "my own.yaml", "--set", "train.batch_size=128"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "torchrun"
    assert set(lines[1:6]) == {
        "--nnodes=2", "--nproc_per_node=8", "--rdzv_id=7", "--rdzv_backend=c10d",
        "--rdzv_endpoint=node1:29500",
    }  # fmt: skip
    assert lines[6:] == ["scripts/train_teacher.py", *command[3:], "--quiet"]
    assert (ROOT / lines[6]).exists()
