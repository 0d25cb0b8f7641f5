"""Norms made from a cohort.

Norms are made from one scan of each person, so that nobody counts twice, and only where all maps
have the same reference, unit and field strength. The program cannot know who is healthy: the
cohort given to ``--fit-norms`` is the norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids import __version__
from qsmbids.group.cohort import Cohort, RegionTable
from qsmbids.group.errors import GroupError
from qsmbids.group.problems import Problem
from qsmbids.lifespan.choice import DEFAULT_FAMILIES, Choice, choose_curve
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.norm_fit import MIN_PEOPLE, norm_of_fit
from qsmbids.lifespan.norms import SAME_FIELD, NormSet

if TYPE_CHECKING:
    import pandas as pd

_SAME = 1e-5  # ppm; nobody differs from anybody, as in the region that is the reference


def fit_norms(
    cohort: Cohort,
    table: RegionTable,
    choices: Mapping[str, Choice] | None = None,
    *,
    measure: str = 'mean',
    families: Sequence[str] = DEFAULT_FAMILIES,
    criterion: str = 'aicc',
    robust: bool = False,
    name: str = '',
    dataset: str = '',
    licence: str = '',
) -> tuple[NormSet, list[Problem]]:
    """Make norms from a cohort.

    Parameters
    ----------
    cohort : Cohort
    table : RegionTable
        Susceptibility; averaged over the sides or not, which the norms remember.
    choices : mapping of str to Choice, optional
        Curves that were already fitted, by ``name`` of the region in ``table``. One that was
        fitted to other people than one scan of each person is fitted again.
    measure : str
        Column of the table.
    families, criterion, robust
        As in ``choose_curve``, for regions without a choice.
    name, dataset, licence : str
        Written into the norms.

    Returns
    -------
    norms : NormSet
    problems : list of Problem
        Regions that were left out, and why.

    Raises
    ------
    GroupError
        If the maps cannot be brought together, or no region has enough people.
    """
    check_table(table, measure)
    scans = cohort.scans
    age = scans['age'].to_numpy(dtype=float)
    one_each = cohort.one_each() & np.isfinite(age)
    reference, strength = _common(scans[one_each])
    norms, problems, used = [], [], np.zeros(len(scans), dtype=bool)
    for column, region in enumerate(table.regions.itertuples()):
        value = table.values[measure][:, column].astype(float)
        usable = one_each & np.isfinite(value)
        n = int(usable.sum())
        if n < MIN_PEOPLE:
            problems.append(_too_few(region.name, n))
            continue
        if np.ptp(value[usable]) < _SAME:
            problems.append(_no_spread(region.name))
            continue
        choice = (choices or {}).get(region.name)
        try:
            if choice is None or choice.fit.n != n:
                choice = choose_curve(
                    age[usable], value[usable], families, criterion=criterion, robust=robust
                )
            norm = norm_of_fit(
                choice.fit, age[usable], region=region.region, hemisphere=region.hemisphere,
                group=str(region.group),
            )  # fmt: skip
        except LifespanError as error:
            problems.append(Problem(*str(error).splitlines(), where=region.name, severity='error'))
            continue
        norms.append(norm)
        used |= usable
    if not norms:
        raise GroupError(
            f'No region of the atlas {table.atlas} has {MIN_PEOPLE} people with age and value.',
            'Norms of fewer people would call many healthy people unusual.',
            'Add people, or use the norms of another sample with --norms.',
        )
    sides = set(table.regions['hemisphere']) & {'L', 'R'}
    return NormSet(
        norms=tuple(norms),
        name=name or f'{dataset or "this cohort"}, n = {int(used.sum())}',
        atlas=table.atlas,
        measure=measure,
        hemispheres='separate' if sides else 'average',
        reference=reference,
        field_strength_t=strength,
        provenance=_provenance(scans[used], dataset, licence),
    ), problems


def check_table(table: RegionTable, measure: str) -> None:
    """Refuse a table without this column of susceptibility."""
    if table.suffix != 'Chimap' or measure not in table.values:
        raise GroupError(
            f'The {table.suffix} tables of {table.atlas} have no column "{measure}" of '
            'susceptibility.',
            'Norms are of one column of the tables of susceptibility.',
            'Name another atlas or another column, for example mean.',
        )


def _common(scans: pd.DataFrame) -> tuple[str, float]:
    """Return reference and field strength that all maps share."""
    for column, word, do in (
        ('units', 'unit', 'Run the participant level again with one version of qsmbids.'),
        ('reference', 'reference', 'Run the participant level again with one --reference-region.'),
    ):
        found = sorted({text or 'unknown' for text in scans[column]})
        if len(found) != 1 or found[0] in ('unknown', 'none'):
            raise GroupError(
                f'The maps have no common {word}: {", ".join(found) or "no scan has an age"}.',
                'Norms of values that cannot be compared would be wrong for everybody.',
                do,
            )
    if set(scans['units']) != {'ppm'}:
        raise GroupError(
            f'The maps are in {scans["units"].iloc[0]}, not in ppm.',
            'Norms are kept in ppm.',
            'Run the participant level again with this version of qsmbids.',
        )
    strength = scans['field_strength_t'].to_numpy(dtype=float)
    middle = float(np.median(strength))
    if not (np.abs(strength - middle) <= SAME_FIELD * middle).all():
        found = sorted({f'{s:.3g} T' if np.isfinite(s) else 'unknown' for s in strength})
        raise GroupError(
            f'The scans have no common field strength: {", ".join(found)}.',
            'Susceptibility as it is reconstructed differs between field strengths.',
            'Choose the scans of one field strength with --participant-label, or add '
            'MagneticFieldStrength to the sidecars.',
        )
    return str(scans['reference'].iloc[0]), round(middle, 2)


def _provenance(scans: pd.DataFrame, dataset: str, licence: str) -> dict[str, Any]:
    ages = scans['age']
    sexes = scans['sex'].replace('', 'unknown').value_counts().sort_index()
    return {
        'made_by': 'qsmbids group --fit-norms',
        'software_version': __version__,
        'maps_by': sorted({f'qsmbids {v}' if v else 'unknown' for v in scans['version']}),
        'dataset': dataset or 'not named',
        'licence': licence or 'not stated',
        'n': len(scans),
        'ages': [round(float(ages.min()), 2), round(float(ages.max()), 2)],
        'sexes': {str(sex): int(n) for sex, n in sexes.items()},
        'description': 'One scan of each person. Who belongs to the norm was chosen by whoever '
        'made it; the program does not know who is healthy.',
    }


def _no_spread(region: str) -> Problem:
    return Problem(
        f'No norm was made of {region}: it has the same value in everybody.',
        'It is the reference of the maps, or was set to a value.',
        where=region,
        severity='note',
    )


def _too_few(region: str, n: int) -> Problem:
    return Problem(
        f'No norm was made of {region}: {n} people have an age and a value.',
        f'With fewer than {MIN_PEOPLE} the spread between people is not known well enough.',
        'Add people, or use the norms of another sample with --norms.',
        where=region,
    )
