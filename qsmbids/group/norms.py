"""Norms applied to everybody in a cohort: z-scores, centiles, and who is flagged.

A scan is compared only if its reference, unit and field strength are those of the norms; a scan
that is not keeps its rows, without scores and with the reason. A person outside the ages of the
norms gets no score.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.cohort import Cohort, RegionTable
from qsmbids.group.errors import GroupError
from qsmbids.group.norm_fit import check_table, fit_norms
from qsmbids.group.problems import Problem
from qsmbids.lifespan.flags import FAR, FLAG_RULE, flag
from qsmbids.lifespan.norms import NormSet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ['Z_COLUMNS', 'fit_norms', 'summary', 'z_scores']

_SIDES = {'L': ' (left)', 'R': ' (right)'}
_NAMED = 8  # scans or regions that a sentence names; of more it gives the number

Z_COLUMNS = (
    ('key', '', 'All entities of the acquisition'),
    ('participant_id', '', 'Participant'),
    ('session_id', '', 'Session, n/a without sessions'),
    ('age', 'year', 'Age at the scan'),
    ('region', '', 'Region without hemisphere'),
    ('hemisphere', '', 'L left, R right, B both averaged or midline'),
    ('value', 'ppm', 'Value of the region, in the column of the region table that the norms name'),
    ('expected', 'ppm', 'Mean of the norms at this age, in the reference of the map'),
    (
        'sd', 'ppm',
        'Standard deviation that a new person of this age has around it: between people, and '
        'of the mean of the norms',
    ),
    (
        'z', '', 'Standard score: normal with mean 0 and standard deviation 1 in people like '
        'those of the norms',
    ),
    ('centile', '', 'Of 100 such people, how many lie below'),
    ('p', '', 'Two-sided probability, not corrected'),
    ('p_fdr', '', 'Adjusted by Benjamini-Hochberg over the regions of this scan'),
    ('flagged', '', f'True or false; {FLAG_RULE}'),
    ('remark', '', 'Why there is no score'),
)  # fmt: skip


def z_scores(
    cohort: Cohort, table: RegionTable, norms: NormSet
) -> tuple[pd.DataFrame, list[Problem]]:
    """Compare everybody with norms.

    Parameters
    ----------
    cohort : Cohort
    table : RegionTable
        Susceptibility. Sides are averaged here if the norms are of both sides.
    norms : NormSet

    Returns
    -------
    scores : DataFrame
        One row for each scan and region that has a norm, columns as ``Z_COLUMNS``.
    problems : list of Problem
        Scans that cannot be compared, regions without a norm.

    Raises
    ------
    GroupError
        If the norms are of another atlas or map, or no scan can be compared with them.
    """
    import pandas as pd

    check_table(table, norms.measure)
    table = _with_sides_of(norms, table)
    found = [
        (column, norm)
        for column, region in enumerate(table.regions.itertuples())
        if (norm := norms.find(region.region, region.hemisphere)) is not None
    ]
    _check_atlas(norms, table, bool(found))
    refused, problems = _refused(cohort, norms)
    problems += _without_norm(norms, table, {column for column, _ in found})
    if norms.notice:
        problems.append(
            Problem(
                f'The z-scores are by {norms.name}.',
                'A distance from these norms says nothing about health.',
                'Fit norms on healthy people of your own scanner with --fit-norms.',
                severity='note',
            )
        )
    frame = cohort.scans
    age = frame['age'].to_numpy(dtype=float)
    offset = frame['curve_offset'].to_numpy(dtype=float) if norms.follows_reference else 0.0
    usable = np.array([not reason for reason in refused])
    shape = (len(frame), len(found))
    numbers = {
        name: np.full(shape, np.nan)
        for name in ('value', 'expected', 'sd', 'z', 'centile', 'p', 'p_fdr')
    }
    remark = np.full(shape, '', dtype=object)
    for place, (column, norm) in enumerate(found):
        value = table.values[norms.measure][:, column].astype(float)
        numbers['value'][:, place] = value
        scores = norm.scores(np.where(usable, age, np.nan), value, offset)
        for name in ('expected', 'sd', 'z', 'centile', 'p'):
            numbers[name][:, place] = getattr(scores, name)
        low, high = norm.age_range
        remark[~norm.covers(age), place] = f'age outside the norm ({low:.3g} to {high:.3g} years)'
        remark[np.isnan(age), place] = 'no age'
        remark[np.isnan(value), place] = 'no value'
    remark[~usable] = np.array(refused, dtype=object)[~usable, None]
    numbers['p_fdr'], flagged = flag(numbers['p'])
    rows, places = np.repeat(np.arange(shape[0]), shape[1]), np.tile(np.arange(shape[1]), shape[0])
    of_region = table.regions.iloc[[column for column, _ in found]]
    scores = pd.DataFrame(
        {name: frame[name].to_numpy()[rows] for name in ('key', 'participant_id', 'session_id')}
        | {'age': age[rows]}
        | {name: of_region[name].to_numpy()[places] for name in ('region', 'hemisphere')}
        | {name: array.ravel() for name, array in numbers.items()}
        | {'flagged': flagged.ravel(), 'remark': remark.ravel()}
    )
    return scores[[name for name, _, _ in Z_COLUMNS]], problems


def summary(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row for each scan: how many regions were compared, far off, flagged.

    Returns
    -------
    list of dict
        key, n (regions with a z), n_above_2 (|z| > 2, not corrected), n_flagged, flagged
        (names of the regions, furthest first).
    """
    counted = scores.assign(known=scores['z'].notna(), far=scores['z'].abs() > FAR)
    counts = counted.groupby('key', sort=False)[['known', 'far', 'flagged']].sum()
    flagged = scores[scores['flagged']]
    flagged = flagged.iloc[np.argsort(-flagged['z'].abs().to_numpy(), kind='stable')]
    names: dict[str, list[str]] = {}
    for row in flagged.itertuples():
        names.setdefault(row.key, []).append(row.region + _SIDES.get(row.hemisphere, ''))
    return [
        {
            'key': row.Index,
            'n': int(row.known),
            'n_above_2': int(row.far),
            'n_flagged': int(row.flagged),
            'flagged': names.get(row.Index, []),
        }
        for row in counts.itertuples()
    ]


