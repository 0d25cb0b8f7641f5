"""The plan in plain words, as ``--dry-run`` prints it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from qsmbids.plan.checks import oblique_angle_deg
from qsmbids.plan.cosmos import CosmosGroup, angles_deg, slab_direction
from qsmbids.plan.models import Acquisition, Decision, Echo, Issue, Plan, Severity
from qsmbids.plan.summary import headline, outcome, summary, wrap

MANY = 20  # participants; more are told by protocol and kind of finding
_MARKS = {Severity.ERROR: 'ERROR', Severity.WARNING: 'warning', Severity.NOTE: 'note'}


def describe(plan: Plan, *, verbose: bool = False, full: bool | None = None) -> str:
    """Say what will be done, for whom, from which files, and what is left out and why.

    Parameters
    ----------
    plan : Plan
        The plan.
    verbose : bool
        Also give the reasons behind notes; errors and warnings always come with theirs.
    full : bool, optional
        Whether to write out each participant; by default up to 20 are.

    Returns
    -------
    str
        Lines of text, ending with a line break. Files are named relative to the dataset.
    """
    if not (len(plan.participants) <= MANY if full is None else full):
        return summary(plan)
    root = Path(plan.bids_dir)
    lines = [f'Dataset {plan.bids_dir}', *headline(plan)]
    lines += _issues(plan.issues, '', verbose)
    for person in plan.participants:
        lines += ['', f'sub-{person.label}']
        for acquisition in person.acquisitions:
            lines += _acquisition(acquisition, root, verbose)
        for group in person.cosmos:
            lines += _cosmos(group)
        lines += _issues(person.issues, '  ', verbose)
    return '\n'.join(lines) + '\n'


def _acquisition(acquisition: Acquisition, root: Path, verbose: bool) -> list[str]:
    verdict = outcome(acquisition) if acquisition.usable else 'CANNOT BE PROCESSED'
    lines = [f'  {acquisition.key}_{acquisition.suffix}: {verdict}']
    lines += _echo_table(acquisition.echoes, root)
    if any(acquisition.shape):
        size = ' x '.join(str(n) for n in acquisition.shape)
        edges = ' x '.join(f'{edge:.2f}' for edge in acquisition.voxel_size_mm)
        lines += _fact('grid', f'{size} voxels of {edges} mm')
    lines += _fact('field strength', _field(acquisition))
    lines += _fact('field direction', _direction(acquisition.b0_direction))
    lines += _fact('phase', _phase(acquisition))
    if acquisition.n_coils > 1:
        lines += _fact('coils', f'{acquisition.n_coils}, combined before anything else')
    lines += _fact('age', _decided(acquisition.age_years, '{:g} years'))
    mask = _name(acquisition.brain_mask, root) or 'will be made from the data'
    lines += _fact('brain mask', mask)
    if acquisition.t2_map:
        lines += _fact('T2 map', _name(acquisition.t2_map, root))
    lines += _fact('T1w', _name(acquisition.t1w, root) or 'none in this session')
    for marked in acquisition.region_masks:
        lines += _fact(marked.kind, f'label-{marked.label}, {_name(marked.path, root)}')
    return lines + _issues(acquisition.issues, '    ', verbose)


def _cosmos(group: CosmosGroup) -> list[str]:
    n = len(group.acquisitions)
    lines = [f'  {group.key}: susceptibility from {n} orientations (COSMOS)']
    lines += _fact('reference', group.reference.key)
    angles = angles_deg([slab_direction(a) for a in group.acquisitions])
    for acquisition, row in zip(group.acquisitions, angles, strict=True):
        others = ', '.join(f'{angle:.0f}' for angle in row)
        lines += _fact('orientation', f'{acquisition.key}, slab at {others} degrees to each')
    return lines


def _echo_table(echoes: Iterable[Echo], root: Path) -> list[str]:
    lines = []
    for i, echo in enumerate(echoes, start=1):
        unknown = math.isnan(echo.echo_time_s)
        time = 'TE unknown' if unknown else f'TE {1000 * echo.echo_time_s:7.3f} ms'
        volume = f' (volume {echo.volume + 1})' if echo.volume is not None else ''
        for row, path in enumerate(echo.files):
            head = f'echo {i:<2} {time}' if row == 0 else ''
            lines.append(f'    {head:<23}{_name(path, root)}{volume}')
    return lines


def _field(acquisition: Acquisition) -> str:
    frequency = acquisition.imaging_frequency_mhz
    if frequency.value is None:
        return 'not known'
    text = f'{acquisition.field_strength_t:.2f} T, {frequency.value:.3f} Hz per ppm'
    return text + _source(frequency)


def _direction(decision: Decision) -> str:
    if decision.value is None:
        return 'not known'
    vector = ', '.join(f'{v:.3f}' for v in decision.value)
    angle = oblique_angle_deg(decision.value)
    return f'({vector}), {angle:.1f} degrees from the nearest axis{_source(decision)}'


def _phase(acquisition: Acquisition) -> str:
    scaling = acquisition.phase_scaling
    if scaling is None:
        there = any(echo.phase or echo.real or echo.imag for echo in acquisition.echoes)
        return 'scale not known' if there else 'none'
    if scaling.complex:
        text = 'real and imaginary images'
    elif (scaling.slope, scaling.intercept) == (1.0, 0.0):
        text = f'in radians as stored [{scaling.source}: {scaling.detail}]'
    else:
        offset = f' {scaling.intercept:+.6g}' if scaling.intercept else ''
        text = (
            f'radians = {scaling.slope:.6g} x value{offset} [{scaling.source}: {scaling.detail}]'
        )
    sign = '+' if scaling.sign > 0 else '- (inverted)'
    return f'{text}; sign {sign} [{scaling.sign_source}: {scaling.sign_detail}]'


def _decided(decision: Decision | None, form: str) -> str:
    if decision is None or decision.value is None:
        return 'not known'
    return form.format(decision.value) + _source(decision)


def _source(decision: Decision) -> str:
    return f' [{decision.source}{": " + decision.detail if decision.detail else ""}]'


def _issues(issues: Iterable[Issue], indent: str, verbose: bool) -> list[str]:
    lines = []
    for issue in issues:
        lines += wrap(f'{_MARKS[issue.severity]}: {issue.what}', indent)
        if verbose or issue.severity is not Severity.NOTE:
            for text in filter(None, (issue.why, issue.fix)):
                lines += wrap(text, indent + '  ')
    return lines


def _fact(label: str, text: str) -> list[str]:
    return wrap(f'{label + ":":<17}{text}', '    ', hanging=17)


def _name(path: str, root: Path) -> str:
    if path and Path(path).is_relative_to(root):
        return Path(path).relative_to(root).as_posix()
    return path
