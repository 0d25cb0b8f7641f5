"""The plan of many people on a page or two: who, which protocols, what is wrong, how often.

Thousands of scans differ in few ways. Scans of the same name, echoes, grid, field and phase are
one protocol; the most frequent one is written out, of the others what differs from it. Findings
of one kind are told once, with the number and the names of the first.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from qsmbids.plan.models import MIN_ECHOES_R2STAR, Acquisition, Issue, Participant, Plan, Severity

WIDTH = 96
NAMES = 3  # named of each group
MOST_GROUPS = 12  # protocols that are written out
_MARKS = {Severity.ERROR: 'ERROR', Severity.WARNING: 'warning', Severity.NOTE: 'note'}
_OWN = ('sub', 'ses', 'run')  # entities that say nothing about the protocol


def summary(plan: Plan) -> str:
    """Say in a page or two what will be done for many people.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    str
        Lines of text, ending with a line break.
    """
    usable = plan.acquisitions
    lines = [f'Dataset {plan.bids_dir}', *headline(plan)]
    if usable:
        lines += ['', 'Protocols of the scans that will be processed', *_protocols(usable)]
        lines += ['', 'What else is known of them', *_companions(plan, usable)]
    everything = [*plan.issues, *(i for p in plan.participants for i in p.all_issues)]
    if everything:
        lines += ['', 'Findings', *_kinds(everything)]
    lines += ['', 'With -v each participant is written out.']
    return '\n'.join(lines) + '\n'


def issues_by_kind(issues: Iterable[Issue]) -> str:
    """Return findings as text, those of one kind together.

    Examples
    --------
    >>> from dataclasses import replace
    >>> old = Issue('OLD', Severity.WARNING, 'The scan is old.', 'It may be bad.', 'Look at it.')
    >>> print(issues_by_kind(replace(old, scope=f'sub-{n}') for n in range(5)), end='')
      warning, 5 times: The scan is old.
        It may be bad.
        Look at it.
        sub-0, sub-1, sub-2 and 2 more
    """
    return ''.join(f'{line}\n' for line in _kinds(issues))


def headline(plan: Plan) -> list[str]:
    """Say how many there are, and of whom something cannot be done."""
    total = sum(len(person.acquisitions) for person in plan.participants)
    usable = len(plan.acquisitions)
    lines = [
        f'{count(len(plan.participants), "participant")}, {count(total, "scan")}: '
        f'{usable} will be processed, {total - usable} cannot be.'
    ]
    without = [p for p in plan.participants if not p.usable]
    if without:
        lines += wrap(f'Nothing can be done for {_people(without)}.', '')
    failed = set(plan.failed)
    partly = [p for p in plan.participants if p.usable and p.label in failed]
    if partly:
        lines += wrap(f'Not everything can be done for {_people(partly)}.', '')
    return lines


def outcome(acquisition: Acquisition) -> str:
    """Name the maps that a scan allows."""
    decay = len(acquisition.echoes) >= MIN_ECHOES_R2STAR
    if acquisition.phase_scaling is None:
        return 'R2* and T2* only' if decay else 'no map, too few echoes for R2* and no phase'
    return 'susceptibility, R2* and T2*' if decay else 'susceptibility'


def count(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, 'scan'), count(2, 'scan')
    ('1 scan', '2 scans')
    """
    return f'{n} {noun}{"" if n == 1 else "s"}'


