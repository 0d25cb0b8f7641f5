"""The sortable tables of the group page, each short enough for a browser.

What is cut says so and names the table in the output folder that has everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from qsmbids.group.page_headings import heading_words, unit_words
from qsmbids.group.page_leads import lead_sentence
from qsmbids.group.page_order import arranged
from qsmbids.group.panels import Panel, region_words
from qsmbids.group.phrases import interval_words, p_words
from qsmbids.group.view import Analysis, AtlasView
from qsmbids.report.agecurves import split_name
from qsmbids.report.norms import centile_words
from qsmbids.report.values import fixed, number, significant

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort

MOST_ROWS = 500
MOST_CELLS = 20_000  # of the table of values: more makes a phone wait
_MANY_PEOPLE = 500

Cell = dict[str, Any]


def curve_table(view: AtlasView, panels: Sequence[Panel]) -> dict[str, Any] | None:
    """Return the derived quantities of the chosen curves, one row per region."""
    fitted = [(p, view.choices[p.key]) for p in panels if p.key in view.choices]
    if not fitted:
        return None
    fits = [(panel, choice, choice.fits[choice.best]) for panel, choice in fitted]
    names: dict[str, tuple[str, str]] = {}
    for _, _, fit in fits:
        for one in fit.derived:
            names.setdefault(one.name, (one.description, one.unit))
    headings = [
        _heading('Region'), _heading('Curve'), _heading('n', numeric=True),
        _heading('AICc weight', numeric=True),
        *(_heading(heading_words(name, unit), unit_words(unit), hint=words)
          for name, (words, unit) in names.items()),
        _heading('Identifiable'),
    ]  # fmt: skip
    rows = []
    for panel, choice, fit in fits:
        weight = next(
            (t['weight_aicc'] for t in choice.table if t['family'] == choice.best), math.nan
        )
        derived = {one.name: one for one in fit.derived}
        rows.append([
            _text(panel.name), _text(choice.best), _number(fit.n, f'{fit.n}'),
            _number(weight, fixed(weight, 2)),
            *(_derived(derived.get(name)) for name in names),
            _identifiable(choice.best, fit.identifiable),
        ])  # fmt: skip
    return {'headings': headings, 'rows': rows, 'cut': ''}


def flagged_table(cohort: Cohort, view: AtlasView) -> dict[str, Any] | None:
    """Return flagged z-scores, the most extreme first; None without z-scores."""
    frame = view.zscores
    if frame is None or not len(frame):
        return None
    if 'flagged' in frame:
        flagged = frame[frame['flagged'].astype(bool) & np.isfinite(frame['z'].astype(float))]
    else:
        flagged = frame[frame['z'].astype(float).abs() > 1.96]
    flagged = flagged.iloc[np.argsort(-flagged['z'].astype(float).abs(), kind='stable')]
    about = cohort.scans.set_index('key')
    optional = [
        (column, heading, unit, show)
        for column, heading, unit, show in (
            ('value', 'Value', 'ppm', lambda e: fixed(e['value'])),
            ('expected', 'Expected', 'ppm', lambda e: fixed(e['expected'])),
            ('centile', 'Centile', '', lambda e: centile_words(e['centile'], e['z'])),
        )
        if column in frame
    ]
    headings = [
        _heading('Acquisition'), _heading('Age', 'y', numeric=True), _heading('Region'),
        _heading('z', numeric=True), *(_heading(h, u, numeric=True) for _, h, u, _ in optional),
    ]  # fmt: skip
    rows = []
    for entry in flagged.head(MOST_ROWS).to_dict('records'):
        key = str(entry['key'])
        known = key in about.index
        age = about.loc[key, 'age'] if known else math.nan
        rows.append([
            _text(key, quote(str(about.loc[key, 'page'])) if known else ''),
            _number(age, fixed(age, 1)),
            _text(region_words(str(entry['region']), str(entry.get('hemisphere', 'B')))),
            _number(entry['z'], fixed(entry['z'], 2, sign=True)),
            *(_number(entry[c], show(entry)) for c, _, _, show in optional),
        ])  # fmt: skip
    people = flagged['key'].map(about['participant_id']).nunique() if len(flagged) else 0
    return {
        'headings': headings,
        'rows': rows,
        'cut': _cut(len(rows), len(flagged), 'flagged values'),
        'flagged': len(flagged),
        'people': people,
        'scored': int(np.isfinite(frame['z'].to_numpy(float)).sum()),
    }


def value_table(cohort: Cohort, view: AtlasView, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return mean susceptibility, people by regions."""
    scans, table = cohort.scans, view.table
    known = np.isfinite(np.asarray(table.values['mean'])).any(axis=1)
    rows_with = np.flatnonzero(known)
    most = min(_MANY_PEOPLE, max(MOST_CELLS // max(len(table.regions), 1), 20))
    names = [
        region_words(str(r), str(h))
        for r, h in zip(table.regions['region'], table.regions['hemisphere'], strict=True)
    ]
    headings = [_heading('Acquisition'), _heading('Age', 'y', numeric=True)]
    headings += [_heading(name, numeric=True) for name in names]
    rows = []
    for i in rows_with[:most].tolist():
        scan = scans.iloc[i]
        cells = [_plain(float(v)) for v in table.values['mean'][i]]
        age = _number(scan['age'], fixed(scan['age'], 1))
        rows.append([_text(str(scan['key']), quote(str(scan['page']))), age, *cells])
    cut = _cut(len(rows), rows_with.size, 'acquisitions')
    return {'headings': headings, 'rows': rows, 'cut': cut}


def analysis_table(analysis: Analysis, scans: pd.DataFrame) -> dict[str, Any]:
    """Return the table of an analysis with links to the reports of its people.

    See :func:`qsmbids.group.page_order.arranged` for what is left out; ``lead`` is a sentence
    on what the table says.
    """
    frame, columns = arranged(analysis.frame, analysis.columns)
    pages = {
        'key': dict(zip(scans['key'], scans['page'], strict=True)),
        'participant_id': dict(zip(scans['participant_id'], scans['page'], strict=True)),
    }
    numeric = {name: _is_numeric(frame[name]) for name, _, _ in columns}
    headings = [
        _heading(heading_words(name, unit), unit_words(unit), hint=words, numeric=numeric[name])
        for name, unit, words in columns
    ]
    rows = []
    for entry in frame.head(MOST_ROWS).to_dict('records'):
        cells = []
        for name, _, _ in columns:
            value = entry[name]
            if name in pages:
                page = pages[name].get(value, '')
                cells.append(_text(str(value), quote(str(page)) if page else ''))
            elif isinstance(value, bool | np.bool_):
                cells.append({**_text('yes' if value else 'no'), 'flag': bool(value)})
            elif name == 'region':
                cells.append(_text(split_name(_said(value))))
            elif name == 'measure':
                cells.append(_text(heading_words(_said(value))))
            elif name == 'unit':
                cells.append(_text(unit_words(_said(value))))
            elif numeric[name]:
                cells.append(_number(value, _shown(name, value)))
            else:
                cells.append(_text(_said(value)))
        rows.append(cells)
    cut = _cut(len(rows), len(frame), 'rows')
    lead = lead_sentence(analysis.frame, columns)
    return {'headings': headings, 'rows': rows, 'cut': cut, 'lead': lead}


def _heading(name: str, unit: str = '', *, hint: str = '', numeric: bool | None = None) -> Cell:
    numeric = bool(unit) if numeric is None else numeric
    return {'name': name, 'unit': unit, 'hint': hint, 'numeric': numeric}


def _text(text: str, href: str = '') -> Cell:
    return {'text': text, 'href': href}


def _number(value: Any, text: str) -> Cell:
    found = number(value)
    return {'text': text, 'sort': f'{found:.6g}' if math.isfinite(found) else ''}


def _plain(value: float) -> Cell:
    """Return a cell of which there are thousands: short, sorted by what it shows."""
    return {'text': fixed(value), 'sort': f'{value:.4f}' if math.isfinite(value) else ''}


def _derived(one: Any) -> Cell:
    if one is None or not math.isfinite(one.value):
        return {'text': '–', 'sort': ''}
    text = f'{significant(one.value)} {interval_words(one.low, one.high, significant)}'
    return _number(one.value, text)


def _shown(name: str, value: Any) -> str:
    words = name.lower().split('_')
    if words[0] == 'p' and (len(words) == 1 or name.endswith('fdr') or len(words) == 2):
        return p_words(value)
    if words[-1] in ('fdr', 'p', 'q'):
        return p_words(value)
    found = number(value)
    if math.isfinite(found) and found == int(found) and abs(found) < 1e6:
        return f'{int(found)}'.replace('-', '−')
    return significant(value)


def _said(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ''
    return str(value)


def _identifiable(family: str, shape_is_known: bool) -> Cell:
    if family == 'constant':  # has no shape that could be told or not
        return _text('–')
    return _text('yes') if shape_is_known else {**_text('no'), 'flag': True}


def _is_numeric(column: Any) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(column)) and not is_bool_dtype(column)


def _cut(shown: int, total: int, what: str) -> str:
    return f'The first {shown} of {total} {what}; the table in the output folder has all.' * (
        shown < total
    )


def problem_rows(problems: Sequence[Any]) -> list[Mapping[str, str]]:
    """Return findings, errors first, each once."""
    rank = {'error': 0, 'warning': 1, 'note': 2}
    unique = list(dict.fromkeys(problems))
    unique.sort(key=lambda p: rank.get(p.severity, 1))
    return [
        {'severity': p.severity if p.severity in rank else 'warning', 'where': p.where,
         'what': p.what, 'why': p.why, 'do': p.do}
        for p in unique
    ]  # fmt: skip
