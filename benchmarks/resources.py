"""Memory and time of every step of the app: what is predicted, and what was measured.

    python benchmarks/resources.py                         # the default chain at 1.5 and 1 mm
    python benchmarks/resources.py --voxel-size 2 -- --recon-only --contrast swi
    python benchmarks/resources.py --bids FOLDER --work FOLDER -- --recon-only   # of a past run

Options after ``--`` go to the app. Measured memory is the peak of the worker while it does the
step, with all that it imported before; measured seconds are those of the processor. Columns
``start`` and ``bytes/voxel`` split the peak into what the worker held before and what the step
added. A run that is looked at again must have been made with ``--keep-work`` and the same options.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from qsmbids.cli.parser import parse
from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.forecast import atlas_grid
from qsmbids.workflows.memory import step_needs
from qsmbids.workflows.workflow_names import workflow_name

AGE_YEARS = 35.0
_HEAD = ('step', 'predicted GB', 'measured GB', 'ratio', 'start GB', 'bytes/voxel',
         'predicted s', 'measured s')  # fmt: skip


def rows(bids: Path, work: Path, options: list[str]) -> list[tuple[Any, ...]]:
    """Return a row for each step of the first acquisition of a run, in the order of the head."""
    config = parse([str(bids), str(work / 'out'), 'participant', '-w', str(work), *options])
    acquisition = make_plan(bids).acquisitions[0]
    grid = atlas_grid([acquisition], config)
    megavoxels = acquisition.shape[0] * acquisition.shape[1] * acquisition.shape[2] / 1e6
    found = []
    for name, need in step_needs(acquisition, config, grid).items():
        records = list(work.glob(f'qsmbids_*/{workflow_name(acquisition.key)}/{name}/record.json'))
        if not records:
            continue
        record = json.loads(records[0].read_text(encoding='utf-8'))
        peak, start = record['peak_gb'], record.get('start_gb', float('nan'))
        found.append((
            name, need.gb, peak, need.gb / peak, start, 1000 * (peak - start) / megavoxels,
            need.seconds, record['cpu_seconds'],
        ))  # fmt: skip
    return found


def run(bids: Path, folder: Path, options: list[str]) -> None:
    """Run the app on a dataset with one process, so that workers do not wait for each other."""
    command = [
        sys.executable, '-m', 'qsmbids', str(bids), str(folder / 'out'), 'participant',
        '-w', str(folder / 'work'), '--nprocs', '1', '--keep-work', *options,
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def table(found: list[tuple[Any, ...]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [' | '.join(('', *_HEAD, '')).strip(), '|---' + '|---:' * (len(_HEAD) - 1) + '|']
    for name, *numbers in found:
        digits = (2, 2, 2, 2, 0, 0, 0)
        cells = [f'{number:.{n}f}' for number, n in zip(numbers, digits, strict=True)]
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main() -> None:
    """Print a table for each voxel size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--voxel-size', type=float, nargs='+', default=[1.5, 1.0], metavar='MM')
    parser.add_argument('--bids', type=Path, help='dataset of a past run')
    parser.add_argument('--work', type=Path, help='work folder of a past run')
    parser.add_argument('options', nargs='*', help='options of the app, after --')
    args = parser.parse_args()
    if args.bids and args.work:
        print(table(rows(args.bids, args.work, args.options)))
        return
    for size in args.voxel_size:
        with tempfile.TemporaryDirectory(prefix='resources_') as name:
            folder = Path(name)
            parameters = PhantomParameters(voxel_size_mm=size)
            bids = write_dataset(folder / 'bids', [AGE_YEARS], parameters=parameters)
            run(bids, folder, args.options)
            print(f'\n{size:g} mm\n\n{table(rows(bids, folder / "work", args.options))}')


if __name__ == '__main__':
    main()
