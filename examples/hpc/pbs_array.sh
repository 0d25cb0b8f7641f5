#!/bin/bash
# qsmbids on PBS Professional or OpenPBS: one array element per participant.
#
# Written from the manual, never run: try it with one participant first.
#
#   export BIDS=... OUT=... SCRATCH=... IMAGE=...      (see README.md)
#   ls -d "$BIDS"/sub-* | xargs -n 1 basename > participants.txt
#   qsub -v BIDS,OUT,SCRATCH,IMAGE,ELEMENT=1 pbs_array.sh                        (the first alone)
#   qsub -v BIDS,OUT,SCRATCH,IMAGE -J 1-$(wc -l < participants.txt) pbs_array.sh
#
#PBS -N qsmbids
#PBS -l select=1:ncpus=2:mem=8gb
#PBS -l walltime=02:00:00
#PBS -j oe
set -euo pipefail
cd "$PBS_O_WORKDIR"

# ---- what the program may use: the same figures as in the request above, memory less a tenth
CPUS=2
MEMORY=7200M

# ---- where things are: from the variables, or change these four lines
BIDS=${BIDS:-$PWD/bids}
OUT=${OUT:-$PWD/derivatives/qsmbids}
SCRATCH=${SCRATCH:-$PWD/scratch}
IMAGE=${IMAGE:-$PWD/qsmbids.sif}

PARTICIPANT=$(sed -n "${ELEMENT:-${PBS_ARRAY_INDEX:?is only set in an array}}p" "${PARTICIPANTS:-participants.txt}")
WORK=$SCRATCH/$PARTICIPANT # one work folder per element: two runs cannot share one
mkdir -p "$OUT" "$WORK"

# exec makes the program the job's own process
exec apptainer run --cleanenv --containall \
    --bind "$BIDS:/data:ro" --bind "$OUT:/out" --bind "$WORK:/work" "$IMAGE" \
    /data /out participant --participant-label "$PARTICIPANT" --work-dir /work \
    --nprocs "$CPUS" --mem "$MEMORY"
