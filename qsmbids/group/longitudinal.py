r"""Change of regional susceptibility between the visits of a person, and whether it is real.

The change between two visits, its rate and its standard deviation when nothing changed are

    d = chi_2 - chi_1,   d / t,   SD(d) = sqrt(u_1^2 + u_2^2 + 2 r^2),

with t the exact interval, u the uncertainty that the noise of the field gives to each mean
(``mean_uncertainty``: noise alone), and r the SD of repeated scans of one person (positioning,
reconstruction, registration, reference). A change beyond 1.96 SD(d) is flagged. With many
regions some exceed that by chance, one in twenty; a second flag holds the share of false ones
among the flagged regions of a person and interval below 5 % (Benjamini and Hochberg 1995).

**The repeatability r is a setting.** The default of 3.6 ppb is no measured SD: it is the bound of
the bias between scans on one scanner that is published (PMC6954973), taken in place of an SD that
is not. Repeat some scans of your own protocol and give the SD of a single measurement,
sd(difference) / sqrt(2).

With three visits or more the slope over all of them is the weighted least-squares line with the
weights 1 / (u^2 + r^2), whose uncertainty these weights give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.config import REPEATABILITY_PPB
from qsmbids.group.errors import GroupError
from qsmbids.group.problems import Problem
from qsmbids.group.visits import Visits, remarks_of, visits_of

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort
    from qsmbids.group.region_table import RegionTable

Z95 = 1.959964
ALPHA = 0.05
PERCENT_SD = 5.0  # a percentage needs a first value of so many standard deviations above zero
_SAME_PPM = 1e-7  # values of the reference region are zero but for rounding

Column = tuple[str, str, str]
_WHERE: tuple[Column, ...] = (
    ('region', '', 'Region'),
    ('hemisphere', '', 'L left, R right, B both or midline'),
)
_NOISE = 'noise of the field alone'
CHANGE_COLUMNS: tuple[Column, ...] = (
    ('participant_id', '', 'Participant'),
    ('session_1', '', 'Earlier visit'),
    ('session_2', '', 'Later visit, the next one'),
    ('years', 'year', 'Between them; of acq_time, else of the ages'),
    *_WHERE,
    ('value_1', 'ppm', 'Mean at the earlier visit'),
    ('value_2', 'ppm', 'Mean at the later visit'),
    ('change', 'ppb', 'value_2 minus value_1'),
    ('change_per_year', 'ppb/year', 'change over years'),
    ('percent', '%', 'change over value_1; n/a unless value_1 is far above zero'),
    ('noise_sd', 'ppb', f'SD of the change that comes from the {_NOISE}'),
    ('change_sd', 'ppb', 'SD of the change if nothing changed: noise and repeatability'),
    ('z', '', 'change over change_sd'),
    ('p', '', 'Two-sided, of a change this large if nothing changed'),
    ('p_fdr', '', 'Corrected over the regions of this person and interval'),
    ('exceeds', '', f'yes if the change is beyond {Z95:.2f} change_sd'),
    ('exceeds_fdr', '', f'yes if p_fdr is below {ALPHA:g}'),
    ('remark', '', 'What else changed between the visits'),
)
EXPECTED_COLUMNS: tuple[Column, ...] = (
    ('expected_change', 'ppb', 'What the age curve of the region changes in this time'),
    ('exceeds_expected', '', f'yes if change differs from it by more than {Z95:.2f} change_sd'),
)
SLOPE_COLUMNS: tuple[Column, ...] = (
    ('participant_id', '', 'Participant'),
    *_WHERE,
    ('n_visits', '', 'Visits with a value, three or more'),
    ('years', 'year', 'From the first to the last of them'),
    ('slope', 'ppb/year', 'Weighted least-squares line over the visits'),
    ('slope_low', 'ppb/year', 'Lower end of its 95 % interval'),
    ('slope_high', 'ppb/year', 'Upper end'),
    ('slope_sd', 'ppb/year', 'SD of the slope, from noise and repeatability'),
    ('p', '', 'Two-sided, of a slope this steep if nothing changed'),
    ('p_fdr', '', 'Corrected over the regions of this person'),
    ('scatter', '', 'Of the visits around the line: squared, over what the SDs predict; near 1'),
    ('exceeds', '', 'yes if the interval does not hold zero'),
    ('exceeds_fdr', '', f'yes if p_fdr is below {ALPHA:g}'),
)


def region_changes(
    cohort: Cohort,
    table: RegionTable,
    *,
    repeatability_ppb: float = REPEATABILITY_PPB,
    curves: Mapping[tuple[str, str], Callable[[np.ndarray], np.ndarray]] | None = None,
) -> tuple[pd.DataFrame, tuple[Column, ...], list[Problem]]:
    """Compare each visit with the next one, region by region.

    Parameters
    ----------
    cohort : Cohort
    table : RegionTable
        Of susceptibility, sides averaged or not.
    repeatability_ppb : float
        SD of one measurement between repeated scans.
    curves : mapping of (region, hemisphere) to callable, optional
        Its age curve (years to ppm, any reference), for the change that age alone
        would bring.

    Returns
    -------
    changes : DataFrame
        One row for each person, interval and region that has both values.
    columns : tuple of (name, unit, description)
    problems : list of Problem

    Raises
    ------
    GroupError
        If the table is not one of susceptibility or the SD is negative.
    """
    import pandas as pd

    _check(table, repeatability_ppb)
    visits, problems = visits_of(cohort.scans)
    first, second, years = _intervals(visits)
    values, noise = _ppb(table)
    before, after = values[first], values[second]
    noise_sd = np.hypot(noise[first], noise[second])
    sd = np.hypot(noise_sd, np.sqrt(2) * repeatability_ppb)
    change = after - before
    # a change of exactly nothing in the reference region is no finding
    shown = np.isfinite(change) & ((abs(before) > _SAME_PPM) | (abs(after) > _SAME_PPM))
    z = np.where(shown, change / sd, np.nan)
    p = _two_sided(z)
    p_fdr = _corrected(p)
    t = np.where(years > 0, years, np.nan)[:, None]
    single = np.hypot(noise[first], repeatability_ppb)
    with np.errstate(divide='ignore', invalid='ignore'):
        percent = np.where(before > PERCENT_SD * single, 100 * change / before, np.nan)
    pair, region = np.nonzero(shown)
    scans, regions = cohort.scans, table.regions
    content = {
        'participant_id': scans['participant_id'].to_numpy()[first][pair],
        'session_1': scans['session_id'].to_numpy()[first][pair],
        'session_2': scans['session_id'].to_numpy()[second][pair],
        'years': years[pair],
        'region': regions['region'].to_numpy()[region],
        'hemisphere': regions['hemisphere'].to_numpy()[region],
    }
    grids = {
        'value_1': before / 1000, 'value_2': after / 1000, 'change': change,
        'change_per_year': change / t, 'percent': percent, 'noise_sd': noise_sd,
        'change_sd': sd, 'z': z, 'p': p, 'p_fdr': p_fdr,
    }  # fmt: skip
    content |= {name: grid[shown] for name, grid in grids.items()}
    content['exceeds'] = _yes(abs(z[shown]) > Z95)
    content['exceeds_fdr'] = _yes(p_fdr[shown] < ALPHA)
    remarks = np.array(remarks_of(scans, first, second), dtype=object)
    content['remark'] = remarks[pair]
    columns = CHANGE_COLUMNS
    if curves:
        expected = _expected(curves, cohort, table, first, second)[shown]
        content['expected_change'] = expected
        beyond = _yes(abs(content['change'] - expected) > Z95 * content['change_sd'])
        content['exceeds_expected'] = np.where(np.isfinite(expected), beyond, '')
        columns += EXPECTED_COLUMNS
    if any(remarks):
        problems.append(_not_the_same(scans, first[remarks != '']))
    return pd.DataFrame(content, columns=[name for name, _, _ in columns]), columns, problems


def region_slopes(
    cohort: Cohort, table: RegionTable, *, repeatability_ppb: float = REPEATABILITY_PPB
) -> tuple[pd.DataFrame, tuple[Column, ...], list[Problem]]:
    """Fit a line over the visits of each person with three or more, region by region.

    Parameters and errors as in `region_changes`.

    Returns
    -------
    slopes : DataFrame
        One row for each person and region with three values at known times.
    columns : tuple of (name, unit, description)
    problems : list of Problem
        Empty: what was found about the visits says `region_changes`.
    """
    import pandas as pd

    _check(table, repeatability_ppb)
    values, noise = _ppb(table)
    enough = [v for v in visits_of(cohort.scans)[0] if len(v.rows) > 2]
    enough = [v for v in enough if np.isfinite(v.years).all()]
    n_visits = max((len(v.rows) for v in enough), default=3)
    years = np.full((len(enough), n_visits), np.nan)
    rows = np.zeros(years.shape, dtype=int)
    for i, person in enumerate(enough):
        years[i, : len(person.rows)], rows[i, : len(person.rows)] = person.years, person.rows
    y = np.where(np.isfinite(years)[..., None], values[rows], np.nan)
    found = _lines(years, y, np.hypot(noise[rows], repeatability_ppb))
    largest = np.nanmax(abs(y), axis=1, initial=0)
    shown = (found['n_visits'] > 2) & (largest > _SAME_PPM)
    found['p'] = np.where(shown, _two_sided(found['slope'] / found['slope_sd']), np.nan)
    found['p_fdr'] = _corrected(found['p'])
    found['exceeds'] = _yes((found['slope_low'] > 0) | (found['slope_high'] < 0))
    found['exceeds_fdr'] = _yes(found['p_fdr'] < ALPHA)
    person, region = np.nonzero(shown)
    content = {
        'participant_id': np.array([v.participant_id for v in enough], dtype=object)[person],
        'region': table.regions['region'].to_numpy()[region],
        'hemisphere': table.regions['hemisphere'].to_numpy()[region],
    } | {name: grid[shown] for name, grid in found.items()}
    frame = pd.DataFrame(content, columns=[name for name, _, _ in SLOPE_COLUMNS])
    return frame, SLOPE_COLUMNS, []


def _lines(years: np.ndarray, y: np.ndarray, sd: np.ndarray) -> dict[str, np.ndarray]:
    """Fit weighted lines to values (people, visits, regions; ppb) at years (people, visits)."""
    known = np.isfinite(y)
    t = np.where(known, years[..., None], 0)
    w = np.where(known, 1 / sd**2, 0)
    y = np.where(known, y, 0)
    n = known.sum(axis=1)

    def mean(x: np.ndarray) -> np.ndarray:
        return ((w * x).sum(axis=1) / w.sum(axis=1))[:, None]

    with np.errstate(divide='ignore', invalid='ignore'):
        t, y = t - mean(t), y - mean(y)
        spread = (w * t**2).sum(axis=1)
        slope = (w * t * y).sum(axis=1) / spread
        slope_sd = 1 / np.sqrt(spread)
        rest = (w * (y - slope[:, None] * t) ** 2).sum(axis=1) / (n - 2)
    span = np.where(known, t, np.nan)
    return {
        'n_visits': n, 'years': np.fmax.reduce(span, axis=1) - np.fmin.reduce(span, axis=1),
        'slope': slope, 'slope_sd': slope_sd, 'slope_low': slope - Z95 * slope_sd,
        'slope_high': slope + Z95 * slope_sd, 'scatter': rest,
    }  # fmt: skip


def _check(table: RegionTable, repeatability_ppb: float) -> None:
    if table.suffix != 'Chimap':
        raise GroupError(
            f'change between visits was asked for a table of {table.suffix}.',
            'Noise and repeatability are those of susceptibility.',
            'Give the table of Chimap.',
        )
    if not (np.isfinite(repeatability_ppb) and repeatability_ppb > 0):
        raise GroupError(
            f'a repeatability of {repeatability_ppb:g} ppb.',
            'Without an error every change would be a finding.',
            'Give the SD of one measurement between repeated scans, in ppb.',
        )


def _ppb(table: RegionTable) -> tuple[np.ndarray, np.ndarray]:
    """Return means and their noise; noise that is not known counts as none."""
    values = 1000 * table.values['mean'].astype(float)
    noise = table.values.get('mean_uncertainty')
    known = np.zeros_like(values) if noise is None else 1000 * np.nan_to_num(noise.astype(float))
    return values, known


def _intervals(visits: list[Visits]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of the earlier and later scans of all intervals, and their years."""
    empty = np.zeros(0, dtype=int)
    first = np.concatenate([empty, *(v.rows[:-1] for v in visits)])
    second = np.concatenate([empty, *(v.rows[1:] for v in visits)])
    return first, second, np.concatenate([np.zeros(0), *(np.diff(v.years) for v in visits)])


