"""The tables of marked lesions and veins as the page shows them: the columns that matter most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qsmbids.report.values import MISSING, fixed, number, significant


class _Column(NamedTuple):
    """Heading, column of the table, and how a cell is written: words, or a number of decimals."""

    heading: str
    name: str
    digits: int | None  # None: words; -1: three significant digits


_LESIONS = (
    _Column('Lesion', 'id', -1),
    _Column('Region', 'region', None),
    _Column('Volume, mm³', 'volume_mm3', -1),
    _Column('Mean', 'mean', 3),
    _Column('Over background', 'contrast', 3),
    _Column('Maximum', 'max', 3),
    _Column('Total, ppm·mm³', 'total_susceptibility', -1),
    _Column('Sign', 'sign', None),
    _Column('Rim − core', 'rim_minus_core', 3),
    _Column('Rim − outside', 'rim_minus_outside', 3),
    _Column('Rim', 'rim_flag', None),
    _Column('x, y, z (mm)', 'place', None),
)
_VEINS = (
    _Column('Vein', 'id', -1),
    _Column('Value', 'label', -1),
    _Column('Diameter, mm', 'diameter_mm', 1),
    _Column('Mean', 'mean', 3),
    _Column('Inside', 'inner_mean', 3),
    _Column('Tissue', 'tissue', 3),
    _Column('Difference', 'difference', 3),
    _Column('Oxygen saturation, %', 'saturation_percent', 1),
    _Column('Remark', 'remark', None),
    _Column('x, y, z (mm)', 'place', None),
)
_FAINT = ('tiny', 'thin', 'too thin', 'fits no blood', 'no tissue around', 'outside the map')


def marking_view(marking: Mapping[str, Any]) -> dict[str, Any]:
    """Return title, caption, headings and rows of one table.

    Parameters
    ----------
    marking : mapping
        kind, label, source, path, rows and haematocrit, as in
        :class:`qsmbids.report.models.AcquisitionResult`.
    """
    veins = marking['kind'] == 'veins'
    columns = _VEINS if veins else _LESIONS
    rows = [_with_derived(row) for row in marking['rows']]
    n, noun = len(rows), 'vein' if veins else 'lesion'
    title = f'label-{marking["label"]}: {n} {noun}{"" if n == 1 else "s"}'
    caption = 'Susceptibility in ppm. '
    if veins:
        caption += f'Saturation for a haematocrit of {marking["haematocrit"]:g}.'
    else:
        flags = [row.get('rim_flag') for row in rows]
        signs = [row.get('sign') for row in rows]
        caption += (
            f'{signs.count("paramagnetic")} paramagnetic, {signs.count("diamagnetic")} '
            f'diamagnetic, {signs.count("mixed")} mixed; {flags.count("yes")} with a paramagnetic '
            f'rim, {flags.count("n/a")} could not be tested for one.'
        )
    return {
        'title': title,
        'caption': caption,
        'source': Path(str(marking['source'])).name,
        'path': Path(str(marking['path'])).name,
        'headings': [{'name': c.heading, 'numeric': c.digits is not None} for c in columns],
        'rows': [
            {
                'cells': [_cell(row.get(c.name), c.digits) for c in columns],
                'faint': row.get('size', row.get('remark')) in _FAINT,
            }
            for row in rows
        ],
    }


def _with_derived(row: Mapping[str, Any]) -> dict[str, Any]:
    place = ', '.join(fixed(row.get(f'{axis}_mm'), 0) for axis in 'xyz')
    percent = 100 * number(row.get('oxygen_saturation'))
    return {**row, 'place': place, 'saturation_percent': percent}


def _cell(value: Any, digits: int | None) -> dict[str, Any]:
    if digits is None:
        text = MISSING if value in (None, '', 'n/a') else str(value)
        return {'text': text, 'sort': text, 'numeric': False}
    found = number(value)
    text = significant(found) if digits < 0 else fixed(found, digits)
    sort = '' if math.isnan(found) else f'{found:.9g}'
    return {'text': text, 'sort': sort, 'numeric': True}
