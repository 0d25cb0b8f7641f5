"""What a run costs beyond its numerics: one simulated person, every second accounted for.

    python benchmarks/overhead.py --out FOLDER
    python benchmarks/overhead.py --out FOLDER --voxel-size 2 -- --registration fast

The person is simulated (once: the folder is used again). Then ``qsmbids ... participant`` runs
as a process of its own, in which the functions named in ``PARTS`` keep count of the processor
time that they take, without that of one another; workers inherit this when they are forked. What
stands after ``--`` is handed to the run. Loops are compiled before, as the image brings them.
A second run, with nothing to do, is measured as well.

Processor time is compared, not wall time, so that other work on the machine counts little.

The target of this project: everything but numerics below 10 % of a person at 1 mm.
"""

from __future__ import annotations

import argparse
import builtins
import functools
import importlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = 0.10
AGE_YEARS = 35.0
NUMERICS, IMPORTS, START = 'numerics', 'imports', 'interpreter'
# what is measured, and the functions that it happens in; inner ones count for themselves
PARTS = {
    'planning': ['qsmbids.plan.planner:make_plan'],
    'atlas files': ['qsmbids.workflows.atlas_choice:choose_atlas'],
    'graph': ['qsmbids.workflows.acquisition:init_acquisition_wf'],
    'scheduling': [
        'nipype.pipeline.engine:Workflow.run',
        'nipype.pipeline.plugins.multiproc:run_node',
    ],
    'steps, hashes and results': ['nipype.pipeline.engine:Node.run'],
    NUMERICS: ['qsmbids.interfaces.base:Step._run_interface'],
    'figures': ['qsmbids.interfaces.figures:Figures.compute'],
    'outputs, compressed': ['qsmbids.interfaces.sink:Sink.compute'],
    'images of steps, written': ['nibabel:save'],
    'images of steps, read': ['nibabel.arrayproxy:ArrayProxy._get_scaled'],
    'judging and page': ['qsmbids.workflows.finish:finish'],
}  # fmt: skip


class Account:
    """Keeps count of processor time by part, in a file that all processes append to.

    A part that calls another one is not charged for it.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._inner = [0.0]  # of each call in progress: what was charged to calls inside it

    def charge(self, part: str, seconds: float) -> None:
        """Write one entry; a short line is written in one piece."""
        os.write(self._file, f'{seconds:.6f} {part}\n'.encode())

    def counted(self, function: Callable, part: str) -> Callable:
        """Return a function that charges its time."""

        @functools.wraps(function)
        def count(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            begin = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds = time.process_time() - begin
                self.charge(part, seconds - self._inner.pop())
                self._inner[-1] += seconds

        return count

    def count_imports(self) -> None:
        """Charge each import that is not yet loaded."""
        plain = builtins.__import__
        counted = self.counted(plain, IMPORTS)

        def look(name: str, *args: Any, **kwargs: Any) -> Any:
            return (plain if name in sys.modules else counted)(name, *args, **kwargs)

        builtins.__import__ = look

    def count(self, place: str, part: str) -> None:
        """Put a counting function in the place of another one, ``module:name``."""
        module, _, names = place.partition(':')
        *owners, name = names.split('.')
        owner = importlib.import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        setattr(owner, name, self.counted(getattr(owner, name), part))


def main() -> int:
    """Simulate, run twice, print; the exit code is 1 beyond the target."""
    args = build_parser().parse_args()
    if args.child:
        return run_counted(args)
    folder = args.out.resolve()
    simulate(folder / 'bids', args.voxel_size)
    os.environ['NUMBA_CACHE_DIR'] = str(folder / 'loops')
    warm = [sys.executable, '-m', 'qsmbids.cli.warm_cache', str(folder / 'loops')]
    subprocess.run(warm, check=True, stdout=subprocess.DEVNULL)
    for name in ('out', 'work'):
        shutil.rmtree(folder / name, ignore_errors=True)
    share = report(folder, args, 'first run')
    report(folder, args, 'second run, nothing to do', counted=False)
    return int(share > TARGET)


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for everything')
    parser.add_argument('--voxel-size', type=float, default=1.0, metavar='MM')
    parser.add_argument('--nprocs', type=int, default=1)
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('options', nargs='*', help='after --: options of the run')
    return parser


def simulate(bids: Path, voxel_size: float) -> None:
    """Write one person, unless there already."""
    from qsmbids.phantom.dataset import write_dataset
    from qsmbids.phantom.parameters import PhantomParameters

    marker = bids.with_name('simulated.txt')
    if not marker.is_file() or marker.read_text() != str(voxel_size):
        shutil.rmtree(bids, ignore_errors=True)
        write_dataset(bids, [AGE_YEARS], parameters=PhantomParameters(voxel_size_mm=voxel_size))
        marker.write_text(str(voxel_size))


def command_line(folder: Path, args: argparse.Namespace) -> list[str]:
    """Return the arguments of the run."""
    return [
        str(folder / 'bids'), str(folder / 'out'), 'participant', '-w', str(folder / 'work'),
        '--nprocs', str(args.nprocs), *args.options,
    ]  # fmt: skip


def report(folder: Path, args: argparse.Namespace, title: str, counted: bool = True) -> float:
    """Run and print where the time went; return the share of everything but numerics."""
    accounts, log = folder / 'accounts.txt', folder / 'log.txt'
    accounts.unlink(missing_ok=True)
    if counted:
        command = [sys.executable, __file__, '--child', '--out', str(folder)]
        command += ['--nprocs', str(args.nprocs), '--', *args.options]
    else:
        command = [sys.executable, '-m', 'qsmbids', *command_line(folder, args)]
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open('w') as stream:
        code = subprocess.run(command, check=False, stdout=stream).returncode
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if code:
        raise SystemExit(f'the run ended with {code}; see {log}')
    print(f'\n{title}: {wall:.1f} s wall, {total:.1f} s of processor time')
    if not counted:
        return 0.0
    spent = Counter()
    for line in accounts.read_text().splitlines():
        seconds, _, part = line.partition(' ')
        spent[part] += float(seconds)
    spent['everything else'] = total - sum(spent.values())
    for part, seconds in spent.most_common():
        print(f'  {part:<28}{seconds:9.2f} s{100 * seconds / total:7.1f} %')
    share = 1 - spent[NUMERICS] / total
    print(f'  {"beyond numerics":<28}{share * total:9.2f} s{100 * share:7.1f} %')
    return share


def run_counted(args: argparse.Namespace) -> int:
    """Carry the run out in this process, keeping count."""
    account = Account(args.out / 'accounts.txt')
    account.charge(START, time.process_time())
    account.count_imports()
    for part, places in PARTS.items():
        for place in places:
            account.count(place, part)
    from qsmbids.cli.main import main as qsmbids

    return qsmbids(command_line(args.out, args))


if __name__ == '__main__':
    sys.exit(main())
