"""Registration scored against the truth: people warped from the Allen anatomy, whole BIDS App.

    python benchmarks/registration.py --allen FOLDER --out FOLDER
    python benchmarks/registration.py --allen FOLDER --out FOLDER --voxel-size 2 --ages 30
    python benchmarks/registration.py --allen FOLDER --out FOLDER --skip-reconstruction

FOLDER of ``--allen`` holds AllenAtlas.nii.gz and AllenAtlas.json. Each person is the Allen
anatomy, deformed by up to 10 mm beyond head size (by age) and pose, with susceptibility of the
age curves, and scanned obliquely with bias, receive phase and noise. The raw dataset goes
through ``qsmbids participant``; a second atlas uses the same work folder, so that only the
registration is repeated. Dice is between the labels that the program brought to the scan and
the true ones on the grid of the data, by region name and hemisphere, mean of both sides.

``--skip-reconstruction`` hands the registration the true susceptibility with noise and the
magnitude instead: seconds to set up, for work on the registration itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import warped

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.cohorts import pick_cohort
from qsmbids.atlas.dataset import open_atlas
from qsmbids.phantom.overlap import DEEP_GREY, Overlap, region_means, region_overlap

REGISTRATION = 'registration to the atlas'  # name of the step in the records of a run


@dataclasses.dataclass(frozen=True)
class Result:
    """One person with one atlas."""

    age: float
    overlaps: list[Overlap]
    chi_error_ppb: dict[str, float]
    seconds: float


def main() -> int:
    """Run everything that was asked for and print a table for each atlas."""
    args = build_parser().parse_args()
    threads = dict.fromkeys(('OMP_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'), '1')
    os.environ |= {key: os.environ.get(key, value) for key, value in threads.items()}
    args.out, args.allen = args.out.resolve(), args.allen.resolve()
    folders = [warped.atlas_folder(name, args.out, args.allen) for name in args.atlas]
    score = score_maps if args.skip_reconstruction else score_app
    for folder, results in zip(folders, score(args, folders), strict=True):
        print_table(folder, results, args)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--allen', type=Path, required=True, help='folder of the label map')
    parser.add_argument('--out', type=Path, required=True, help='dataset, work files, results')
    parser.add_argument('--ages', type=float, nargs='+', default=[5, 30, 75], metavar='YEARS')
    parser.add_argument('--voxel-size', type=float, default=1.0, metavar='MM')
    parser.add_argument(
        '--atlas', nargs='+', default=[warped.ALLEN, BUILTIN], metavar='NAME|PATH',
        help=f'{warped.ALLEN} (made of the Allen files), {BUILTIN}, or an atlas folder',
    )  # fmt: skip
    parser.add_argument('--registration', default='standard', help='preset')
    parser.add_argument('--seed', type=int, default=1, help='of the first person')
    parser.add_argument('--nprocs', type=int, default=2, help='processors')
    parser.add_argument('--skip-reconstruction', action='store_true', help='registration alone')
    return parser


def score_app(args: argparse.Namespace, folders: list[Path]) -> list[list[Result]]:
    """Run the BIDS App with each atlas and score what it wrote."""
    here = args.out / f'{args.voxel_size:g}mm'
    people = warped.simulate_dataset(here, args.allen, args.ages, args.voxel_size, args.seed)
    for person in people:
        print(f'sub-{person.label}, {person.age:g} years: {_shown(person.deformation)}')
    everything = []
    for folder in folders:
        out = here / f'{folder.name}-{args.registration}'
        command = [
            sys.executable, '-m', 'qsmbids', here / 'bids', out, 'participant',
            '--atlas', BUILTIN if folder.name == BUILTIN else folder, '-w', here / 'work',
            '--registration', args.registration, '--nprocs', args.nprocs,
        ]  # fmt: skip
        print(f'\n$ {" ".join(map(str, command[1:]))}', flush=True)
        start = time.perf_counter()
        code = subprocess.run([str(part) for part in command], check=False).returncode
        print(f'exit code {code}, {time.perf_counter() - start:.0f} s', flush=True)
        everything.append([_score_one(out, person, folder, args.allen) for person in people])
    return everything


def _score_one(out: Path, person: warped.Person, folder: Path, allen: Path) -> Result:
    """Score one person; without labels the registration failed and every Dice is 0."""
    subject, table = f'sub-{person.label}', warped.anatomy(allen).table
    anat, atlas = out / subject / 'anat', open_atlas(folder)
    true, voxel = warped.read(person.dseg)
    path = anat / f'{subject}_atlas-{atlas.name}_dseg.nii.gz'
    found = warped.read(path)[0] if path.is_file() else np.zeros_like(true)
    inside = warped.read(anat / f'{subject}_desc-qsm_mask.nii.gz')[0] > 0
    true_chi, chi = warped.read(person.chi)[0], warped.read(anat / f'{subject}_Chimap.nii.gz')[0]
    # the truth under the true labels, and the map under the labels that the program found
    expected = region_means(true_chi - true_chi[inside].mean(dtype=float), inside, true, table)
    recovered = region_means(chi, inside, found, atlas.labels)
    record = json.loads((out / subject / 'log' / f'{subject}_atlas.json').read_text('utf-8'))
    seconds = [s['seconds'] for s in record['steps'] if s['name'] == REGISTRATION]
    return Result(
        person.age,
        region_overlap(found, atlas.labels, true, table, voxel),
        {name: 1000 * (recovered[name] - expected[name]) for name in DEEP_GREY},
        seconds[0] if seconds else float('nan'),
    )


def score_maps(args: argparse.Namespace, folders: list[Path]) -> list[list[Result]]:
    """Register maps that were made without a reconstruction, and score the labels."""
    everything: list[list[Result]] = [[] for _ in folders]
    for number, age in enumerate(args.ages):
        start = time.perf_counter()
        paths = warped.simulate_maps(
            args.out / 'maps', args.allen, age, args.voxel_size, args.seed + number
        )
        print(f'{age:g} years: maps in {time.perf_counter() - start:.0f} s', flush=True)
        print(f'  {_shown(json.loads(paths["chi"].with_name("deformation.json").read_text()))}')
        for results, folder in zip(everything, folders, strict=True):
            results.append(_register_one(args, folder, age, paths))
    return everything


def _register_one(
    args: argparse.Namespace, folder: Path, age: float, paths: dict[str, Path]
) -> Result:
    from qsmbids.atlas.register import register_to_template
    from qsmbids.atlas.transforms import labels_to_native

    atlas = open_atlas(folder)
    template = atlas.files(pick_cohort(atlas.cohorts, age)[0].label)
    here = paths['chi'].parent / f'{folder.name}-{args.registration}'
    start = time.perf_counter()
    registration = register_to_template(
        magnitude=paths['magnitude'], chi=paths['chi'], mask=paths['mask'],
        chi_mask=paths['chi_mask'], template=template, out_dir=here,
        preset=args.registration, seed=args.seed, threads=1,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(f'  {folder.name}: {seconds:.0f} s; {_shown(registration.quality)}', flush=True)
    labels_to_native(registration.inverse, template.dseg, paths['chi'], here / 'dseg.nii.gz')
    found, voxel = warped.read(here / 'dseg.nii.gz')
    true, table = warped.read(paths['dseg'])[0], warped.anatomy(args.allen).table
    inside, chi = warped.read(paths['chi_mask'])[0] > 0, warped.read(paths['true_chi'])[0]
    # the same map under both sets of labels: the error of the labels alone
    expected = region_means(chi, inside, true, table)
    labelled = region_means(chi, inside, found, atlas.labels)
    errors = {name: 1000 * (labelled[name] - expected[name]) for name in DEEP_GREY}
    return Result(age, region_overlap(found, atlas.labels, true, table, voxel), errors, seconds)


def print_table(folder: Path, results: list[Result], args: argparse.Namespace) -> None:
    """Print one atlas: Dice, volume ratio and susceptibility error by nucleus and age."""
    ages = [f'{result.age:g} y' for result in results]
    print(f'\n### {folder.name}, {args.voxel_size:g} mm, {args.registration}\n')
    kinds = ('Dice', 'volume', 'error, ppb')
    print(f'| nucleus (mm³) | {" | ".join(f"{k} {a}" for k in kinds for a in ages)} |')
    print('|---|' + '---:|' * (len(kinds) * len(ages)))
    for row, name in enumerate(DEEP_GREY):
        found = [result.overlaps[row] for result in results]
        cells = [f'{one.dice:.2f}' for one in found]
        cells += [f'{one.volume_ratio:.2f}' for one in found]
        cells += [f'{result.chi_error_ppb[name]:+.0f}' for result in results]
        size = np.mean([one.true_mm3 for one in found])
        print(f'| {name} ({size:.0f}) | {" | ".join(cells)} |')
    dice = np.array([[one.dice for one in result.overlaps] for result in results])
    errors = np.array([[abs(v) for v in r.chi_error_ppb.values()] for r in results])
    ratios = np.array([[one.volume_ratio for one in result.overlaps] for result in results])
    blank = [''] * len(ages)
    rows = {
        'mean (error: absolute)': [
            *(f'{v:.3f}' for v in dice.mean(axis=1)),
            *(f'{v:.2f}' for v in ratios.mean(axis=1)),
            *(f'{v:.1f}' for v in errors.mean(axis=1)),
        ],
        'least Dice': [*(f'{v:.3f}' for v in dice.min(axis=1)), *blank, *blank],
        'registration, s': [*(f'{result.seconds:.0f}' for result in results), *blank, *blank],
    }
    for title, cells in rows.items():
        print(f'| **{title}** | {" | ".join(cells)} |')
    sys.stdout.flush()


def _shown(numbers: dict[str, float]) -> str:
    return ', '.join(f'{key} {value:.2f}' for key, value in numbers.items())


if __name__ == '__main__':
    sys.exit(main())
