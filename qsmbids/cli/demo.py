"""``qsmbids-demo``: simulate a small lifespan cohort, run everything on it, compare with truth."""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids import __version__
from qsmbids.cli import demo_cohort, exit_codes

if TYPE_CHECKING:
    from qsmbids.phantom.score import Score

DEFAULT_AGES = (8.0, 35.0, 70.0)
# what the demo promises; also what its test asks for
SLOPE_RANGE = (0.85, 1.15)
MAX_ERROR_PPB = 15.0  # mean absolute error of the nuclei of a person
# a nucleus with fewer voxels than this volume holds is mostly border
LARGE_MM3 = 200.0
MAX_NUCLEUS_ERROR_PPB = 10.0  # of each nucleus larger than that
MARKER = '.qsmbids-demo'  # tells a demo's dataset from other folders, and its settings


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        prog='qsmbids-demo',
        description='Simulate people of several ages as a BIDS dataset, run qsmbids participant '
        'and group on it, and compare the recovered susceptibility with the true one. With '
        '--cohort: simulate the tables of many people, and run group alone.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('folder', type=Path, help='where dataset, results and work files go')
    parser.add_argument(
        '--ages', type=float, nargs='+', default=list(DEFAULT_AGES), metavar='YEARS',
        help='ages of the simulated people',
    )  # fmt: skip
    parser.add_argument(
        '--voxel-size', type=float, metavar='MM', help='voxel size (default: of the phantom)'
    )
    parser.add_argument('--seed', type=int, default=1, help='seed of anatomy and noise')
    parser.add_argument('--nprocs', type=int, metavar='N', help='processors (default: all)')
    parser.add_argument('--version', action='version', version=f'qsmbids-demo {__version__}')
    demo_cohort.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    args = build_parser().parse_args(argv)
    if hasattr(args, 'cohort'):
        return demo_cohort.run_cohort(args)
    if any(not 1 <= age <= 100 for age in args.ages):
        build_parser().error('--ages must lie between 1 and 100 years')
    begin = time.monotonic()
    folder = args.folder.resolve()
    bids, out = folder / 'bids', folder / 'derivatives' / 'qsmbids'
    from qsmbids.execution.environment import prepare_environment

    folder.mkdir(parents=True, exist_ok=True)
    prepare_environment(folder / 'work', args.seed)
    try:
        simulate(bids, args.ages, args.voxel_size, args.seed, out)
    except ValueError as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    from qsmbids.cli.main import main as qsmbids

    arguments = [str(bids), str(out), 'participant', 'group', '-w', str(folder / 'work')]
    arguments += ['--registration', 'fast']  # a demo that takes long is not tried
    if args.nprocs:
        arguments += ['--nprocs', str(args.nprocs)]
    code = qsmbids(arguments)
    if code == exit_codes.OK:
        code = compare(bids, out)
    minutes = (time.monotonic() - begin) / 60
    print(f'\nDemo finished in {minutes:.1f} minutes. Open these in a browser:')
    for page in [*sorted(out.glob('sub-*.html')), out / 'group.html']:
        print(f'  {page}')
    print(f'Susceptibility maps and tables: {out}/sub-*/anat/')
    return code


def simulate(
    bids: Path, ages: Sequence[float], voxel_size: float | None, seed: int, out: Path
) -> None:
    """Write the dataset, unless the same one is there already; another one takes ``out`` along.

    Raises
    ------
    ValueError
        If something else than an earlier demo lies in the folder.
    """
    from qsmbids.execution.limits import available_cpus
    from qsmbids.phantom.dataset import write_dataset
    from qsmbids.phantom.parameters import PhantomParameters
    from qsmbids.qsm import fft

    extra = {} if voxel_size is None else {'voxel_size_mm': voxel_size}
    parameters = PhantomParameters(seed=seed, **extra)
    marker = bids / MARKER
    wanted = f'{__version__} {list(ages)} {parameters}'
    if marker.is_file():
        if marker.read_text(encoding='utf-8') == wanted:
            print(f'Using the simulated dataset in {bids}\n')
            return
        shutil.rmtree(bids)  # an earlier demo with other settings
        shutil.rmtree(out, ignore_errors=True)
    print(f'Simulating {len(ages)} people of {", ".join(f"{a:g}" for a in ages)} years in {bids}')
    begin = time.monotonic()
    fft.set_workers(available_cpus())
    write_dataset(bids, ages, parameters=parameters, progress=_show)
    marker.write_text(wanted, encoding='utf-8')
    print(f'Simulated in {time.monotonic() - begin:.0f} s\n')


