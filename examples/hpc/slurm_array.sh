#!/bin/bash
# qsmbids on Slurm: one array element per participant.
#
#   export BIDS=... OUT=... SCRATCH=... IMAGE=...      (see README.md)
#   ls -d "$BIDS"/sub-* | xargs -n 1 basename > participants.txt
#   mkdir -p logs
#   sbatch --array=1-$(wc -l < participants.txt)%20 slurm_array.sh
#
#SBATCH --job-name=qsmbids
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=02:00:00
#SBATCH --output=logs/%x-%A_%a.txt
# Warn the program two minutes before the end: it stops in order, the same job later goes on.
#SBATCH --signal=B:TERM@120
set -euo pipefail

# ---- where things are: from the variables, or change these four lines
BIDS=${BIDS:-$PWD/bids}
OUT=${OUT:-$PWD/derivatives/qsmbids}
SCRATCH=${SCRATCH:-$PWD/scratch}
IMAGE=${IMAGE:-$PWD/qsmbids.sif}

PARTICIPANT=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "${PARTICIPANTS:-participants.txt}")
WORK=$SCRATCH/$PARTICIPANT # one work folder per element: two runs cannot share one
mkdir -p "$OUT" "$WORK"

# exec makes the program the job's own process; otherwise the shell would keep the signal.
# A tenth of the memory is left to what is not planned.
exec apptainer run --cleanenv --containall \
    --bind "$BIDS:/data:ro" --bind "$OUT:/out" --bind "$WORK:/work" "$IMAGE" \
    /data /out participant --participant-label "$PARTICIPANT" --work-dir /work \
    --nprocs "$SLURM_CPUS_PER_TASK" --mem "$((SLURM_MEM_PER_NODE * 9 / 10))M"
