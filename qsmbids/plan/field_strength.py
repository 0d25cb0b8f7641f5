"""How many Hz one ppm is: the imaging frequency, from the scanner or from a field strength."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qsmbids.plan.findings import Findings
from qsmbids.plan.metadata import is_number
from qsmbids.plan.models import GAMMA_MHZ_PER_T, Decision, Source
from qsmbids.plan.sidecars import Sidecar

FIELD_TOLERANCE = 0.05  # nominal and true field differ by up to 4 % (a "3 T" of 2.89 T)
STRONGEST_FIELD_T = 25.0  # no magnet for people comes near; larger numbers are mT or MHz


def imaging_frequency(
    sidecars: Mapping[Path, Sidecar], field_strength: float | None, findings: Findings
) -> Decision | None:
    """Decide how many Hz one ppm is.

    The scanner's own ``ImagingFrequency`` comes first, then ``MagneticFieldStrength``, then
    the field strength given on the command line, which also settles a contradiction.

    Parameters
    ----------
    sidecars : mapping of Path to Sidecar
        Merged metadata per file of the scan.
    field_strength : float or None, T
        Given on the command line.
    findings : Findings
        Receives NO_FIELD_STRENGTH, FIELD_STRENGTH_CONFLICT (errors), FIELD_STRENGTH_INVALID,
        FIELD_STRENGTH_NOT_USED (warnings).

    Returns
    -------
    Decision or None
        MHz.
    """
    frequency = _consistent(sidecars, 'ImagingFrequency', GAMMA_MHZ_PER_T, findings)
    strength = _consistent(sidecars, 'MagneticFieldStrength', 1.0, findings)
    given = None
    if field_strength is not None:
        given = Decision(
            field_strength * GAMMA_MHZ_PER_T,
            Source.COMMAND_LINE,
            f'field strength {field_strength:g} T',
        )
    if frequency and strength:
        from_strength = strength.value * GAMMA_MHZ_PER_T
        if abs(frequency.value / from_strength - 1) > FIELD_TOLERANCE:
            if given is None:
                findings.error(
                    'FIELD_STRENGTH_CONFLICT',
                    f'ImagingFrequency {frequency.value:g} MHz stands for '
                    f'{frequency.value / GAMMA_MHZ_PER_T:.2f} T, but MagneticFieldStrength is '
                    f'{strength.value:g} T.',
                    'Susceptibility is scaled by the field strength.',
                    'Correct the sidecars, or give --field-strength.',
                    next(iter(sidecars)),
                )
            return given
    if frequency:
        decided = frequency
    elif strength:
        detail = f'{strength.detail} ({strength.value:g} T)'
        decided = Decision(strength.value * GAMMA_MHZ_PER_T, Source.SIDECAR, detail)
    else:
        decided = given
    if decided is None:
        if any(sidecar.broken for sidecar in sidecars.values()):
            return None  # it may stand in the broken file, which has been reported
        findings.error(
            'NO_FIELD_STRENGTH',
            f'Neither MagneticFieldStrength nor ImagingFrequency is known for '
            f'{findings.listing(sidecars)}.',
            'Susceptibility is scaled by the field strength.',
            'Add "MagneticFieldStrength" (in tesla) to the JSON sidecars, or give '
            '--field-strength.',
            next(iter(sidecars)),
        )
    elif given and abs(given.value / decided.value - 1) > FIELD_TOLERANCE:
        findings.warning(
            'FIELD_STRENGTH_NOT_USED',
            f'--field-strength {field_strength:g} is not used: the sidecar says '
            f'{decided.value / GAMMA_MHZ_PER_T:.2f} T.',
            'The command line only fills in what the data do not tell.',
            'Correct the sidecar if it is wrong.',
        )
    return decided


def _consistent(
    sidecars: Mapping[Path, Sidecar], key: str, per_tesla: float, findings: Findings
) -> Decision | None:
    """Return the value of a key if it is plausible and alike in all files."""
    found = {p: s.values[key] for p, s in sidecars.items() if s.values.get(key) is not None}
    if not found:
        return None
    for path, value in found.items():
        if not is_number(value) or not 0 < value <= STRONGEST_FIELD_T * per_tesla:
            unit = 'tesla' if per_tesla == 1.0 else 'MHz'
            findings.warning(
                'FIELD_STRENGTH_INVALID',
                f'{findings.relative(path)} has {key} {value!r}, which is not used.',
                f'It must be a positive number in {unit}.',
                'Correct its JSON sidecar.',
                path,
            )
            return None
    low, high = min(found.values()), max(found.values())
    if high > low * (1 + FIELD_TOLERANCE):
        findings.warning(
            'FIELD_STRENGTH_INVALID',
            f'{key} differs between the files of one scan ({low:g} to {high:g}) and is not used.',
            'One scan has one field strength.',
            'Correct the JSON sidecars.',
        )
        return None
    path = next(iter(found))
    origin = findings.relative(sidecars[path].origin[key])
    return Decision(float(found[path]), Source.SIDECAR, f'{key} in {origin}')