def _show(fraction: float, text: str) -> None:
    print(f'  [{100 * fraction:3.0f} %] {text}', flush=True)


def compare(bids: Path, out: Path) -> int:
    """Print recovered against true susceptibility of the deep grey nuclei of each person."""
    tables = sorted(out.glob('sub-*/anat/*_desc-regions_Chimap.tsv'))
    good = bool(tables)
    print('\nRecovered against true susceptibility, ppb, both referenced to the whole brain')
    for table in tables:
        good &= _compare_one(table, bids)
    state = 'as promised' if good else 'OUTSIDE what the demo promises'
    low, high = SLOPE_RANGE
    print(
        f'\nThe slopes and errors are {state} '
        f'(slope {low:g} to {high:g}, mean absolute error at most {MAX_ERROR_PPB:g} ppb,\n'
        f'nuclei above {LARGE_MM3:g} mm^3 within {MAX_NUCLEUS_ERROR_PPB:g} ppb).'
    )
    return exit_codes.OK if good else exit_codes.SOME_FAILED


def _compare_one(table: Path, bids: Path) -> bool:
    import nibabel as nib
    import numpy as np

    from qsmbids.phantom.score import score_regions
    from qsmbids.phantom.truth_dataset import TRUTH_FOLDER

    subject = table.name.split('_')[0]
    truth = bids / 'derivatives' / TRUTH_FOLDER / subject / 'anat'
    truth_chi = nib.load(truth / f'{subject}_desc-truth_Chimap.nii.gz')
    mask = next(table.parent.glob(f'{subject}*_desc-qsm_mask.nii.gz'))
    inside = np.asanyarray(nib.load(mask).dataobj) > 0
    reference = float(np.asanyarray(truth_chi.dataobj)[inside].mean(dtype=float))
    recovered, true = _rows(table), _rows(truth / f'{subject}_desc-regions_Chimap.tsv')
    nuclei = [name for name, row in true.items() if row['group'] == 'deep grey']
    score = score_regions(
        {name: _number(row['mean']) for name, row in recovered.items()},
        {name: _number(row['chi_data_ppm']) for name, row in true.items()},
        reference,
        nuclei,
    )
    print(f'\n{subject}')
    volumes = {name: _number(true[name]['volume_mm3']) for name in nuclei}
    outside = _print_nuclei(score, volumes)
    error = 1000 * score.mean_absolute_error_ppm
    print(f'  slope {score.slope:.3f}, mean absolute error {error:.1f} ppb')
    on_line = SLOPE_RANGE[0] <= score.slope <= SLOPE_RANGE[1] and error <= MAX_ERROR_PPB
    return on_line and not outside


def _print_nuclei(score: Score, volumes: Mapping[str, float]) -> list[str]:
    """Print each nucleus; return the large ones that are too far off or were not measured."""
    outside = [n for n, volume in volumes.items() if volume > LARGE_MM3 and n not in score.names]
    for name in outside:
        print(f'  {name:<30} not measured   OUTSIDE')
    rows = zip(score.names, 1000 * score.true_ppm, 1000 * score.recovered_ppm, strict=True)
    for name, expected, found in rows:
        if volumes[name] > LARGE_MM3 and abs(found - expected) > MAX_NUCLEUS_ERROR_PPB:
            outside.append(name)
        print(
            f'  {name:<30} {volumes[name]:5.0f} mm^3   true {expected:6.1f}'
            f'   recovered {found:6.1f}   error {found - expected:+5.1f}'
            f'{"   OUTSIDE" if name in outside else ""}'
        )
    return outside


def _rows(path: Path) -> dict[str, dict[str, str]]:
    with open(path, encoding='utf-8', newline='') as stream:
        return {row['name']: row for row in csv.DictReader(stream, delimiter='\t')}


def _number(text: str) -> float:
    return float('nan') if text == 'n/a' else float(text)


if __name__ == '__main__':
    sys.exit(main())
