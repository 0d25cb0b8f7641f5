"""Whether the reference region itself differs.

Susceptibility is relative: the mean of the reference region is subtracted, and every region of
the map moves with it. When a disease changes the reference region, all regions seem to differ
the other way. What was subtracted is recorded with every scan (``reference_value``, the mean of
the reference region in the map before), so the same model can be asked of it. A difference that
is found must be reported (QSM Consensus 2024), and the whole analysis repeated with another
reference.

References
----------
QSM Consensus Organization Committee. Magn Reson Med 2024;91:1834-1862.
https://doi.org/10.1002/mrm.30006
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.formula import Formula, parse_formula
from qsmbids.group.people.linear import fit_model
from qsmbids.group.people.results import Result
from qsmbids.group.problems import Problem
from qsmbids.group.region_table import RegionTable

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT = 0.05  # p, uncorrected: a reference that may differ is worth a sentence


def reference_differs(
    scans: pd.DataFrame, model: Formula | str
) -> tuple[Result | None, list[Problem]]:
    """Fit a model to the value of the reference region.

    Parameters
    ----------
    scans : DataFrame
        With ``reference`` and ``reference_value``.
    model : Formula or str
        What stands left of ``~`` is not used.

    Returns
    -------
    result : Result or None
        Coefficients, as of a region; None when the value is not recorded or never differs.
    problems : list of Problem
        A warning for each term with p below 0.05, and what could not be tested.
    """
    import pandas as pd

    formula = parse_formula(model) if isinstance(model, str) else model
    values = scans['reference_value'].to_numpy(float)
    different = sorted({str(r) for r in scans['reference'] if str(r)})
    problems = []
    if len(different) > 1:
        problems.append(
            Problem(
                f'The maps have {len(different)} references: {", ".join(different)}.',
                'Values of regions relative to different references cannot be compared.',
                'Run the participant level with one reference.',
                severity='error',
            )
        )
    region = different[0] if len(different) == 1 else 'reference region'
    known = values[np.isfinite(values)]
    if known.size == 0 or np.ptp(known) == 0:
        problems.append(
            Problem(
                'Whether the reference region differs between people could not be tested.',
                'What was subtracted from the maps is not recorded, or is the same in all.',
                severity='note',
            )
        )
        return None, problems
    one = {'index': [0], 'name': [region], 'abbreviation': [''], 'hemisphere': ['B'],
           'group': ['reference'], 'region': [region]}  # fmt: skip
    table = RegionTable(
        '', 'Chimap', pd.DataFrame(one), {'reference_value': values[:, None]},
        {'reference_value': {'Units': 'ppm'}},
    )  # fmt: skip
    try:
        result = fit_model(scans, table, replace(formula, response='reference_value'))
    except GroupError as error:
        what = str(error).splitlines()[0]
        problems.append(Problem(f'The reference region could not be tested. {what}'))
        return None, problems
    problems += [
        Problem(
            f'The reference region itself ({region}) differs with {row["term"]} '
            f'(p = {row["p"]:.2g}, n = {row["n"]}).',
            'It is subtracted from every map, so every region seems to differ the other way.',
            'Repeat the analysis with another reference, and report both.',
            where=row['term'],
        )
        for row in result.terms.frame.to_dict('records')
        if row['p'] < SIGNIFICANT
    ]
    return result.coefficients, problems
