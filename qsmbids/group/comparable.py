"""Only maps of one unit and one reference are analysed together.

A value relative to fluid and one relative to the whole brain differ by tens of ppb, more than
most diseases do. The most frequent kind of map stays; the others are taken out of curves, norms
and models, and named. All of them stay in the merged tables.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.listing import listed
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    from qsmbids.group.cohort import Cohort, RegionTable


def keep_comparable(cohort: Cohort, table: RegionTable) -> tuple[RegionTable, list[Problem]]:
    """Return the table without the values of maps of another unit or reference.

    Parameters
    ----------
    cohort, table
        Scans, and their table of susceptibility.

    Returns
    -------
    table : RegionTable
        Of all scans; those that are left out have NaN everywhere.
    problems : list of Problem
        Who was left out, at most one.
    """
    scans = cohort.scans
    has_values = np.isfinite(table.values['mean']).any(axis=1)
    kinds = np.array(
        [f'{r or "not stated"} in {u or "ppm"}'
         for r, u in zip(scans['reference'], scans['units'], strict=True)], dtype=object,
    )  # fmt: skip
    names, counts = np.unique(kinds[has_values].astype(str), return_counts=True)
    if names.size < 2:
        return table, []
    kept = names[np.argmax(counts)]  # of equally frequent ones the first by name
    out = has_values & (kinds != kept)
    values = {name: np.where(out[:, None], np.nan, array) for name, array in table.values.items()}
    problem = Problem(
        f'Left out of curves, norms and models: {out.sum()} maps that are not relative to {kept}: '
        f'{listed(scans["key"][out])}.',
        'Values relative to different references, or in different units, cannot be compared.',
        'Run the participant level with one --reference-region for everybody.',
        severity='error',
    )  # fmt: skip
    return replace(table, values=values), [problem]
