"""Options of the group level: curves, norms and questions about people."""

from __future__ import annotations

import argparse
from pathlib import Path

from qsmbids.bids.norm_file import PRIOR, read_norms
from qsmbids.cli.reconstruction import both
from qsmbids.config import HEMISPHERES, MEASURES, REPEATABILITY_PPB, GroupOptions
from qsmbids.group.errors import GroupError
from qsmbids.group.people.formula import parse_formula
from qsmbids.group.people.roc import read_contrast
from qsmbids.lifespan.choice import DEFAULT_FAMILIES
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.fit import FAMILIES
from qsmbids.lifespan.iron import DEFAULT_SLOPE, IronScale
from qsmbids.lifespan.norms import NormSet


def add_group(group: argparse._ArgumentGroup) -> None:
    """Add the options."""
    group.add_argument(
        '--curves', nargs='+', choices=FAMILIES, default=[], metavar='FAMILY',
        help=f'age curves that are compared in every region, of {", ".join(FAMILIES)} (default: '
        f'{", ".join(DEFAULT_FAMILIES)}, without poisson in deep grey and without exponential in '
        'white matter)',
    )  # fmt: skip
    group.add_argument(
        '--hemispheres', choices=HEMISPHERES, default=HEMISPHERES[0],
        help='analyse the mean of left and right, or each by itself',
    )  # fmt: skip
    group.add_argument(
        '--measure', choices=MEASURES, default=MEASURES[0],
        help='column of the region tables that stands for a region; core_mean leaves out the '
        'border, whose voxels are partly of what surrounds it',
    )  # fmt: skip
    group.add_argument(
        '--robust', action='store_true', help='fit curves that single outliers cannot bend'
    )
    group.add_argument(
        *both('fit-norms'), type=Path, metavar='FILE',
        help='write norms of this cohort to a file (.json) that others can use',
    )  # fmt: skip
    group.add_argument(
        '--norms', default='', metavar=f'FILE|{PRIOR}',
        help='compare each person with the norms of a file: z-scores and centiles, at both '
        f'levels; {PRIOR}: the built-in engineering prior, which no study found',
    )  # fmt: skip
    group.add_argument(
        '--iron', action='store_true',
        help='add an estimate of iron in deep grey matter, from slope and offset below',
    )  # fmt: skip
    group.add_argument(
        *both('iron-slope'), type=float, default=DEFAULT_SLOPE, metavar='PPB',
        help='susceptibility of iron, ppb per ug of iron in a g of wet tissue',
    )  # fmt: skip
    group.add_argument(
        *both('iron-offset'), type=float, default=0.0, metavar='PPB',
        help='susceptibility without iron, ppb',
    )  # fmt: skip
    group.add_argument(
        '--model', action='append', default=[], metavar='FORMULA',
        help='linear model of regional susceptibility, such as "chi ~ diagnosis + age + sex"; '
        'the names are columns of participants.tsv. May be repeated',
    )  # fmt: skip
    group.add_argument(
        '--scores', nargs='+', default=[], metavar='COLUMN',
        help='clinical scores to correlate with susceptibility',
    )  # fmt: skip
    group.add_argument(
        '--roc', action='append', default=[], metavar='COLUMN=CASE/CONTROL',
        help='how well each region tells two groups apart. May be repeated',
    )  # fmt: skip
    group.add_argument(
        '--harmonize', default='', metavar='COLUMN',
        help='remove differences between the sites named in this column, by ComBat',
    )  # fmt: skip
    group.add_argument(
        '--repeatability', type=float, default=REPEATABILITY_PPB, metavar='PPB',
        help='standard deviation of a region between repeated scans, for changes over time',
    )  # fmt: skip


def read_given_norms(parser: argparse.ArgumentParser, args: argparse.Namespace) -> NormSet | None:
    """Return the norms of ``--norms``, read before anything runs."""
    try:
        return read_norms(args.norms) if args.norms else None
    except LifespanError as error:
        parser.error(str(error))


def read_group(parser: argparse.ArgumentParser, args: argparse.Namespace) -> GroupOptions:
    """Return the options; wrong ones end the program."""
    if args.repeatability <= 0:
        parser.error(f'--repeatability {args.repeatability:g} must be above zero')
    try:
        IronScale(args.iron_slope, args.iron_offset)
    except LifespanError as error:
        parser.error(str(error))
    try:
        for formula in args.model:
            parse_formula(formula)
        for text in args.roc:
            read_contrast(text)
    except GroupError as error:
        parser.error(str(error))
    return GroupOptions(
        hemispheres=args.hemispheres,
        measure=args.measure,
        curves=tuple(dict.fromkeys(args.curves)),
        robust=args.robust,
        fit_norms=args.fit_norms.resolve() if args.fit_norms else None,
        iron=args.iron,
        iron_slope_ppb=args.iron_slope,
        iron_offset_ppb=args.iron_offset,
        models=tuple(dict.fromkeys(args.model)),
        scores=tuple(dict.fromkeys(args.scores)),
        roc=tuple(dict.fromkeys(args.roc)),
        harmonize=args.harmonize,
        repeatability_ppb=args.repeatability,
    )
