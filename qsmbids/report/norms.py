"""Where a person stands in norms, for the page of that person.

Nothing is said about health: the page tells the value, what the norms expect at this age, the
standard score and the centile, which regions are flagged, by which rule, and how often that
rule flags somebody in whom nothing is different.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qsmbids.lifespan.flags import FAR, FLAG_LEVEL, flag
from qsmbids.lifespan.norms import NormSet
from qsmbids.report.agecurves import region_name, split_name
from qsmbids.report.models import AcquisitionResult
from qsmbids.report.values import fixed, number, significant

HEADINGS = ('z', 'Centile', 'Value (ppm)', 'Expected (ppm)', 'SD (ppm)', 'Adjusted p')
_LAST_Z = 3.1  # 99.9 of 100 lie below
_UNITS = 'ppm'  # of every susceptibility map that is written


def norms_view(
    result: AcquisitionResult, age: float | None, norms: NormSet | None
) -> dict[str, Any]:
    """Return what the page shows of a person's place in norms.

    Parameters
    ----------
    result : AcquisitionResult
        Its region table, reference, atlas, field strength and offset of the age curves.
    age : float or None, years
    norms : NormSet or None

    Returns
    -------
    dict
        Empty without norms or regions. ``title``, ``notice``, ``facts`` (sentences) and either
        ``refused`` (three sentences) or ``headings``, ``rows`` and ``verdict``.
    """
    if norms is None or not result.regions:
        return {}
    view: dict[str, Any] = {
        'title': norms.name,
        'notice': norms.notice,
        'facts': _facts(norms),
        'refused': _refusal(result, age, norms),
        'headings': HEADINGS,
        'rows': [],
        'verdict': '',
    }
    if not view['refused']:
        view['rows'], view['verdict'] = _rows(result, float(age or 0.0), norms)
    return view


def _refusal(
    result: AcquisitionResult, age: float | None, norms: NormSet
) -> tuple[str, str, str] | None:
    acquisition = result.acquisition
    strength = acquisition.field_strength_t if acquisition is not None else None
    reason = norms.refusal(
        reference=str(result.reference.get('region') or ''),
        units=_UNITS,
        field_strength_t=math.nan if strength is None else float(strength),
        curve_offset=result.curve_offset_ppm,
    )
    if reason is not None:
        return reason
    atlas = str(result.atlas.get('name', ''))
    if atlas != norms.atlas and not norms.follows_reference:
        return (
            f'The norms are of the atlas {norms.atlas}, the regions of {atlas or "another one"}.',
            'A region of another atlas has other borders, even under the same name.',
            'Run the participant level with that atlas, or use norms of this one.',
        )
    if age is None or not math.isfinite(age):
        return (
            'The age at this scan is not known.',
            'What is expected of a region depends on age.',
            'Add a column age to participants.tsv, in years.',
        )
    return None


def _rows(
    result: AcquisitionResult, age: float, norms: NormSet
) -> tuple[list[dict[str, Any]], str]:
    found = []
    for (region, hemisphere), (value, group) in _values(result.regions, norms).items():
        norm = norms.find(region, hemisphere)
        if norm is not None:
            shift = result.curve_offset_ppm if norms.follows_reference else 0.0
            found.append((region, hemisphere, group, value, norm, norm.scores(age, value, shift)))
    adjusted, flagged = flag([float(scores.p) for *_, scores in found])
    rows = []
    for place, (region, hemisphere, group, value, norm, scores) in enumerate(found):
        low, high = norm.age_range
        remark = '' if norm.covers(age) else f'norm of {low:.3g} to {high:.3g} years'
        rows.append({
            'name': split_name(region),
            'side': {'L': 'left', 'R': 'right'}.get(hemisphere, ''),
            'group': group,
            'remark': remark or ('no value' if math.isnan(value) else ''),
            'flagged': bool(flagged[place]),
            'cells': [
                _cell(scores.z, fixed(scores.z, 2, sign=True)),
                _cell(scores.centile, centile_words(scores.centile, scores.z)),
                _cell(value, fixed(value)),
                _cell(scores.expected, fixed(scores.expected)),
                _cell(scores.sd, fixed(scores.sd)),
                _cell(adjusted[place], significant(adjusted[place], 2)),
            ],
        })  # fmt: skip
    z = [float(scores.z) for *_, scores in found]
    size = [-abs(value) if math.isfinite(value) else math.inf for value in z]
    order = sorted(range(len(rows)), key=lambda i: (not rows[i]['flagged'], size[i]))
    rows = [rows[i] for i in order]
    return rows, _verdict(rows, z)


def _values(
    rows: Sequence[Mapping[str, Any]], norms: NormSet
) -> dict[tuple[str, str], tuple[float, str]]:
    """Return value and group by region and hemisphere, sides averaged if the norms are."""
    sides: dict[tuple[str, str], tuple[list[float], str]] = {}
    for row in rows:
        hemisphere = str(row.get('hemisphere', '')) or 'B'
        if norms.hemispheres == 'average':
            hemisphere = 'B'
        entry = sides.setdefault((region_name(row), hemisphere), ([], str(row.get('group') or '')))
        value = number(row.get(norms.measure))
        if math.isfinite(value):
            entry[0].append(value)
    return {
        key: (sum(values) / len(values) if values else math.nan, group)
        for key, (values, group) in sides.items()
    }


def _verdict(rows: Sequence[Mapping[str, Any]], z: Sequence[float]) -> str:
    known = [value for value in z if math.isfinite(value)]
    if not known:
        return 'No region could be compared.'
    names = [f'{row["name"]} {row["side"]}'.strip() for row in rows if row['flagged']]
    far = sum(abs(value) > FAR for value in known)
    by_chance = 0.0455 * len(known)
    flagged = f'{len(names)} flagged ({", ".join(names)})' if names else 'none is flagged'
    regions = 'region' if len(known) == 1 else 'regions'
    return (
        f'Of {len(known)} {regions} {flagged}; beyond |z| = {FAR:g}: {far}, where {by_chance:.1f} '
        'are expected by chance.'
    )


def _facts(norms: NormSet) -> list[str]:
    about = norms.provenance
    ages = about.get('ages') or ()
    n = about.get('n')
    sample = f'{n} {"person" if n == 1 else "people"}' if n else 'no sample'
    if len(ages) == 2:
        sample += f', {ages[0]:.3g} to {ages[1]:.3g} years'
    strength = norms.field_strength_t
    field = 'any field strength' if strength is None else f'{strength:.3g} T'
    moved = ' (moved to the reference of this map)' if norms.follows_reference else ''
    return [
        f'Norms: {norms.name}; {sample}; {field}; relative to {norms.reference}{moved}; '
        f'column {norms.measure} of the region table, '
        f'{"sides averaged" if norms.hemispheres == "average" else "left and right apart"}.',
        'z is the distance from the value expected at this age in standard deviations of a '
        'new person; the centile says how many of 100 people like those of the norms lie below.',
        f'A region is flagged if its p, adjusted over the regions of this person (Benjamini and '
        f'Hochberg), is below {FLAG_LEVEL:g}. That happens in about {100 * FLAG_LEVEL:g} of 100 '
        'people in whom nothing is different. It is no diagnosis.',
    ]


def centile_words(centile: Any, z: Any) -> str:
    """Return a centile; far out it would pretend to a precision that no norm has.

    Examples
    --------
    >>> centile_words(99.99, 3.7), centile_words(99.4, 2.5), centile_words(42.3, -0.2)
    ('> 99.9', '99.4', '42')
    """
    value, score = number(centile), number(z)
    if not math.isfinite(value):
        return fixed(value)
    if abs(score) > _LAST_Z:
        return '< 0.1' if score < 0 else '> 99.9'
    return fixed(value, 1 if value < 1 or value > 99 else 0)


def _cell(value: Any, text: str) -> dict[str, str]:
    found = number(value)
    return {'sort': '' if math.isnan(found) else f'{found:.9g}', 'text': text}
