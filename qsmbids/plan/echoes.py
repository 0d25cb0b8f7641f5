"""Pairs the files of a scan into echoes: magnitude with phase, real with imaginary."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from qsmbids.plan.discover import Scan
from qsmbids.plan.filenames import BidsName
from qsmbids.plan.findings import Findings


class Form(StrEnum):
    """In which form a scan holds its complex signal."""

    COMPLEX = 'real and imaginary'
    POLAR = 'magnitude and phase'
    MAGNITUDE = 'magnitude only'


@dataclass(frozen=True)
class EchoFiles:
    """Files of one echo by part: ``mag``, ``phase``, ``real``, ``imag``."""

    label: str  # as in the file name; '' when there is no echo entity
    parts: dict[str, BidsName] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``echo-2``, or ``the image`` when names carry no echo."""
        return f'echo-{self.label}' if self.label else 'the image'

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the echo."""
        return tuple(name.path for name in self.parts.values())


def pair_echoes(scan: Scan, findings: Findings) -> tuple[tuple[EchoFiles, ...], Form]:
    """Sort the files of a scan into echoes and check that every one has its partner.

    Parameters
    ----------
    scan : Scan
        The files.
    findings : Findings
        Receives MISSING_MAGNITUDE, MISSING_PHASE, MISSING_REAL, MISSING_IMAGINARY,
        MIXED_FORMS, DUPLICATE_FILE (errors), MAGNITUDE_ONLY, ECHO_LABEL_GAP (warnings),
        EXTRA_IMAGE, COMPLEX_PREFERRED (notes).

    Returns
    -------
    echoes : tuple of EchoFiles
        In the order of their labels; only the parts of the form that is used.
    form : Form
        The form the whole scan will be read in.
    """
    echoes = _without_combined(_collect(scan, findings), findings)
    present = {part for echo in echoes for part in echo.parts}
    form = _form(echoes, present)
    if form is Form.COMPLEX and present & {'mag', 'phase'}:
        findings.note(
            'COMPLEX_PREFERRED',
            'There are real and imaginary images beside magnitude and phase; the former are used.',
            'They need no scaling to radians.',
        )
    if form is Form.COMPLEX:
        _need_partner(echoes, 'real', 'imag', 'MISSING_IMAGINARY', findings)
        _need_partner(echoes, 'imag', 'real', 'MISSING_REAL', findings)
        used = ('real', 'imag')
    else:
        _need_partner(echoes, 'phase', 'mag', 'MISSING_MAGNITUDE', findings)
        if form is Form.POLAR:
            _need_partner(echoes, 'mag', 'phase', 'MISSING_PHASE', findings)
        used = ('mag', 'phase')
    if form is Form.MAGNITUDE:
        findings.warning(
            'MAGNITUDE_ONLY',
            'There is no phase image: only R2* and T2* can be mapped.',
            'Susceptibility is computed from the phase.',
            'Export the phase of the same scan and name it part-phase.',
        )
    _need_form(echoes, used, form, findings)
    _check_labels(echoes, findings)
    kept = ((e.label, {p: e.parts[p] for p in used if p in e.parts}) for e in echoes)
    return tuple(EchoFiles(label, parts) for label, parts in kept if parts), form


def _collect(scan: Scan, findings: Findings) -> list[EchoFiles]:
    """Group by echo number; leading zeros do not count."""
    groups: dict[str, dict[str, list[BidsName]]] = defaultdict(lambda: defaultdict(list))
    for name in scan.files:
        groups[name.get('echo')][name.part].append(name)
    echoes = []
    for number in sorted(groups, key=lambda text: (not text.isdecimal(), int_or_zero(text), text)):
        parts = groups[number]
        _settle_unnamed(parts, findings)
        for part, names in parts.items():
            if len(names) > 1:
                findings.error(
                    'DUPLICATE_FILE',
                    f'{findings.listing(n.path for n in names)} are the same image by name.',
                    'It is not clear which one is meant.',
                    f'Remove all but one (entities: part "{part}", echo "{number}").',
                    names[0].path,
                )
        first = {part: names[0] for part, names in parts.items()}
        label = next(iter(first.values())).entities.get('echo', '')
        echoes.append(EchoFiles(label, first))
    return echoes


def _settle_unnamed(parts: dict[str, list[BidsName]], findings: Findings) -> None:
    """Take an image without ``part-`` for the magnitude, unless there is a named one."""
    unnamed = parts.pop('', [])
    if not unnamed:
        return
    if 'mag' not in parts:
        parts['mag'] = unnamed
        return
    findings.note(
        'EXTRA_IMAGE',
        f'Left out: {findings.listing(n.path for n in unnamed)}. The part-mag image is used.',
        path=unnamed[0].path,
    )


def _without_combined(echoes: list[EchoFiles], findings: Findings) -> list[EchoFiles]:
    """Leave out images without an echo number where others have one: combined echoes."""
    numbered = [echo for echo in echoes if echo.label]
    if not numbered or len(numbered) == len(echoes):
        return echoes
    combined = [path for echo in echoes if not echo.label for path in echo.paths]
    findings.note(
        'EXTRA_IMAGE',
        f'Left out: {findings.listing(combined)}. Without an echo number it is taken for a '
        'combination of the echoes.',
        path=combined[0],
    )
    return numbered


def _form(echoes: list[EchoFiles], present: set[str]) -> Form:
    if echoes and all({'real', 'imag'} <= echo.parts.keys() for echo in echoes):
        return Form.COMPLEX
    if 'phase' in present:
        return Form.POLAR
    return Form.COMPLEX if present & {'real', 'imag'} else Form.MAGNITUDE


_WORDS = {'mag': 'magnitude', 'phase': 'phase', 'real': 'real', 'imag': 'imaginary'}


def _need_partner(
    echoes: list[EchoFiles], part: str, partner: str, code: str, findings: Findings
) -> None:
    """Note an error for the echoes that have ``part`` but not ``partner``."""
    alone = [e for e in echoes if part in e.parts and partner not in e.parts]
    if not alone:
        return
    first = alone[0].parts[part].path
    who = alone[0].name if len(alone) == 1 else f'{len(alone)} echoes'
    findings.error(
        code,
        f'{who} has no {_WORDS[partner]} image beside '
        f'{findings.listing(e.parts[part].path for e in alone)}.'.replace(
            'echoes has', 'echoes have'
        ),
        f'Every echo needs its {_WORDS[part]} and its {_WORDS[partner]}.',
        f'Add {first.name.replace(f"part-{part}", f"part-{partner}")}, or leave the echo out '
        'with the filter file.',
        first,
    )


def _need_form(
    echoes: list[EchoFiles], used: tuple[str, str], form: Form, findings: Findings
) -> None:
    """Note an error for echoes of which nothing could be used."""
    lost = [path for echo in echoes if not echo.parts.keys() & set(used) for path in echo.paths]
    if lost:
        findings.error(
            'MIXED_FORMS',
            f'{findings.listing(lost)} cannot be used: other echoes have {form}.',
            'All echoes of a scan are read in one form.',
            'Export all echoes alike, or leave these out with the filter file.',
            lost[0],
        )


def _check_labels(echoes: list[EchoFiles], findings: Findings) -> None:
    numbers = [int(e.label) for e in echoes if e.label.isdecimal()]
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    if missing:
        findings.warning(
            'ECHO_LABEL_GAP',
            f'There is no echo-{missing[0]}, but an echo-{max(numbers)}.',
            'A file may have been lost; the other echoes are used.',
            'Look for the missing file.',
        )


def int_or_zero(text: str) -> int:
    """Return the number a text holds, 0 for none."""
    return int(text) if text.isdecimal() else 0
