"""From results to what the template prints: texts, rows and tags, no markup.

Everything that was inferred carries a tag with its source. Nothing is computed here beyond
formatting and the difference between a value and the age curve.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qsmbids.bids.sidecars import mask_expression
from qsmbids.methods import DEFAULT_METHODS
from qsmbids.plan.models import Acquisition, Decision, Issue
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.mask_grammar import MASK_NAMES, parse_mask
from qsmbids.report import agecurves
from qsmbids.report.chart import chart_svg
from qsmbids.report.lesions import marking_view
from qsmbids.report.markdown import references_html, to_html
from qsmbids.report.methods import methods_text
from qsmbids.report.models import AcquisitionResult, Figure, QCValue, Status
from qsmbids.report.norms import norms_view
from qsmbids.report.regions import fold_regions, regions_view
from qsmbids.report.values import column_words, duration, fixed, number, significant

BUILTIN_ATLAS = 'QSMLifespan'
HEADLINES = 5
_MIME = {'.webp': 'webp', '.svg': 'svg+xml', '.png': 'png', '.jpg': 'jpeg', '.jpeg': 'jpeg'}
_SECTION_OF_FIGURE = {
    'slab': 'inputs', 'mask': 'mask', 'phase': 'phase', 'fields': 'phase', 'chi': 'chi',
    'deepgrey': 'chi', 'r2star': 'r2star', 'registration': 'registration',
    'contours': 'registration',
}  # fmt: skip


def acquisition_view(result: AcquisitionResult, number_on_page: int) -> dict[str, Any]:
    """Return everything the template needs of one acquisition."""
    prefix = f'a{number_on_page}'
    acquisition = result.acquisition
    figures: dict[str, list[dict[str, str]]] = {}
    latest = {figure.name: figure for figure in result.figures}  # drawn again: the last counts
    for figure in latest.values():
        picture = figure_view(figure)
        if picture:
            section = _SECTION_OF_FIGURE.get(figure.name, 'registration')
            figures.setdefault(section, []).append(picture)
    reference = reference_text(result.reference)
    charts = agecurves.age_charts(
        result.regions,
        _age(result),
        offset_ppm=result.curve_offset_ppm,
        reference=str(result.reference.get('region', '')),
    )
    regions = regions_view(result, _age(result))
    text = methods_text(acquisition, result.settings) if acquisition else ''
    view = {
        'prefix': prefix,
        'key': result.key,
        'status': Status(result.status).value,
        'inputs': inputs_view(acquisition, result) if acquisition else [],
        'echoes': echoes_view(acquisition, result.input_ranges) if acquisition else None,
        'issues': [issue_view(i) for i in acquisition.issues] if acquisition else [],
        'figures': figures,
        'qc': [qc_view(value) for value in result.qc],
        'regions': regions,
        'norms': norms_view(result, _age(result), result.norms),
        'region_parts': fold_regions(regions),
        'has_r2star': bool(result.regions_r2star),
        'markings': [marking_view(marking) for marking in result.markings],
        'charts': [(group, [chart_svg(c) for c in found]) for group, found in charts.items()],
        'curve_notice': agecurves.NOTICE,
        'reference': reference,
        'atlas': atlas_view(result.atlas),
        'methods': to_html(text, prefix=f'{prefix}-ref') if text else '',
        'references': references_html(text, prefix=f'{prefix}-ref') if text else '',
        'steps': steps_view(result.steps),
        'errors': [error_view(error) for error in result.errors],
        'outputs': [{'path': path, 'href': quote(path)} for path in result.outputs],
    }
    view['sections'] = _sections(view)
    return view


def figure_view(figure: Figure) -> dict[str, str] | None:
    """Return a picture with its file as a data URI; None when the file is gone."""
    path = Path(figure.path)
    kind = _MIME.get(path.suffix.lower())
    if kind is None or not path.is_file():
        return None
    data = base64.b64encode(path.read_bytes()).decode('ascii')
    return {
        'title': figure.title,
        'caption': figure.caption,
        'source': f'data:image/{kind};base64,{data}',
    }


def inputs_view(acquisition: Acquisition, result: AcquisitionResult) -> list[dict[str, str]]:
    """Return what was read or inferred, each with a tag that says where it came from."""
    grid = Grid(
        acquisition.shape,
        acquisition.voxel_size_mm,
        tuple(acquisition.b0_direction.value),
    )
    b0 = ', '.join(fixed(v, 3) for v in grid.b0_direction)
    frequency = acquisition.imaging_frequency_mhz
    rows = [
        _row('Field strength', 'unknown' if frequency.value is None
             else f'{acquisition.field_strength_t:.3g} T', frequency,
             'not needed for R2*' if frequency.value is None
             else f'imaging frequency {frequency.value:.6g} MHz'),
        _row('Field direction', f'({b0})', acquisition.b0_direction, 'unit vector, voxel axes'),
        _row('Obliquity', f'{grid.oblique_angle_deg:.1f}°', acquisition.b0_direction,
             'angle between B0 and the nearest voxel axis'),
        _row('Voxel size', ' × '.join(f'{v:.3g}' for v in acquisition.voxel_size_mm) + ' mm',
             None, source='header'),
        _row('Matrix', ' × '.join(str(n) for n in acquisition.shape), None, source='header'),
    ]  # fmt: skip
    rows += _phase_rows(acquisition)
    rows.append(_age_row(acquisition, result))
    rows += _mask_rows(acquisition, result.settings)
    if acquisition.t1w:
        rows.append(_row('T1w image', Path(acquisition.t1w).name, None, source='inferred'))
    return rows


def echoes_view(
    acquisition: Acquisition, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """Return the table of echoes: time, files, stored range."""
    rows = []
    for index, echo in enumerate(acquisition.echoes, start=1):
        label, time = echo.label or str(index), f'{1000 * echo.echo_time_s:.6g}'
        for kind in ('magnitude', 'phase', 'real', 'imag'):
            path = getattr(echo, kind)
            if not path:
                continue
            span = ranges.get(path)
            rows.append({
                'echo': label,
                'time': time,
                'kind': kind,
                'file': Path(path).name + (f' [{echo.volume}]' if echo.volume is not None else ''),
                'units': _units(acquisition, kind),
                'range': f'{significant(span[0])} … {significant(span[1])}' if span else '',
            })  # fmt: skip
            label = time = ''  # once for each echo
    return {'rows': rows, 'has_range': any(row['range'] for row in rows)}


def qc_view(value: QCValue) -> dict[str, Any]:
    """Return a quality number as text, with its plausible range."""
    low, high = value.low, value.high
    if low is not None and high is not None:
        plausible = f'{significant(low)} to {significant(high)}'
    elif low is not None:
        plausible = f'at least {significant(low)}'
    else:
        plausible = f'at most {significant(high)}' if high is not None else ''
    return {
        'name': column_words(value.name, value.unit),
        'value': significant(value.value),
        'sort': number(value.value),
        'unit': value.unit,
        'range': plausible,
        'outside': not value.plausible,
        'known': value.known,
        'meaning': value.meaning,
    }


def atlas_view(atlas: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, cohort and note of the atlas; empty without one."""
    if not atlas:
        return {}
    low_high = atlas.get('age_range') or ()
    ages = f'{low_high[0]:g} to {low_high[1]:g} years' if len(low_high) == 2 else ''
    return {
        'name': str(atlas.get('name', '')),
        'cohort': str(atlas.get('cohort', '')),
        'ages': ages,
        'note': str(atlas.get('note') or ''),
        'builtin': atlas.get('name') == BUILTIN_ATLAS,
    }


