"""Values of several sites made comparable with ComBat.

ComBat (Johnson 2007, Fortin 2018) takes each region's value for a person at a site as

    y = mean + x b + g_site + d_site * e,

where x are the columns that must survive (age, sex, diagnosis), g the site's shift and d its
scale. Shift and scale of a site are estimated in all regions together: a region's own estimate
is drawn towards what the site does elsewhere (empirical Bayes), which small sites need. Then

    y' = (y - mean - x b - g_site) / d_site + mean + x b.

The computation is neuroHarmonize's (Pomponio 2020). x are the columns of the design matrix of
the models that will be asked, so curves and interactions are kept as well.

What it cannot do is tell a site from a group that was scanned only there. So it refuses when
sites and a column to be kept cannot be told apart, or hardly. And its estimates belong to this
cohort: with other people they change, so harmonised values are not to be compared with those of
another cohort or with norms.

A region that some scans lack is harmonised on the scans that have it. ComBat knows no gaps, so
where at most a tenth of the scans of any site lack it, its gaps are filled with the expected
value for the computation and are gaps again afterwards (the scale of that site comes out at most
5 % too small). A region with more gaps is computed on its own scans, in the company of the
others; where that leaves a site with fewer than five people, its values are n/a.

References
----------
Johnson WE, Li C, Rabinovic A. Biostatistics 2007;8:118-127.
https://doi.org/10.1093/biostatistics/kxj037
Fortin JP, et al. NeuroImage 2018;167:104-120. https://doi.org/10.1016/j.neuroimage.2017.11.024
Pomponio R, et al. NeuroImage 2020;208:116450. https://doi.org/10.1016/j.neuroimage.2019.116450
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.covariates import names, read_covariate
from qsmbids.group.people.design import Design, build_design
from qsmbids.group.people.formula import Factor, Formula, parse_formula
from qsmbids.group.people.overlap import MIN_AT_SITE, check_overlap, people_at
from qsmbids.group.people.results import (
    REGION_COLUMNS,
    Result,
    enough_scans,
    measure_of,
    region_cells,
    tidy,
)
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.region_table import RegionTable

_NO_SPREAD = 1e-6
MAX_GAPS = 0.1  # of the scans of a site, filled for the computation


@dataclass
class Harmonized:
    """Harmonised values and what was done to get them.

    Parameters
    ----------
    table : RegionTable
        Only the harmonised columns; NaN for scans that could not be used.
    sites : Result
        One row for each region, column and site: shift and scale.
    problems : list of Problem
    """

    table: RegionTable
    sites: Result
    problems: list[Problem]


def harmonize(
    scans: pd.DataFrame,
    table: RegionTable,
    column: str,
    models: Sequence[Formula | str] = ('chi ~ age + sex',),
    measures: Sequence[str] = ('mean',),
) -> Harmonized:
    """Take shift and scale of sites out of the values of regions.

    Parameters
    ----------
    scans : DataFrame
    table : RegionTable
    column : str
        Names the site of each scan.
    models : sequence of Formula or str
        Everything on their right sides is kept; the site itself is left out of them.
    measures : sequence of str
        Columns of the region tables, each harmonised on its own.

    Raises
    ------
    GroupError
        With one site, with a site of fewer than five people, or when sites and a column that
        is to be kept cannot be told apart.
    """
    kept = _kept(models, column)
    sites = read_covariate(scans, Factor(column, 'category')).values
    usable = enough_scans(scans, measure_of(table, measures[0])[0]) & (sites != '')
    without = enough_scans(scans, measure_of(table, measures[0])[0]) & (sites == '')
    design = build_design(kept, scans[usable].reset_index(drop=True))
    design.rows = np.flatnonzero(usable)[design.rows]
    sites = sites[design.rows]
    problems = [*design.problems, *check_overlap(design, sites, column)]
    if without.any():
        people = scans['participant_id'].to_numpy(str)[without]
        problems.append(
            Problem(
                f'Not harmonised, without a value of {column}: {names(people)}.',
                'A value of an unknown site cannot be corrected; it is n/a.',
                f'Fill in {column} in participants.tsv.',
            )
        )
    values, rows, left_out = {}, [], []
    for measure in measures:
        new, of_sites, not_done = _harmonize_one(table, measure, design, sites)
        values[measure], left_out = new, [*left_out, *not_done]
        rows += of_sites
    if left_out:
        problems.append(
            Problem(
                f'Not harmonised: {names(left_out)}.',
                f'Too few scans of a site have a value there ({MIN_AT_SITE} are needed).',
                'See coverage in the merged table of regions.',
            )
        )
    problems.append(_notice(design, column))
    return Harmonized(replace(table, values=values), tidy(rows, _columns(table)), problems)


def _kept(models: Sequence[Formula | str], column: str) -> Formula:
    """Join the right sides of all models, without the site."""
    parsed = [parse_formula(m) if isinstance(m, str) else m for m in models]
    terms = [t for formula in parsed for t in formula.terms if column not in {f.column for f in t}]
    if not terms:
        raise GroupError(
            f'Harmonisation over {column} has nothing to keep.',
            'ComBat must know what is no effect of the site, such as age, sex and diagnosis.',
            'Give a model with more than the site: --model "chi ~ diagnosis + age + sex"',
        )
    terms = sorted(dict.fromkeys(terms), key=len)
    return Formula('; '.join(formula.text for formula in parsed), 'mean', tuple(terms))


def _harmonize_one(
    table: RegionTable, measure: str, design: Design, sites: np.ndarray
) -> tuple[np.ndarray, list[dict[str, Any]], list[str]]:
    values, unit = measure_of(table, measure)
    old = values[design.rows].astype(float)
    known = np.isfinite(old)
    spread = np.where(known, old, 0)
    same = np.ptp(spread, axis=0) <= _NO_SPREAD * np.abs(spread).max(axis=0)
    new = np.where(same, old, np.nan)
    few_gaps = ~same
    for site in np.unique(sites):
        few_gaps &= (~known[sites == site]).mean(axis=0) <= MAX_GAPS
    filled = _filled(old, known, np.flatnonzero(few_gaps), design, sites)
    blocks = [(np.flatnonzero(few_gaps), np.ones(len(old), bool))] if few_gaps.any() else []
    many_gaps = np.flatnonzero(~same & ~few_gaps)
    blocks += [
        (many_gaps[(known[:, many_gaps] == pattern[:, None]).all(axis=0)], pattern)
        for pattern in np.unique(known[:, many_gaps], axis=1).T
    ]
    rows, left_out = [], []
    for regions, pattern in blocks:
        together = np.union1d(regions, np.flatnonzero(few_gaps))
        if not _possible(design, sites, pattern):
            left_out += [f'{table.regions["name"].iloc[r]} ({measure})' for r in regions]
            continue
        model, data = _combat(
            filled[np.ix_(pattern, together)], design.matrix[pattern], sites[pattern]
        )
        mine = np.searchsorted(together, regions)
        new[np.ix_(pattern, regions)] = np.where(
            known[np.ix_(pattern, regions)], data[:, mine], np.nan
        )
        size = np.sqrt(model['var_pooled'][:, 0])
        for s, site in enumerate(model['SITE_labels']):
            at_site = pattern & (sites == site)
            rows += [
                region_cells(table, region)
                | {
                    'measure': measure,
                    'unit': unit,
                    'site': str(site),
                    'n': int(known[at_site, region].sum()),
                    'shift': float(model['gamma_star'][s, i] * size[i]),
                    'scale': float(np.sqrt(model['delta_star'][s, i])),
                }
                for region, i in zip(regions, mine, strict=True)
            ]
    everywhere = np.full(values.shape, np.nan, np.float32)
    everywhere[design.rows] = new
    return everywhere, rows, left_out


def _filled(
    old: np.ndarray, known: np.ndarray, regions: np.ndarray, design: Design, sites: np.ndarray
) -> np.ndarray:
    """Return the values with the gaps of some regions filled by what site and model expect."""
    dummies = (sites[:, None] == np.unique(sites)).astype(float)
    x = np.hstack([dummies, design.matrix[:, 1:]])
    new = old.copy()
    for region in regions[~known[:, regions].all(axis=0)]:
        there = known[:, region]
        b = np.linalg.lstsq(x[there], old[there, region], rcond=None)[0]
        new[~there, region] = x[~there] @ b
    return new


def _possible(design: Design, sites: np.ndarray, pattern: np.ndarray) -> bool:
    there = sites[pattern]
    if (
        set(there) != set(sites)
        or min(people_at(design.people[pattern], there).values()) < MIN_AT_SITE
    ):
        return False
    dummies = (there[:, None] == np.unique(there)).astype(float)
    full = np.hstack([dummies, design.matrix[pattern, 1:]])
    return bool(np.linalg.matrix_rank(full) == full.shape[1])


def _combat(data: np.ndarray, matrix: np.ndarray, sites: np.ndarray) -> tuple[dict, np.ndarray]:
    """Call neuroHarmonize, which prints and uses outdated parts of numpy."""
    import pandas as pd

    covariates = pd.DataFrame({f'x{i}': matrix[:, i] for i in range(1, matrix.shape[1])})
    covariates.insert(0, 'SITE', sites.astype(object))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        from neuroHarmonize import harmonizationLearn

        with np.errstate(all='ignore'):
            model, new = harmonizationLearn(data, covariates)
    model['gamma_star'] = np.asarray(model['gamma_star'])
    model['delta_star'] = np.asarray(model['delta_star'])
    return model, np.asarray(new, float)


def _notice(design: Design, column: str) -> Problem:
    repeated = ' Repeated scans of a person counted as independent.' if design.repeated else ''
    return Problem(
        f'Values are harmonised over {column} with ComBat; {", ".join(design.terms)} were kept.',
        f'Shift and scale of the sites are estimates of this cohort.{repeated}',
        'Do not compare harmonised values with other cohorts or with norms.',
        severity='note',
    )


def _columns(table: RegionTable) -> list[tuple[str, str, str]]:
    return [
        *REGION_COLUMNS,
        ('measure', '', 'Column of the region tables'),
        ('unit', '', 'Its unit'),
        ('site', '', 'Site'),
        ('n', '', 'Scans of this site that were used'),
        ('shift', '', 'What was subtracted from the values of this site, in their unit'),
        (
            'scale',
            '',
            'What the distance of its people from the expected value was divided by; 1: the '
            'site spreads like the others',
        ),
    ]
