"""Age curves from images: simulated people go through participant and group, and come back.

    python benchmarks/group_images.py --out FOLDER
    python benchmarks/group_images.py --out FOLDER --ages 10 40 --voxel-size 3

Twelve heads of 3 to 80 years are simulated as scans and go through ``qsmbids ... participant
--registration fast`` and ``group``. The curves that generated them have cerebrospinal fluid as
zero, the maps the whole brain, so from each generating value the mean of the true susceptibility
over the reconstructed voxels of that person is subtracted. Printed is, at each age, the generating
value, the true mean of the region in the voxels of the scan (partial volume included), what was
measured, and the recovered curve with its 95 % band; then the parameters and derived quantities
with their intervals against those of the generating curve, which decide the exit code.

The folder is kept: run the same command again to go on after an interruption. Simulated heads
appear when all of them are done; of the participant level the work folder remembers each step.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from qsmbids.cli.demo_cohort import CURVES, read_curves
from qsmbids.lifespan.fit import fit_curve
from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER

AGES = (3.0, 6.0, 10.0, 15.0, 21.0, 28.0, 36.0, 45.0, 54.0, 63.0, 72.0, 80.0)
REGIONS = ('GlobusPallidusExternal', 'GlobusPallidusInternal', 'Putamen', 'Caudate')
PARAMETERS = 'group_atlas-QSMLifespan_desc-curves_Chimap.tsv'
SIDES = ('Left', 'Right')


@dataclass(frozen=True)
class Value:
    """One region of one person, ppm in the reference of the map, mean of both sides."""

    label: str
    age: float
    generating: float
    true: float
    measured: float


def main() -> int:
    """Run what has not been run, and print the comparison; 1 if a region is outside."""
    args = build_parser().parse_args()
    folder = args.out.resolve()
    bids, out = folder / 'bids', folder / 'derivatives' / 'qsmbids'
    if not bids.exists():
        extra = {'voxel_size_mm': args.voxel_size} if args.voxel_size else {}
        folder.mkdir(parents=True, exist_ok=True)
        write_dataset(
            bids, args.ages, parameters=PhantomParameters(seed=args.seed, **extra),
            progress=lambda part, text: print(f'  [{100 * part:3.0f} %] {text}', flush=True),
        )  # fmt: skip
    common = [str(bids), str(out), '-w', str(folder / 'work'), '--nprocs', str(args.nprocs)]
    group = ['group', '--measure', args.measure]
    for level in (['participant', '--registration', 'fast'], group):
        command = [sys.executable, '-m', 'qsmbids', *common[:2], level[0], *common[2:], *level[1:]]
        print('running:', ' '.join(command[1:]), flush=True)
        environment = os.environ | {'OMP_NUM_THREADS': '1'}
        if code := subprocess.run(command, env=environment).returncode:
            return code
    return compare(bids, out, args.measure)


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for everything')
    parser.add_argument('--ages', type=float, nargs='+', default=list(AGES), metavar='YEARS')
    parser.add_argument('--voxel-size', type=float, metavar='MM', help='default: of the phantom')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--nprocs', type=int, default=2)
    parser.add_argument(
        '--measure', choices=('mean', 'core_mean'), default='core_mean',
        help='what stands for a region; the mean has partial volume in it',
    )  # fmt: skip
    return parser


def compare(bids: Path, out: Path, measure: str) -> int:
    """Print each region against its generating curve; 1 if a quantity is outside."""
    values = {region: [] for region in REGIONS}
    for table in sorted(out.glob('sub-*/anat/*_desc-regions_Chimap.tsv')):
        for region, value in of_person(bids, table, measure).items():
            values[region].append(value)
    curves = read_curves(out / CURVES) if (out / CURVES).is_file() else {}
    for region in REGIONS:
        compare_region(region, values[region], curves.get(region))
    bad = compare_quantities(out / PARAMETERS, values)
    print(f'\n{"OUTSIDE: " + ", ".join(bad) if bad else "All within their 95 % intervals."}')
    return int(bool(bad))


def of_person(bids: Path, table: Path, measure: str) -> dict[str, Value]:
    """Return the values of a person by region."""
    subject = table.name.split('_')[0]
    truth = bids / 'derivatives' / TRUTH_FOLDER / subject / 'anat'
    mask = next(table.parent.glob(f'{subject}*_desc-qsm_mask.nii.gz'))
    inside = np.asanyarray(nib.load(mask).dataobj) > 0
    chi = np.asanyarray(nib.load(truth / f'{subject}_desc-truth_Chimap.nii.gz').dataobj)
    reference = float(chi[inside].mean(dtype=float))
    true, found = rows(truth / f'{subject}_desc-regions_Chimap.tsv'), rows(table)
    ages = {r['participant_id']: float(r['age']) for r in read(bids / 'participants.tsv')}

    def mean(table: Mapping[str, Mapping[str, str]], region: str, column: str) -> float:
        cells = [table[region + side][column] for side in SIDES]
        return float(np.mean([math.nan if c == 'n/a' else float(c) for c in cells]))

    return {
        region: Value(
            subject, ages[subject], mean(true, region, 'chi_curve_ppm') - reference,
            mean(true, region, 'chi_data_ppm') - reference, mean(found, region, measure),
        )
        for region in REGIONS
    }  # fmt: skip


def compare_region(
    region: str, values: list[Value], curve: Mapping[str, list[float]] | None
) -> None:
    """Print a region at every age."""
    print(f'\n{region}, ppb, referenced to the whole brain')
    print(f'  {"age":>5} {"generating":>11} {"in voxels":>10} {"measured":>9} {"curve":>8}  band')
    outside = in_voxels = 0
    for value in sorted(values, key=lambda v: v.age):
        mean, low, high = (
            1000 * float(np.interp(value.age, curve['age'], curve[name])) if curve else math.nan
            for name in ('mean', 'mean_low', 'mean_high')
        )
        generating = 1000 * value.generating
        inside = low <= generating <= high
        outside += not inside
        in_voxels += low <= 1000 * value.true <= high
        print(
            f'  {value.age:5.1f} {generating:11.1f} {1000 * value.true:10.1f} '
            f'{1000 * value.measured:9.1f} {mean:8.1f}  {low:6.1f} to {high:6.1f}'
            f'{"" if inside else "  OUTSIDE" if curve else "  no curve"}'
        )
    print(
        f'  within the band: the generating curve at {len(values) - outside} of {len(values)} '
        f'ages, the truth in the voxels of the scan at {in_voxels}'
    )


def compare_quantities(path: Path, values: Mapping[str, list[Value]]) -> list[str]:
    """Print what was recovered against the generating curve; return what lies outside.

    The zero of the maps, the mean of the brain, moves with age itself. What is expected is
    therefore the curve of the same family through the generating values in that reference.
    """
    outside = []
    print('\nQuantities of the curves with 95 % intervals')
    for region, people in values.items():
        recovered = {
            row['quantity']: row for row in (read(path) if path.is_file() else ())
            if row['region'] == region and row['kind'] != 'spread'
        }  # fmt: skip
        if not recovered:
            outside.append(f'{region} (no curve)')
            continue
        family = next(iter(recovered.values()))['family']
        fit = fit_curve([v.age for v in people], [v.generating for v in people], family,
                        intervals=False)  # fmt: skip
        wanted = dict(zip(fit.names, fit.values, strict=True))
        wanted |= {one.name: one.value for one in fit.derived}
        for name, row in recovered.items():
            value, low, high = (float(row[c].replace('n/a', 'nan')) for c in
                                ('value', 'low', 'high'))  # fmt: skip
            inside = low <= wanted[name] <= high
            outside += [] if inside else [f'{region} {name}']
            print(
                f'  {region:<24} {family:<12} {name:<20} {value:9.4g}  {low:9.4g} to {high:9.4g} '
                f'{row["unit"]:<7} expected {wanted[name]:9.4g}{"" if inside else "  OUTSIDE"}'
            )
    return outside


def rows(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a region table by name."""
    return {row['name']: row for row in read(path)}


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a TSV."""
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


if __name__ == '__main__':
    sys.exit(main())