def wrap(text: str, indent: str, hanging: int = 2) -> list[str]:
    """Break a text into lines that leave long file names whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + ' ' * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def first_names(names: Sequence[str]) -> str:
    """Name the first of a group and count the rest."""
    rest = len(names) - NAMES
    # one more is as long as its number
    return ', '.join(names) if rest <= 1 else f'{", ".join(names[:NAMES])} and {rest} more'


def _people(people: Sequence[Participant]) -> str:
    names = [f'sub-{person.label}' for person in people]
    if len(names) <= 20:
        return ', '.join(names)
    return f'{count(len(names), "participant")}: {first_names(names)}'


def _protocols(acquisitions: Iterable[Acquisition]) -> list[str]:
    groups: dict[tuple, list[Acquisition]] = defaultdict(list)
    for acquisition in acquisitions:
        groups[tuple(_protocol(acquisition).items())].append(acquisition)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    usual, lines = dict(ordered[0][0]), []
    for number, (key, members) in enumerate(ordered[:MOST_GROUPS], start=1):
        lines.append(f'  {number}. {count(len(members), "scan")}: {_members(members)}')
        for fact, value in key:
            if number == 1 or usual[fact] != value:
                lines += _fact(fact, value)
    if rest := [members for _, members in ordered[MOST_GROUPS:]]:
        scans = count(sum(map(len, rest)), 'scan')
        lines.append(f'  {count(len(rest), "other protocol")}, {scans} in all')
    if len(ordered) > 1:
        lines.append('  Of all but the first only what differs from the first is written.')
    return lines


def _members(members: Sequence[Acquisition]) -> str:
    return first_names([member.key for member in members])


def _protocol(acquisition: Acquisition) -> dict[str, str]:
    """Return what tells protocols apart, in words, rounded to what is set on a scanner."""
    others = [f'{k}-{v}' for k, v in acquisition.entities if k not in _OWN]
    times = ', '.join(f'{1000 * t:.1f}' for t in acquisition.echo_times_s)
    voxels = ' x '.join(str(n) for n in acquisition.shape)
    edges = ' x '.join(f'{edge:.2f}' for edge in acquisition.voxel_size_mm)
    field = acquisition.field_strength_t
    facts = {
        'name': '_'.join([*others, acquisition.suffix]),
        'maps': outcome(acquisition),
        'echoes': f'{len(acquisition.echoes)}, at {times} ms',
        'grid': f'{voxels} voxels of {edges} mm',
        'field strength': 'not known' if math.isnan(field) else f'{field:.2f} T',
        'phase': _phase(acquisition),
        'coils': f'{acquisition.n_coils}' if acquisition.n_coils > 1 else 'combined',
    }
    return facts


def _phase(acquisition: Acquisition) -> str:
    scaling = acquisition.phase_scaling
    if scaling is None:
        return 'none'
    sign = 'sign +' if scaling.sign > 0 else 'sign - (inverted)'
    if scaling.complex:
        return f'real and imaginary images; {sign}'
    offset = f' {scaling.intercept:+.6g}' if scaling.intercept else ''
    return f'radians = {scaling.slope:.6g} x value{offset}; {sign}'


def _companions(plan: Plan, usable: Sequence[Acquisition]) -> list[str]:
    """Say what goes with the scans: ages, masks, T1-weighted images, markings."""
    ages = [a.age_years.value for a in usable if a.age_years and a.age_years.value is not None]
    known = f'{min(ages):g} to {max(ages):g} years' if ages else 'not known'
    missing = len(usable) - len(ages)
    if ages and missing:
        known += f'; not known for {count(missing, "scan")}'
    lines = _fact('age', known)
    lines += _fact('brain mask', _share([bool(a.brain_mask) for a in usable], 'given', 'made'))
    lines += _fact('T1w', _share([bool(a.t1w) for a in usable], 'found', 'none'))
    if any(a.t2_map for a in usable):
        lines += _fact('T2 map', _share([bool(a.t2_map) for a in usable], 'found', 'none'))
    marked = Counter(mask.kind for a in usable for mask in a.region_masks)
    for kind, number in sorted(marked.items()):
        lines += _fact(kind, f'marked in {count(number, "file")}')
    groups = sum(len(person.cosmos) for person in plan.participants)
    if groups:
        lines += _fact('COSMOS', count(groups, 'map') + ' from several orientations')
    return lines


def _share(flags: Sequence[bool], yes: str, no: str) -> str:
    n = sum(flags)
    if n in (0, len(flags)):
        return f'{yes if n else no} for all'
    return f'{yes} for {n}, {no} for {len(flags) - n}'


def _kinds(issues: Iterable[Issue]) -> list[str]:
    """Tell findings of one kind once: the first in full, how many, and of whom."""
    kinds: dict[tuple[Severity, str], list[Issue]] = defaultdict(list)
    for issue in issues:
        kinds[issue.severity, issue.code].append(issue)
    rank = list(Severity)
    ordered = sorted(kinds.items(), key=lambda item: (rank.index(item[0][0]), -len(item[1])))
    lines = []
    for (severity, _), found in ordered:
        first = found[0]
        often = f', {len(found)} times' if len(found) > 1 else ''
        several = len({issue.what for issue in found}) > 1
        such = 'for example ' if several else ''
        lines += wrap(f'{_MARKS[severity]}{often}: {such}{first.what}', '  ')
        if severity is not Severity.NOTE:
            for text in filter(None, (first.why, first.fix)):
                lines += wrap(text, '    ')
        scopes = list(dict.fromkeys(issue.scope for issue in found if issue.scope))
        if scopes:
            lines += wrap(first_names(scopes), '    ', hanging=0)
    return lines


def _fact(label: str, text: str) -> list[str]:
    return wrap(f'{label + ":":<17}{text}', '     ', hanging=17)