def reference_text(reference: Mapping[str, Any]) -> str:
    """Return the reference of the susceptibility map in words."""
    region = str(reference.get('region') or '')
    if not region:
        return ''
    if region == 'none':
        return 'not referenced'
    text = f'relative to {region}'
    if 'value_ppm' in reference:
        text += f'; {fixed(reference["value_ppm"], 4)} ppm was subtracted'
    if 'n_voxels' in reference:
        text += f' (mean of {significant(reference["n_voxels"])} voxels)'
    return text


def steps_view(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return time and memory of each step, with its share of the longest as a bar."""
    longest = max((number(s.get('seconds')) for s in steps), default=0.0)
    rows = []
    for step in steps:
        seconds, peak = number(step.get('seconds')), number(step.get('peak_gb'))
        share = 100 * seconds / longest if longest > 0 and math.isfinite(seconds) else 0
        rows.append({
            'name': str(step.get('name', '')),
            'time': duration(seconds),
            'share': f'{share:.1f}',
            'memory': '–' if math.isnan(peak) else f'{peak:.2f} GB',
        })  # fmt: skip
    return rows


def issue_view(issue: Issue) -> dict[str, str]:
    """Return a finding of the pre-flight checks in three lines."""
    return {
        'severity': issue.severity.value,
        'what': issue.what,
        'why': issue.why,
        'fix': issue.fix,
        'code': issue.code,
    }


def error_view(error: Mapping[str, Any]) -> dict[str, str]:
    """Return what failed; the first line of the message stands in the summary."""
    message = str(error.get('message') or 'no message')
    first, _, rest = message.partition('\n')
    crash = str(error.get('crash_file') or '')
    return {
        'node': str(error.get('node') or ''),
        'first': first,
        'rest': rest,
        'hint': str(error.get('hint') or ''),
        'crash_file': crash,
    }


def _row(
    name: str, value: str, decision: Decision | None, more: str = '', *, source: str = ''
) -> dict[str, str]:
    if decision is not None:
        source = str(decision.source)
        detail = decision.detail
    else:
        detail = ''
    return {'name': name, 'value': value, 'more': more, 'source': source, 'detail': detail}


def _phase_rows(acquisition: Acquisition) -> list[dict[str, str]]:
    scaling = acquisition.phase_scaling
    if scaling is None:
        return [_row('Phase', 'none: R2* only', None, source='inferred')]
    source = Decision('', scaling.source, scaling.detail)
    if scaling.complex:
        how = 'argument of the complex images'
    elif scaling.slope == 1 and scaling.intercept == 0:
        how = 'stored in radians'
    else:
        intercept = f' {scaling.intercept:+.6g}' if scaling.intercept else ''
        how = f'{scaling.slope:.6g} × stored value{intercept}'.replace('-', '−')
    sign = 'paramagnetic positive' if scaling.sign > 0 else 'stored inverted, turned round'
    return [_row('Phase to radians', how, source), _row('Phase sign', sign, source)]


def _mask_rows(acquisition: Acquisition, settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the expression of the brain mask and what its names stand for."""
    expression = mask_expression(acquisition, settings)
    if not expression:
        return []  # the run did not get so far as to say
    given = Path(acquisition.brain_mask).name
    asked_for = bool(given) or expression != DEFAULT_METHODS['mask']
    source = 'command line' if asked_for else 'default'
    if expression == 'user' and given:
        return [_row('Brain mask', given, None, source=source)]
    meanings = [
        f'{name}: {given if name == "user" and given else MASK_NAMES[name]}'
        for name in parse_mask(expression).names()
    ]
    return [_row('Brain mask', expression, None, '; '.join(meanings), source=source)]


def _age_row(acquisition: Acquisition, result: AcquisitionResult) -> dict[str, str]:
    atlas = atlas_view(result.atlas)
    cohort = ''
    if atlas.get('cohort'):
        cohort = f'atlas cohort {atlas["cohort"]}' + (f', {atlas["ages"]}' * bool(atlas['ages']))
    age = acquisition.age_years
    if age is None:
        used = result.atlas.get('age_used')
        value = 'not known' if used is None else f'not known; {significant(used)} y assumed'
        return _row('Age', value, None, cohort, source='inferred')
    return _row('Age', f'{significant(age.value)} y', age, cohort)


def _units(acquisition: Acquisition, kind: str) -> str:
    if kind != 'phase':
        return 'arbitrary'
    scaling = acquisition.phase_scaling
    in_radians = scaling and scaling.slope == 1 and scaling.intercept == 0
    return 'rad' if in_radians else 'arbitrary, scaled to rad'


def _age(result: AcquisitionResult) -> float | None:
    if result.acquisition is not None and result.acquisition.age_years is not None:
        return float(result.acquisition.age_years.value)
    return None


def _sections(view: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return anchor and title of the sections that have something to show."""
    figures = view['figures']
    wanted = [
        ('inputs', 'Inputs', bool(view['inputs']) or 'inputs' in figures),
        ('mask', 'Mask', 'mask' in figures),
        ('phase', 'Phase and field', 'phase' in figures),
        ('chi', 'Susceptibility', 'chi' in figures),
        ('r2star', 'R2*', 'r2star' in figures),
        ('registration', 'Atlas', 'registration' in figures),
        ('regions', 'Regions', bool(view['regions'])),
        ('norms', 'Norms', bool(view['norms'])),
        ('markings', 'Lesions and veins', bool(view['markings'])),
        ('qc', 'Quality', bool(view['qc'])),
        ('methods', 'Methods', bool(view['methods'])),
    ]
    return [(f'{view["prefix"]}-{name}', title) for name, title, shown in wanted if shown]
