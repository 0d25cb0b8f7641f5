"""The group level on a large study: time, memory and sizes of 5,000 people with 150 regions.

    python benchmarks/group_scale.py --out FOLDER
    python benchmarks/group_scale.py --out FOLDER --people 500 -- --norms prior

Tables are simulated (once: the folder is used again), then ``qsmbids ... group`` runs as a
process of its own. What stands after ``--`` is handed to it. Memory is the largest sum over the
process and those it started, sampled five times a second (proportional set size, so that shared
pages count once). Processor time is sampled the same way: a process that does not wait for its
children does not count theirs.

The target of this project: less than 3 minutes and 4 GB on 2 processors.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from qsmbids.atlas.geometry import label_table
from qsmbids.phantom.cohort_tables import write_cohort_tables

TARGET_S, TARGET_GB = 180.0, 4.0
MARKER = 'cohort.txt'


def main() -> int:
    """Simulate, run, print; the exit code is that of the group level, or 1 beyond the target."""
    args = build_parser().parse_args()
    folder = args.out.resolve()
    simulate(folder, args)
    bids, out = folder / 'bids', folder / 'derivatives' / 'qsmbids'
    for path in out.glob('group*'):
        path.unlink()
    shutil.rmtree(out / 'figures', ignore_errors=True)
    command = [
        sys.executable, '-m', 'qsmbids', str(bids), str(out), 'group',
        '-w', str(folder / 'work'), '--nprocs', str(args.nprocs), *args.options,
    ]  # fmt: skip
    print('running:', ' '.join(command[1:]), flush=True)
    begin = time.monotonic()
    with subprocess.Popen(command, env=os.environ | {'OMP_NUM_THREADS': '1'}) as process:
        peak, processor = watch(process)
    wall = time.monotonic() - begin
    print(f'\n{args.people} people, {args.sessions} session(s), {args.regions} regions')
    print(f'wall time      {wall:8.1f} s    (target {TARGET_S:g} s)')
    print(f'processor time {processor:8.1f} s    on {args.nprocs} processors')
    print(f'memory         {peak / 1e9:8.2f} GB   (target {TARGET_GB:g} GB)')
    for path in sorted([*out.glob('group*'), *out.glob('figures/group*')]):
        print(f'{path.stat().st_size / 1e6:10.2f} MB  {path.relative_to(out)}')
    return process.returncode or int(wall > TARGET_S or peak / 1e9 > TARGET_GB)


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for everything')
    parser.add_argument('--people', type=int, default=5000)
    parser.add_argument('--regions', type=int, default=150, help='rows of a region table')
    parser.add_argument('--sessions', type=int, default=1)
    parser.add_argument('--patients', type=float, default=0.2)
    parser.add_argument('--sites', type=int, default=3)
    parser.add_argument('--nprocs', type=int, default=2)
    parser.add_argument('options', nargs='*', help='after --: options of the group level')
    return parser


def simulate(folder: Path, args: argparse.Namespace) -> None:
    """Write the tables, unless equal ones are there."""
    wanted = f'{args.people} {args.regions} {args.sessions} {args.patients} {args.sites}'
    marker = folder / MARKER
    if marker.is_file():
        if marker.read_text() == wanted:
            print(f'using the tables in {folder}')
            return
        for path in (folder / 'bids', folder / 'derivatives' / 'qsmbids'):
            shutil.rmtree(path, ignore_errors=True)
        marker.unlink()
    begin = time.monotonic()
    write_cohort_tables(
        folder, args.people, sessions=args.sessions, patients=args.patients, sites=args.sites,
        n_extra_regions=max(args.regions - len(label_table()), 0),
    )  # fmt: skip
    marker.write_text(wanted)
    print(f'simulated in {time.monotonic() - begin:.0f} s')


def watch(process: subprocess.Popen) -> tuple[float, float]:
    """Wait for a process; return the most memory (bytes) and the time (s) of all it started."""
    peak, seconds = 0.0, {}
    while process.poll() is None:
        members = family(process.pid)
        peak = max(peak, sum(memory(pid) for pid in members))
        seconds |= members
        time.sleep(0.2)
    return peak, sum(seconds.values())


def family(pid: int) -> dict[int, float]:
    """Return a process and its descendants with the processor time (s) each has used."""
    parents, seconds = {}, {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            try:  # the name of the program, in brackets, may hold spaces
                fields = (entry / 'stat').read_text().rpartition(')')[2].split()
            except OSError:
                continue  # it ended meanwhile
            parents[int(entry.name)] = int(fields[1])
            ticks = int(fields[11]) + int(fields[12])  # of program and system
            seconds[int(entry.name)] = ticks / os.sysconf('SC_CLK_TCK')
    found, size = {pid}, 0
    while len(found) > size:
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return {member: seconds.get(member, 0.0) for member in found}


def memory(pid: int) -> float:
    """Return the proportional set size of a process in bytes; 0 when it has ended."""
    try:
        lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    except OSError:
        return 0.0
    return next((1024.0 * int(x.split()[1]) for x in lines if x.startswith('Pss:')), 0.0)


if __name__ == '__main__':
    sys.exit(main())
