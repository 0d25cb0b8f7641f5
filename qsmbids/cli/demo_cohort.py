"""``qsmbids-demo FOLDER --cohort N``: a simulated lifespan cohort at table level, in seconds."""

from __future__ import annotations

import argparse
import csv
import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids import __version__
from qsmbids.cli import exit_codes

if TYPE_CHECKING:
    from qsmbids.phantom.cohort_people import Truth

AGE_RANGE = (1.0, 83.0)
CURVES = 'group_atlas-QSMLifespan_desc-centiles_Chimap.tsv'  # recovered curves with their bands
# what the demo promises: root mean square over the ages of recovered minus generating curve, with
# this many people (it falls with their root), and how much of all curves lies in the 95 % bands.
# That share is below 95 %, because a band knows nothing of the choice between similar families
MAX_RMS_PPB, WITH_PEOPLE = 5.0, 200
MIN_INSIDE = 0.8
MARKER = '.qsmbids-demo-cohort'

Curve = Mapping[str, list[float]]  # age, mean, mean_low, mean_high


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the cohort."""
    group = parser.add_argument_group('a cohort at table level, without images')
    group.add_argument(
        '--cohort', type=int, metavar='N', default=argparse.SUPPRESS,
        help='simulate the tables of N people instead of images of a few',
    )  # fmt: skip
    group.add_argument(
        '--age-range', type=float, nargs=2, metavar=('LOW', 'HIGH'), default=AGE_RANGE,
        help='ages of the cohort, years',
    )  # fmt: skip
    group.add_argument(
        '--sessions', type=int, default=1, metavar='N', help='visits, 2 years apart'
    )
    group.add_argument(
        '--patients', type=float, default=0.0, metavar='SHARE',
        help='share of patients, with 40 ppb more in the substantia nigra',
    )  # fmt: skip
    group.add_argument('--sites', type=int, default=1, metavar='N', help='number of scanners')


def run_cohort(args: argparse.Namespace) -> int:
    """Simulate, run the group level, compare, and return the exit code."""
    from qsmbids.cli.main import main as qsmbids

    begin = time.monotonic()
    folder = args.folder.resolve()
    bids, out = folder / 'bids', folder / 'derivatives' / 'qsmbids'
    try:
        truth = simulate_cohort(folder, args)
    except ValueError as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    print(f'Simulated {args.cohort} people in {time.monotonic() - begin:.1f} s')
    arguments = [str(bids), str(out), 'group', '-w', str(folder / 'work'), *questions(args)]
    code = qsmbids(arguments)
    if code == exit_codes.OK:
        code = compare_curves(out, truth)
    print(f'\nDemo finished in {time.monotonic() - begin:.0f} s. Open this in a browser:')
    print(f'  {out / "group.html"}')
    return code


def questions(args: argparse.Namespace) -> list[str]:
    """Return the options of the group level that the cohort has answers to."""
    options = ['--norms', 'prior']
    if 0 < args.patients < 1:
        options += ['--model', 'chi ~ diagnosis + age + sex', '--scores', 'score']
        options += ['--roc', 'diagnosis=patient/control']
    if args.sites > 1:
        options += ['--harmonize', 'site']
    return options


def simulate_cohort(folder: Path, args: argparse.Namespace) -> Truth:
    """Write the cohort; an earlier one of this demo in the same folder makes way.

    Raises
    ------
    ValueError
        If something else lies in the folder, or the numbers make no sense.
    """
    from qsmbids.phantom.cohort_tables import write_cohort_tables

    bids, out = folder / 'bids', folder / 'derivatives' / 'qsmbids'
    if (bids / MARKER).is_file():
        shutil.rmtree(bids)
        shutil.rmtree(out, ignore_errors=True)
    truth = write_cohort_tables(
        folder, args.cohort, seed=args.seed, ages=tuple(args.age_range), sessions=args.sessions,
        patients=args.patients, sites=args.sites,
    )  # fmt: skip
    (bids / MARKER).write_text(__version__, encoding='utf-8')
    return truth


def compare_curves(out: Path, truth: Truth) -> int:
    """Print recovered against generating curves, and whether they are as promised."""
    curves = read_curves(out / CURVES)
    allowed = MAX_RMS_PPB * max(1.0, math.sqrt(WITH_PEOPLE / len(truth.people.labels)))
    print('\nRecovered against generating curves (engineering prior, not published values), ppb,')
    print(f'referenced to {truth.reference}, at the youngest and the oldest age')
    print(f'  {"region":<24} {"ages":>9} {"generating":>16} {"recovered":>16}    RMS  in band')
    good, inside = True, []
    for region in truth.regions:
        if region not in curves:
            print(f'  {region:<24} no curve   OUTSIDE')
            good = False
            continue
        rms, share = _compare_one(region, curves[region], truth, allowed)
        good &= rms <= allowed
        inside.append(share)
    share = sum(inside) / max(len(inside), 1)
    good &= share >= MIN_INSIDE
    state = 'as promised' if good else 'OUTSIDE what the demo promises'
    print(
        f'\nThe curves are {state} (difference at most {allowed:.1f} ppb RMS in every region,\n'
        f'at least {100 * MIN_INSIDE:g} % of all curves in their 95 % bands: '
        f'{100 * share:.0f} %).'
    )
    return exit_codes.OK if good else exit_codes.SOME_FAILED


def _compare_one(
    region: str, curve: Curve, truth: Truth, allowed_ppb: float
) -> tuple[float, float]:
    """Print a region; return the RMS difference (ppb) and the share inside the band."""
    ages, found = curve['age'], curve['mean']
    true = [float(truth.cohort_mean(region, age)) for age in ages]
    rms = 1000 * math.sqrt(sum((f - t) ** 2 for f, t in zip(found, true, strict=True)) / len(ages))
    bands = zip(true, curve['mean_low'], curve['mean_high'], strict=True)
    inside = sum(low <= t <= high for t, low, high in bands) / len(ages)
    ends = [f'{1000 * v[0]:6.1f} – {1000 * v[-1]:5.1f}' for v in (true, found)]
    print(
        f'  {region:<24} {ages[0]:3.0f} – {ages[-1]:3.0f} {ends[0]:>16} {ends[1]:>16} {rms:6.1f}'
        f'   {100 * inside:3.0f} %{"   OUTSIDE" if not rms <= allowed_ppb else ""}'
    )
    return rms, inside


def read_curves(path: Path) -> dict[str, dict[str, list[float]]]:
    """Return the columns age, mean, mean_low and mean_high of each region (years, ppm)."""
    curves: dict[str, dict[str, list[float]]] = {}
    names: Sequence[str] = ('age', 'mean', 'mean_low', 'mean_high')
    with open(path, encoding='utf-8', newline='') as stream:
        for row in csv.DictReader(stream, delimiter='\t'):
            columns = curves.setdefault(row['region'], {name: [] for name in names})
            for name in names:
                columns[name].append(math.nan if row[name] == 'n/a' else float(row[name]))
    return curves
