"""Reading and merging the tables of a study: time and memory, without any analysis.

    python benchmarks/group_scale.py --out FOLDER              # simulates 5,000 people
    python benchmarks/group_tables.py FOLDER/derivatives/qsmbids FOLDER/bids/participants.tsv

One process on one thread. Processor time and wall time differ by what waits for the disk.
The merged tables are written into the output folder, as ``qsmbids ... group`` does.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import pandas  # noqa: F401  its import is no part of the reading

from qsmbids.group.cohort import read_cohort
from qsmbids.group.merged_tables import write_tables


def main() -> None:
    """Read, merge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='output folder of the participant level')
    parser.add_argument('participants', type=Path, nargs='?', help='participants.tsv')
    args = parser.parse_args()
    begin = time.perf_counter(), time.process_time()
    cohort = read_cohort(args.out, participants_tsv=args.participants)
    report('reading', begin)
    begin = time.perf_counter(), time.process_time()
    written, n_rows = write_tables(args.out, cohort)
    report('merging', begin)
    for place, table in cohort.tables.items():
        n_scans, n_regions = len(cohort.scans), len(table.regions)
        print(f'{" ".join(place)}: {n_scans} x {n_regions} x {len(table.values)} numbers')
    size = sum(path.stat().st_size for path in written) / 1e6
    print(f'{n_rows} rows of susceptibility, {size:.0f} MB written')
    print(f'memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at most')


def report(what: str, begin: tuple[float, float]) -> None:
    """Print how long a step took."""
    wall, processor = time.perf_counter() - begin[0], time.process_time() - begin[1]
    print(f'{what}: {wall:.1f} s, processor {processor:.1f} s')


if __name__ == '__main__':
    main()