def _two_sided(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return 2 * ndtr(-abs(z))


def _corrected(p: np.ndarray) -> np.ndarray:
    """Correct each row over its columns."""
    from qsmbids.lifespan.choice import fdr

    return np.stack([fdr(row) for row in p]) if len(p) else p


def _expected(
    curves: Mapping[tuple[str, str], Callable[[np.ndarray], np.ndarray]],
    cohort: Cohort, table: RegionTable, first: np.ndarray, second: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return what the age curves change between the visits, ppb, NaN without curve or age."""
    age = cohort.scans['age'].to_numpy(float)
    start, end = age[first], age[second]
    known = np.isfinite(start) & np.isfinite(end) & (end > start)  # not one age for both
    found = np.full((len(first), len(table.regions)), np.nan)
    keys = zip(table.regions['region'], table.regions['hemisphere'], strict=True)
    for column, key in enumerate(keys):
        if key in curves:
            curve = curves[key]
            found[known, column] = 1000 * (curve(end[known]) - curve(start[known]))
    return found


def _yes(condition: np.ndarray) -> np.ndarray:
    return np.where(condition, 'yes', 'no')


def _not_the_same(scans: pd.DataFrame, rows: np.ndarray) -> Problem:
    people = list(dict.fromkeys(scans['participant_id'].to_numpy()[rows]))
    return Problem(
        f'{len(people)} people were not measured the same way at two visits, for example '
        f'{people[0]}.',
        'A change of scanner, field strength or program looks like a change of the brain.',
        'The column remark says what changed; do not read these rows as change.',
    )
