"""Change between sessions and estimates of iron: tables of an atlas, and words to go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.config import GroupOptions
from qsmbids.group.curves import Key
from qsmbids.group.view import Analysis
from qsmbids.lifespan.iron import DEEP_GREY, IronScale

if TYPE_CHECKING:
    from qsmbids.group.atlas_results import AtlasResults
    from qsmbids.group.cohort import Cohort, RegionTable
    from qsmbids.lifespan.choice import Choice

_IRON_COLUMNS = (
    ('key', '', 'All entities of the acquisition'),
    ('participant_id', '', 'Participant'),
    ('age', 'year', 'Age at the scan'),
    ('region', '', 'Region'),
    ('hemisphere', '', 'L left, R right, B both or midline'),
    ('chi', 'ppm', 'Mean susceptibility'),
    ('iron', 'ug/g', 'Estimated iron in wet tissue; negative where chi is below the offset'),
)


def estimate_iron(
    cohort: Cohort, table: RegionTable, options: GroupOptions, results: AtlasResults, write: Any
) -> None:
    """Write the estimated iron of deep grey matter in every scan.

    Parameters
    ----------
    cohort, table
        Scans, and their table of susceptibility.
    options : GroupOptions
        Slope and offset of the line between susceptibility and iron.
    results : AtlasResults
        Gets the analysis.
    write : callable
        ``write(name, rows, columns)`` writes a table and returns its path.
    """
    import pandas as pd

    scale = IronScale(options.iron_slope_ppb, options.iron_offset_ppb)
    deep = np.flatnonzero(table.regions['group'].str.lower() == DEEP_GREY)
    scans, regions = cohort.scans, table.regions.iloc[deep]
    chi = table.values['mean'][:, deep].astype(float)
    who, where = np.nonzero(np.isfinite(chi))
    frame = pd.DataFrame(
        {name: scans[name].to_numpy()[who] for name in ('key', 'participant_id', 'age')}
        | {name: regions[name].to_numpy()[where] for name in ('region', 'hemisphere')}
        | {'chi': chi[who, where], 'iron': scale.iron(chi[who, where])}
    )
    path = write('iron', frame.to_dict('records'), _IRON_COLUMNS)
    words = (
        f'{scale.text}. An estimate from susceptibility alone: myelin, calcium and the reference '
        'of the map move it as well.'
    )
    results.analyses.append(Analysis('Iron, estimated', words, frame, _IRON_COLUMNS, path.name))


def follow(
    cohort: Cohort, table: RegionTable, choices: Mapping[Key, Choice], options: GroupOptions,
    results: AtlasResults, write: Any,
) -> None:  # fmt: skip
    """Write the changes between sessions, if somebody has several; parameters as above.

    ``choices`` are the age curves, for the change that age alone would bring.
    """
    from qsmbids.group.lesion_changes import REPEATABILITY_PPB as LESION_PPB
    from qsmbids.group.lesion_changes import lesion_changes
    from qsmbids.group.longitudinal import region_changes, region_slopes

    if not (cohort.scans['participant_id'].value_counts() > 1).any():
        return
    r = options.repeatability_ppb
    curves = {key: choice.fit.predict for key, choice in choices.items()}
    words = (
        'A change is flagged if it exceeds what noise and a repeatability of {:g} ppb (standard '
        'deviation of one measurement) explain. Nothing here is a diagnosis.'
    )
    tables = (
        ('change', 'Change between sessions', words.format(r),
         region_changes(cohort, table, repeatability_ppb=r, curves=curves)),
        ('slopes', 'Slope over three or more sessions', words.format(r),
         region_slopes(cohort, table, repeatability_ppb=r)),
        ('lesionchange', 'Change of marked lesions', words.format(LESION_PPB),
         lesion_changes(cohort)),
    )  # fmt: skip
    for name, title, words, (frame, columns, problems) in tables:
        results.problems += problems
        if len(frame):
            path = write(name, frame.to_dict('records'), columns)
            results.analyses.append(Analysis(title, words, frame, columns, path.name))
