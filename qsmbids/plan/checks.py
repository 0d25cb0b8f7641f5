"""Pre-flight checks of a scan that look at more than one number at a time.

Rules on a single quantity stand with the quantity (`echo_times`, `field_strength`,
`orientation`, `phase_scaling`). Every function here writes what it finds into `Findings`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from qsmbids.plan.discover import Scan
from qsmbids.plan.echoes import EchoFiles, Form
from qsmbids.plan.findings import Findings
from qsmbids.plan.metadata import first_value, is_number, words
from qsmbids.plan.models import MIN_ECHOES_BIPOLAR, Acquisition
from qsmbids.plan.sidecars import Sidecar

OBLIQUE_DEG = 10.0  # beyond this many programs resample or go wrong, so it is worth a note
SLICE_GAP = 0.01  # share of the slice spacing that is rounding
_FILTERED = {'SWI', 'FILTERED', 'FILT', 'HPF', 'HIGHPASS', 'MNIP', 'MINIP', 'MIP'}
_IMAGE_TYPES = {
    'mag': {'M', 'MAGNITUDE'},
    'phase': {'P', 'PHASE'},
    'real': {'R', 'REAL'},
    'imag': {'I', 'IMAGINARY'},
}


def check_names(scan: Scan, n_echoes: int, findings: Findings) -> None:
    """Note LEGACY_SUFFIX, NO_ECHO_ENTITY and ENTITY_ORDER (warnings)."""
    first = scan.files[0]
    if scan.suffix == 'GRE':
        findings.warning(
            'LEGACY_SUFFIX',
            f'{findings.relative(first.path)} has the suffix _GRE, which is not BIDS.',
            'It is taken for a gradient-echo scan.',
            'Rename the files to _MEGRE (with echo-) or _T2starw.',
            first.path,
        )
    numbered = any('echo' in name.entities for name in scan.files)
    if scan.suffix == 'MEGRE' and n_echoes == 1 and not numbered:
        findings.warning(
            'NO_ECHO_ENTITY',
            f'{findings.relative(first.path)} has no echo- entity, which _MEGRE requires.',
            'It is taken for the only echo.',
            'Name a single-echo scan _T2starw.',
            first.path,
        )
    disordered = [name for name in scan.files if name.in_order().name != name.path.name]
    if disordered:
        findings.warning(
            'ENTITY_ORDER',
            f'{findings.listing(n.path for n in disordered)}: the entities are not in BIDS order.',
            'They were understood, but other programs will not find the files.',
            f'Rename, for example to {disordered[0].in_order().name}.',
            disordered[0].path,
        )


def check_image_types(
    pairs: Sequence[EchoFiles], sidecars: Mapping[Path, Sidecar], findings: Findings
) -> None:
    """Note FILTERED_PHASE (error) and PART_MISMATCH (warning) by ``ImageType``."""
    for pair in pairs:
        for part, name in pair.parts.items():
            sidecar = sidecars[name.path]
            types = set(words(sidecar.values.get('ImageType')))
            file = findings.relative(name.path)
            if part != 'mag' and types & _FILTERED:
                findings.error(
                    'FILTERED_PHASE',
                    f'{file} is filtered phase (ImageType {" ".join(sorted(types & _FILTERED))}).',
                    'The filter of susceptibility-weighted imaging removes the field that a '
                    'susceptibility map is made of.',
                    'Export the unfiltered phase.',
                    name.path,
                )
            # a sidecar shared by magnitude and phase can only speak for one of them
            own = '_part-' in sidecar.origin.get('ImageType', Path()).name
            others = set().union(*(t for p, t in _IMAGE_TYPES.items() if p != part))
            if own and types & others and not types & _IMAGE_TYPES[part]:
                findings.warning(
                    'PART_MISMATCH',
                    f'{file} is part-{part} by name, but its ImageType is '
                    f'{" ".join(sorted(types & others))}.',
                    'Magnitude and phase may be mixed up.',
                    'Compare the image with its name.',
                    name.path,
                )


def check_protocol(
    sidecars: Mapping[Path, Sidecar], n_echoes: int, form: Form, findings: Findings
) -> None:
    """Note what the sequence allows and what not.

    SINGLE_ECHO, BIPOLAR, COIL_COMBINATION (warnings), GRADIENT_CORRECTION (note).
    """
    if n_echoes == 1:
        findings.warning(
            'SINGLE_ECHO',
            'There is one echo only: no R2* map, and the phase offset of the coils stays in the '
            'field.',
            'With several echoes the offset is measured and removed.',
            'Expect a map of lower quality.',
        )
    if form is Form.MAGNITUDE:
        return
    if _bipolar(sidecars):
        corrected = (
            'The phase is corrected, unless --bipolar off or --phase-offset none is given; '
            'the shift is not.'
            if n_echoes >= MIN_ECHOES_BIPOLAR
            else 'Neither is corrected: with two echoes the phase cannot be told from the field.'
        )
        findings.warning(
            'BIPOLAR',
            'The readout is bipolar by its sidecar.',
            f'Even and odd echoes are shifted and carry opposite phase errors. {corrected}',
            'Look at the residual of the echo fit; a monopolar readout is better.',
        )
    method = first_value(sidecars, 'CoilCombinationMethod')
    text = ' '.join(words(method)).replace('-', ' ')
    if 'SUM OF SQUARES' in text or {'SOS', 'RSOS', 'RSS'} & set(text.split()):
        findings.warning(
            'COIL_COMBINATION',
            f'The coils were combined by {method}.',
            'A sum of squares does not keep the phase: look for open-ended fringes.',
            'Export with an adaptive or SENSE-type combination.',
        )
    if first_value(sidecars, 'NonlinearGradientCorrection') is True or any(
        {'DIS2D', 'DIS3D'} & set(words(s.values.get('ImageType'))) for s in sidecars.values()
    ):
        findings.note(
            'GRADIENT_CORRECTION',
            'The images were corrected for gradient distortion.',
            'This interpolates wrapped phase.',
            'Prefer uncorrected images where both exist.',
        )


def _bipolar(sidecars: Mapping[Path, Sidecar]) -> bool:
    keys = ('ProtocolName', 'SeriesDescription', 'PulseSequenceDetails', 'ScanOptions')
    return any(
        sidecar.values.get('BipolarReadout') is True
        or any('BIPOLAR' in ' '.join(words(sidecar.values.get(key))) for key in keys)
        for sidecar in sidecars.values()
    )


def check_geometry(
    acquisition: Acquisition, sidecars: Mapping[Path, Sidecar], findings: Findings
) -> None:
    """Note SLICE_GAP (warning) and OBLIQUE (note)."""
    thickness = first_value(sidecars, 'SliceThickness')
    pitch = acquisition.voxel_size_mm[2]
    if is_number(thickness) and 0 < thickness < (1 - SLICE_GAP) * pitch:
        findings.warning(
            'SLICE_GAP',
            f'Slices are {thickness:g} mm thick but {pitch:g} mm apart.',
            'Field computations take the slices for contiguous.',
            'Expect wrong susceptibilities next to the gaps.',
        )
    if acquisition.b0_direction.value is None:
        return
    angle = oblique_angle_deg(acquisition.b0_direction.value)
    if angle > OBLIQUE_DEG:
        findings.note(
            'OBLIQUE',
            f'The slab is tilted: {angle:.0f} degrees between the field and the nearest axis.',
            'The dipole kernel is rotated accordingly; nothing is resampled.',
        )


def oblique_angle_deg(direction: Sequence[float]) -> float:
    """Return the angle between a direction in voxel axes and the nearest axis, in degrees.

    Examples
    --------
    >>> round(oblique_angle_deg((0.0, 0.5, 0.8660254)), 3)
    30.0
    """
    return math.degrees(math.acos(min(1.0, max(abs(v) for v in direction))))
