"""How stored phase becomes radians: one linear map for all echoes of a scan.

Stretching each echo to its own minimum and maximum gives every echo another scale and is
never done. What decides, in this order, is the ``Units`` of the sidecar, the range of the
values over all echoes, and nothing else: an unknown range is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo
from qsmbids.plan.metadata import first_value, words
from qsmbids.plan.models import PhaseScaling, Source
from qsmbids.plan.sidecars import Sidecar

# interpolation overshoots pi a little
RADIAN_TOLERANCE = 0.02
# background noise fills the whole range of a phase image; one that fills less than this share
# of a range was not stored in that range
FILLED = 0.9
# an echo that fills less than this share of the range of the others is on another scale
EMPTY = 0.05


@dataclass(frozen=True)
class KnownRange:
    """A range in which converters store phase, and its map to radians."""

    text: str
    low: float
    high: float
    slope: float
    intercept: float = 0.0
    tolerance: float = 0.0  # how far values may lie outside

    def fits(self, low: float, high: float) -> bool:
        """Tell whether values from ``low`` to ``high`` fill this range."""
        inside = self.low - self.tolerance <= low and high <= self.high + self.tolerance
        return inside and high - low >= FILLED * (self.high - self.low)


_OVERSHOOT = RADIAN_TOLERANCE * math.pi
RADIANS = KnownRange('radians, -pi to pi', -math.pi, math.pi, 1.0, tolerance=_OVERSHOOT)
TWO_PI = KnownRange('radians, 0 to 2 pi', 0.0, 2 * math.pi, 1.0, tolerance=2 * _OVERSHOOT)
INTEGER_RANGES = (
    KnownRange('12 bit, 0 to 4095 for 2 pi', 0, 4096, 2 * math.pi / 4096, -math.pi),
    KnownRange('12 bit, -4096 to 4095 for 2 pi', -4096, 4096, math.pi / 4096),
    KnownRange('-8192 to 4096 with a period of 8192', -8192, 4096, math.pi / 4096),
    KnownRange(
        'milliradians, -3142 to 3142', -3141.6, 3141.6, 1e-3,
        tolerance=1000 * _OVERSHOOT,
    ),
)  # fmt: skip
KNOWN_RANGES = (RADIANS, TWO_PI, *INTEGER_RANGES)


def decide_phase_scaling(
    phases: Sequence[ImageInfo],
    sidecars: Mapping[Path, Sidecar],
    phase_sign: str,
    findings: Findings,
) -> PhaseScaling | None:
    """Find the linear map from stored numbers to radians.

    Parameters
    ----------
    phases : sequence of ImageInfo
        The readable phase images of all echoes.
    sidecars : mapping of Path to Sidecar
        Merged metadata per file.
    phase_sign : {'auto', '+', '-'}
        See `decide_sign`.
    findings : Findings
        Receives PHASE_CONSTANT, PHASE_SLOPE_FOREIGN, PHASE_RANGE_UNKNOWN,
        PHASE_RANGES_DIFFER (errors), PHASE_UNITS_WRONG, PHASE_RANGE_NARROW (warnings) and
        what `decide_sign` notes.

    Returns
    -------
    PhaseScaling or None
        None when no map is known. ``value`` in radians is wrap(slope * v + intercept) with
        v after the header's scl_slope and scl_inter.
    """
    usable = [image for image in phases if not image.problem and not math.isnan(image.low)]
    if not usable or _constant(usable, findings) or _foreign_slope(usable, findings):
        return None
    low, high = min(i.low for i in usable), max(i.high for i in usable)
    units = {str(sidecars[image.path].values.get('Units', '')) for image in usable}
    known = _called_radians(low, high, usable, findings) if units == {'rad'} else None
    source = Source.SIDECAR
    if known is None:
        known = next((r for r in KNOWN_RANGES if r.fits(low, high)), None)
        source = Source.INFERRED
        if known is None:
            _refuse(usable, units, low, high, findings)
            return None
        if units == {'rad'}:
            findings.warning(
                'PHASE_UNITS_WRONG',
                f'The sidecars say "Units": "rad", but the values run from {low:g} to {high:g}.',
                f'They were taken for {known.text}.',
                'Write "Units": "arbitrary", or convert the images to radians.',
                usable[0].path,
            )
        if _ranges_differ(usable, known, findings):
            return None
    said = 'Units: rad, ' if source is Source.SIDECAR else ''
    detail = f'{said}values {low:.6g} to {high:.6g}: {known.text}'
    sign, sign_source, sign_detail = decide_sign(sidecars, phase_sign, findings)
    return PhaseScaling(
        known.slope,
        known.intercept,
        sign=sign,
        source=source,
        detail=detail,
        sign_source=sign_source,
        sign_detail=sign_detail,
    )


def decide_complex_scaling(
    images: Sequence[ImageInfo],
    sidecars: Mapping[Path, Sidecar],
    phase_sign: str,
    findings: Findings,
) -> PhaseScaling | None:
    """Check real and imaginary images, which need no scaling.

    Parameters
    ----------
    images : sequence of ImageInfo
        All real and imaginary images.
    sidecars, phase_sign : as in `decide_phase_scaling`
    findings : Findings
        Receives COMPLEX_UNSIGNED (error).

    Returns
    -------
    PhaseScaling or None
        With ``complex`` set.
    """
    usable = [image for image in images if not image.problem and not math.isnan(image.low)]
    unsigned = [image.path for image in usable if image.low >= 0 < image.high]
    if unsigned:
        findings.error(
            'COMPLEX_UNSIGNED',
            f'{findings.listing(unsigned)} hold no negative number.',
            'Real and imaginary parts swing around zero; an offset turns the phase into nonsense.',
            'Convert the images again with a converter that keeps the rescale intercept.',
            unsigned[0],
        )
        return None
    sign, sign_source, sign_detail = decide_sign(sidecars, phase_sign, findings)
    return PhaseScaling(
        complex=True,
        sign=sign,
        source=Source.HEADER,
        detail='real and imaginary images',
        sign_source=sign_source,
        sign_detail=sign_detail,
    )


def decide_sign(
    sidecars: Mapping[Path, Sidecar], phase_sign: str, findings: Findings
) -> tuple[int, Source, str]:
    """Tell whether paramagnetic sources have positive phase in the files.

    Siemens and Philips store it so; GE and UIH (United Imaging) the other way round, on
    which independent programs agree.

    Parameters
    ----------
    sidecars : mapping of Path to Sidecar
        Merged metadata; ``Manufacturer`` is read.
    phase_sign : {'auto', '+', '-'}
        From the command line; 'auto' goes by the manufacturer.
    findings : Findings
        Receives PHASE_SIGN_ASSUMED (note) for a manufacturer whose sign is not known.

    Returns
    -------
    sign : int
        +1 or -1.
    source : Source
        Where it came from.
    detail : str
        The reason in words.
    """
    if phase_sign != 'auto':
        return (1 if phase_sign == '+' else -1), Source.COMMAND_LINE, f'--phase-sign {phase_sign}'
    manufacturer = first_value(sidecars, 'Manufacturer')
    vendor = words(manufacturer)
    if {'GE', 'GEMS', 'UIH'} & set(vendor) or {'UNITED', 'IMAGING'} <= set(vendor):
        return -1, Source.INFERRED, f'manufacturer {manufacturer} stores it inverted'
    if {'SIEMENS', 'PHILIPS'} & set(vendor):
        return 1, Source.INFERRED, f'manufacturer {manufacturer}'
    unknown = (
        f'the sign of {manufacturer} is not known' if vendor else 'the manufacturer is not given'
    )
    findings.note(
        'PHASE_SIGN_ASSUMED',
        f'The phase is taken to grow with susceptibility; {unknown}.',
        'With the wrong sign iron would look like calcium.',
        'If veins and globus pallidus come out dark, give --phase-sign -.',
    )
    return 1, Source.DEFAULT, unknown


def _called_radians(
    low: float, high: float, images: Sequence[ImageInfo], findings: Findings
) -> KnownRange | None:
    """Accept values that the sidecars call radians, if they can be."""
    for known in (RADIANS, TWO_PI):
        if known.low - known.tolerance <= low and high <= known.high + known.tolerance:
            if high - low < math.pi:
                findings.warning(
                    'PHASE_RANGE_NARROW',
                    f'The phase only runs from {low:.3g} to {high:.3g}, though "Units" is "rad".',
                    'Noise outside the head usually fills the whole circle; cycles or '
                    'normalised values look like this.',
                    'Make sure that the values are radians.',
                    images[0].path,
                )
            return known
    return None


def _constant(images: Sequence[ImageInfo], findings: Findings) -> bool:
    constant = [image for image in images if image.low == image.high]
    if constant:
        findings.error(
            'PHASE_CONSTANT',
            f'{findings.listing(i.path for i in constant)}: every voxel is {constant[0].low:g}.',
            'A constant phase holds no field.',
            'Convert or download the image again.',
            constant[0].path,
        )
    return bool(constant)


def _foreign_slope(images: Sequence[ImageInfo], findings: Findings) -> bool:
    """Find radians stored as floats which a left-over scl_slope would destroy."""
    spoilt = [
        image
        for image in images
        if image.dtype.startswith('float')
        and RADIANS.fits(image.stored_low, image.stored_high)
        and not RADIANS.fits(image.low, image.high)
    ]
    if spoilt:
        one = spoilt[0]
        findings.error(
            'PHASE_SLOPE_FOREIGN',
            f'{findings.listing(i.path for i in spoilt)}: the stored values are radians '
            f'({one.stored_low:.3g} to {one.stored_high:.3g}), but the header scales them to '
            f'{one.low:.4g} to {one.high:.4g}.',
            'The scaling seems to be left over from an earlier form of the file.',
            'Set scl_slope to 1 and scl_inter to 0 if so.',
            one.path,
        )
    return bool(spoilt)


def _ranges_differ(images: Sequence[ImageInfo], joint: KnownRange, findings: Findings) -> bool:
    """Find echoes that were stored on another scale than the rest."""
    odd = []
    for image in images:
        own = next((r for r in KNOWN_RANGES if r.fits(image.low, image.high)), None)
        filled = (image.high - image.low) / (joint.high - joint.low)
        if (own is not None and own is not joint) or filled < EMPTY:
            odd.append(image)
    if odd:
        findings.error(
            'PHASE_RANGES_DIFFER',
            f'{findings.listing(i.path for i in odd)}: values from {odd[0].low:g} to '
            f'{odd[0].high:g}, while the other echoes are {joint.text}.',
            'All echoes must be on one scale, or the field comes out wrong.',
            'Convert all echoes in the same way.',
            odd[0].path,
        )
    return bool(odd)


def _refuse(
    images: Sequence[ImageInfo], units: set[str], low: float, high: float, findings: Findings
) -> None:
    said = ', '.join(sorted(f'"{u}"' for u in units if u)) or 'not given'
    header = {(image.slope, image.intercept) for image in images}
    slope, intercept = min(header)
    findings.error(
        'PHASE_RANGE_UNKNOWN',
        f'The phase of {findings.listing(i.path for i in images)} runs from {low:g} to {high:g} '
        f'(Units: {said}; header slope {slope:g}, intercept {intercept:g}), which is no range '
        'that is known.',
        'Guessing a scale would give a wrong field. Known are: '
        + '; '.join(known.text for known in KNOWN_RANGES)
        + '.',
        'Convert the images to wrapped radians and set "Units": "rad" in the sidecars.',
        images[0].path,
    )
