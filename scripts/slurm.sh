#!/bin/bash
# Train on two nodes of eight GPUs. `runs` and `data` must lie on a disk that both nodes see.
#
#   sbatch scripts/slurm.sh train_teacher -c lolv1 --set train.batch_size=128
#   sbatch scripts/slurm.sh distill -c lolv1 --chain
#
# Two minutes before the time is over, a checkpoint is written. Submit the same command again to resume.

#SBATCH --job-name=reddit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120

set -euo pipefail
script=$1
shift
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
exec srun torchrun \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc_per_node="$SLURM_GPUS_ON_NODE" \
    --rdzv_id="$SLURM_JOB_ID" --rdzv_backend=c10d --rdzv_endpoint="$head:29500" \
    "scripts/$script.py" "$@" --quiet