def _with_sides_of(norms: NormSet, table: RegionTable) -> RegionTable:
    sides = set(table.regions['hemisphere']) & {'L', 'R'}
    if sides and norms.hemispheres == 'average':
        return table.averaged()
    if not sides and norms.hemispheres == 'separate':
        raise GroupError(
            f'The norms "{norms.name}" are of left and right, the values are averaged.',
            'The average of two sides scatters less than each.',
            'Use --hemispheres separate, or norms of averaged sides.',
        )
    return table


def _check_atlas(norms: NormSet, table: RegionTable, any_region: bool) -> None:
    # the prior is of regions by name, whichever atlas has them
    if (norms.atlas == table.atlas or norms.follows_reference) and any_region:
        return
    raise GroupError(
        f'The norms "{norms.name}" are of the atlas {norms.atlas}, the tables of {table.atlas}.'
        if any_region or norms.atlas != table.atlas
        else f'The norms "{norms.name}" and the tables of {table.atlas} have no region in common.',
        'A region of another atlas has other borders, even under the same name.',
        'Run the participant level with that atlas, or use norms of this one.',
    )


def _refused(cohort: Cohort, norms: NormSet) -> tuple[list[str], list[Problem]]:
    """Return the reason why each scan cannot be compared ('' if it can), and the problems."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    refused = []
    for scan in cohort.scans.itertuples():
        reason = norms.refusal(
            reference=scan.reference,
            units=scan.units,
            field_strength_t=scan.field_strength_t,
            curve_offset=scan.curve_offset,
        )
        refused.append(reason[0] if reason else '')
        if reason:
            reasons.setdefault(reason, []).append(scan.key)
    if refused and all(refused):
        raise GroupError(*next(iter(reasons)))
    problems = [
        Problem(*reason, where=_some(keys), severity='error') for reason, keys in reasons.items()
    ]
    return refused, problems


def _without_norm(norms: NormSet, table: RegionTable, known: set[int]) -> list[Problem]:
    names = [name for i, name in enumerate(table.regions['name']) if i not in known]
    if not names:
        return []
    return [
        Problem(
            f'{len(names)} of {len(table.regions)} regions have no norm: {_some(names)}.',
            f'"{norms.name}" does not know them.',
            severity='note',
        )
    ]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - _NAMED
    return ', '.join(listed[:_NAMED]) + (f' and {rest} more' if rest > 0 else '')
