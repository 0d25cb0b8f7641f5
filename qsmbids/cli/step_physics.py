"""Physical facts behind the images of one call of ``qsmbids-step``: field, direction, units.

The rules are those of the app (``qsmbids.plan``), applied to single files: what stands on the
command line comes first, then the sidecars, then the headers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from qsmbids.cli.step_messages import note, unusable
from qsmbids.cli.step_scan import Scan, new_findings, tell
from qsmbids.plan import field_strength, orientation, phase_scaling
from qsmbids.plan.models import GAMMA_MHZ_PER_T, Decision, PhaseScaling, Source
from qsmbids.qsm.grid import Grid

WORTH_A_NOTE = 0.01  # relative; susceptibility changes by as much


class Physics:
    """What is decided once for all images of a call, when it is first asked for."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan

    # -------------------------------------------------------------- frequency, direction
    @cached_property
    def frequency(self) -> Decision | None:
        """Imaging frequency in MHz, the number of Hz in one ppm; None if nothing tells it."""
        given = self.scan.given
        findings = new_findings()
        found = field_strength.imaging_frequency(self.scan.sidecars, None, findings)
        if given.imaging_frequency_mhz:
            value, option = given.imaging_frequency_mhz, '--imaging-frequency'
        elif given.field_strength_t:
            value, option = given.field_strength_t * GAMMA_MHZ_PER_T, '--field-strength'
        else:
            tell(i for i in findings.issues if i.code != 'NO_FIELD_STRENGTH')
            return found
        if found and abs(value / found.value - 1) > WORTH_A_NOTE:
            note(
                f'Note: {option} stands for {value:.2f} MHz and is used, but the sidecar says '
                f'{found.value:.2f} MHz.'
            )
        return Decision(value, Source.COMMAND_LINE, option)

    def need_frequency(self) -> float:
        """Return the imaging frequency; an error if it is not known."""
        if self.frequency is None:
            raise unusable(
                'Neither ImagingFrequency nor MagneticFieldStrength is known.',
                'They tell how many Hz one ppm is, and susceptibility is scaled by it.',
                'Give --imaging-frequency MHZ or --field-strength TESLA, or --sidecar FILE.',
            )
        return float(self.frequency.value)

    @cached_property
    def b0(self) -> Decision | None:
        """Direction of the main field in voxel axes; None if nothing tells it."""
        image, findings = self.scan.first, new_findings()
        given = self.scan.given.b0_direction
        given = given and given[:3]  # of several orientations the first one
        found, affine = orientation.b0_direction(image, self.scan.sidecars, given, findings)
        tell(i for i in findings.issues if i.code != 'NO_B0_DIRECTION')
        if found is None and (image.sform_code or image.qform_code):
            found = Decision(orientation.header_direction(affine), Source.HEADER, 'affine')
            note(
                f'Note: the header of {image.path} does not say that its coordinates are those '
                'of the scanner.\nB0 is taken from them all the same, '
                f'{_vector(found.value)} along the voxel axes.\n'
                'If the image was rotated, give --b0-dir.'
            )
        return found

    def grid(self, *, needs_b0: bool) -> Grid:
        """Return the grid of the images.

        Parameters
        ----------
        needs_b0 : bool
            Whether a direction that nothing tells is an error.
        """
        affine, _ = orientation.scanner_affine(self.scan.first, new_findings())
        if not needs_b0:
            return Grid.from_affine(self.scan.first.grid_shape, np.asarray(affine))
        if self.b0 is None:
            raise unusable(
                f'The direction of B0 is not known: the header of {self.scan.first.path} has no '
                'coordinates.',
                'The dipole kernel is turned along B0; a wrong direction gives wrong maps.',
                'Give --b0-dir X Y Z along the voxel axes (0 0 1 for an axial scan).',
            )
        return Grid.from_affine(self.scan.first.grid_shape, np.asarray(affine), self.b0.value)

    def b0_directions(self) -> np.ndarray:
        """Return one direction for each file of ``--field``, (n, 3), in the common voxel axes.

        The images lie on one grid, so their headers cannot tell in which direction the head
        was turned: it stands in the sidecars or on the command line.
        """
        given = self.scan.given.b0_direction
        n = self.scan.n_echoes('field')
        if given is None:
            said = [_said(sidecar.values) for sidecar in self.scan.of('field').values()]
            given = [v for vector in said if vector for v in vector]
        if len(given) != 3 * n:
            raise unusable(
                f'There are {n} fields but {len(given) / 3:g} directions of B0.',
                'Each orientation has its own, and on a common grid no header tells it.',
                'Give --b0-dir X1 Y1 Z1 X2 Y2 Z2 ... along the voxel axes, one for each --field, '
                'or B0_dir in the sidecars.',
            )
        return np.array([orientation.unit_vector(given[i : i + 3]) for i in range(0, 3 * n, 3)])

    # ---------------------------------------------------------------------------- units
    def field_unit(self, option: str = 'field') -> str:
        """Return ``'Hz'`` or ``'ppm'``: as given, as the sidecar says, or Hz."""
        said = {str(s.values.get('Units') or '') for s in self.scan.of(option).values()} - {''}
        units = {{'hz': 'Hz', 'ppm': 'ppm'}.get(text.lower(), text) for text in said}
        given = self.scan.given.field_unit
        if given:
            if units - {given}:
                note(
                    f'Warning: the sidecar of --{option} says {", ".join(units)}, but '
                    f'--field-unit {given} is used.'
                )
            return given
        if units - {'Hz', 'ppm'} or len(units) > 1:
            raise unusable(
                f'The unit of --{option} is {", ".join(sorted(units))}, as its sidecar says.',
                'A field is read in Hz or in ppm; anything else would be scaled wrongly.',
                'Convert it; or give --field-unit Hz or ppm if the sidecar is wrong.',
            )
        if units:
            return units.pop()
        return 'Hz' if option == 'field' else self.field_unit()

    @cached_property
    def scaling(self) -> PhaseScaling:
        """How the stored phase becomes radians: one linear map for all echoes."""
        sidecars = self.scan.of('phase')
        sign = self.scan.given.phase_sign
        ours = {s.values.get('PhaseSignConvention') for s in sidecars.values()}
        is_ours = sign == 'auto' and ours == {'paramagnetic positive'}
        if is_ours:  # an earlier step has turned it, whatever the manufacturer
            sign = '+'
        images = [self.scan.images[path] for path in sidecars]
        findings = new_findings()
        found = phase_scaling.decide_phase_scaling(images, sidecars, sign, findings)
        issues = findings.issues
        limit = phase_scaling.RADIANS.high + phase_scaling.RADIANS.tolerance
        low, high = min(i.low for i in images), max(i.high for i in images)
        if {i.code for i in issues} == {'PHASE_RANGE_UNKNOWN'} and max(-low, high) <= limit:
            # not the whole circle, as in phase that was masked: radians all the same
            sign, source, detail = phase_scaling.decide_sign(sidecars, sign, findings)
            found = PhaseScaling(
                sign=sign, source=Source.INFERRED, sign_source=source, sign_detail=detail,
                detail=f'values {low:.6g} to {high:.6g}, taken for radians',
            )  # fmt: skip
            issues = [i for i in findings.issues if i.code != 'PHASE_RANGE_UNKNOWN']
        tell(issues)
        if found is None:
            raise unusable(
                'The phase holds no usable number.',
                'Nothing can be computed from it.',
                'Check the files of --phase.',
            )
        if is_ours:
            said = 'PhaseSignConvention of the sidecar'
            found = replace(found, sign_source=Source.SIDECAR, sign_detail=said)
        note(f'Phase: {found.detail}; sign {found.sign:+d} ({found.sign_detail}).')
        return found


def _said(values: Mapping[str, Any]) -> list[float] | None:
    """Return the direction of B0 in a sidecar."""
    return next((values[key] for key in orientation.B0_KEYS if values.get(key)), None)


def _vector(vector: Sequence[float]) -> str:
    return '(' + ', '.join(f'{value:.3g}' for value in vector) + ')'
