#!/bin/bash
# qsmbids on Grid Engine: one array element per participant.
#
# Written from the manual, never run: try it with one participant first (-t 1-1).
#
#   export BIDS=... OUT=... SCRATCH=... IMAGE=...      (see README.md)
#   ls -d "$BIDS"/sub-* | xargs -n 1 basename > participants.txt
#   mkdir -p logs
#   qsub -v BIDS,OUT,SCRATCH,IMAGE -t 1-$(wc -l < participants.txt) sge_array.sh
#
# The name of the parallel environment (smp here) and of the memory resource (h_vmem here, per
# slot) differ from site to site: qconf -spl and qconf -sc list them.
#
#$ -N qsmbids
#$ -S /bin/bash
#$ -cwd
#$ -pe smp 2
#$ -l h_vmem=4G
#$ -l h_rt=02:00:00
#$ -j y
#$ -o logs/
set -euo pipefail

# ---- what the program may use: slots times the memory of a slot, less a tenth
MEMORY=7200M

# ---- where things are: from the variables, or change these four lines
BIDS=${BIDS:-$PWD/bids}
OUT=${OUT:-$PWD/derivatives/qsmbids}
SCRATCH=${SCRATCH:-$PWD/scratch}
IMAGE=${IMAGE:-$PWD/qsmbids.sif}

PARTICIPANT=$(sed -n "${SGE_TASK_ID}p" "${PARTICIPANTS:-participants.txt}")
WORK=$SCRATCH/$PARTICIPANT # one work folder per element: two runs cannot share one
mkdir -p "$OUT" "$WORK"

# exec makes the program the job's own process
exec apptainer run --cleanenv --containall \
    --bind "$BIDS:/data:ro" --bind "$OUT:/out" --bind "$WORK:/work" "$IMAGE" \
    /data /out participant --participant-label "$PARTICIPANT" --work-dir /work \
    --nprocs "$NSLOTS" --mem "$MEMORY"
