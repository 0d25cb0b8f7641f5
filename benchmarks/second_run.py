"""What it costs to be started again when everything is finished.

    python benchmarks/second_run.py --out FOLDER
    python benchmarks/second_run.py --out FOLDER --participants 1000

The dataset of ``plan_scale.py`` is taken, and results of all its people are put in place: small
stand-ins for maps and tables under their real names, with the stamps that the program itself
writes when an acquisition is complete. Then ``qsmbids`` is run twice as anybody would run it. The
first run learns what the images hold, the second knows; both find everything finished. Time
includes the start of the interpreter. The target of this project: less than 5 s for 100 people.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from plan_scale import write_dataset

TARGET_S = 5.0  # for each 100 people
OPTIONS = ('--recon-only',)


def main() -> int:
    """Write, run twice, print; the exit code is 1 beyond the target."""
    args = build_parser().parse_args()
    folder = args.out.resolve()
    write_dataset(folder / 'bids', args.participants)
    shutil.rmtree(folder / 'out', ignore_errors=True)
    finish_everybody(folder)
    print(f'{args.participants} participants, everything finished')
    print(f'{"":<22}{"wall":>9}{"processor":>11}')
    wall = 0.0
    for what in ('images looked through', 'images remembered'):
        wall, seconds = run(folder)
        print(f'{what:<22}{wall:7.1f} s{seconds:9.1f} s', flush=True)
    return int(wall > TARGET_S * max(1.0, args.participants / 100))


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for dataset and results')
    parser.add_argument('--participants', type=int, default=100)
    return parser


def command(folder: Path) -> list[str]:
    """Return the command line of a run."""
    places = [str(folder / name) for name in ('bids', 'out')]
    return [*places, 'participant', '-w', str(folder / 'work'), *OPTIONS]


def run(folder: Path) -> tuple[float, float]:
    """Run the program; return wall and processor time in s."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    call = [sys.executable, '-m', 'qsmbids', *command(folder)]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert 'steps' not in done.stdout, done.stdout  # nothing was computed
    assert 'finished and unchanged' in done.stdout, done.stdout
    return (
        time.monotonic() - begin,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def finish_everybody(folder: Path) -> None:
    """Put stand-ins for all results in place, and the stamps that belong to them."""
    import nibabel as nib
    import numpy as np

    from qsmbids.bids import names as bids_names
    from qsmbids.cli.parser import parse
    from qsmbids.cli.participant import make_the_plan
    from qsmbids.workflows.done import mark_done
    from qsmbids.workflows.finish import finish
    from qsmbids.workflows.outcome import judge, promised_names

    config = parse(command(folder))
    image = folder / 'stand-in.nii.gz'
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)), image)
    plan = make_the_plan(config)
    for person in plan.participants:
        for acquisition in person.usable:
            names = promised_names(acquisition, config, '')
            for name in bids_names.with_sidecars(names.values()):
                path = config.output_dir / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(image, path) if name.endswith('.nii.gz') else path.write_text('{}')
            mark_done(judge(acquisition, names, config.output_dir), config, '')
    finish(plan, config, [])  # pages and states


if __name__ == '__main__':
    sys.exit(main())
