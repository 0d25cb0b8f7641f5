"""The verbs of ``qsmbids-step``: which images each stage reads and which it writes.

Methods come from the catalogue. A verb only says which options its stage has; which of them
a method needs follows from the signature of its function and from ``Method.takes``.
"""

from __future__ import annotations

from dataclasses import dataclass

from qsmbids import methods
from qsmbids.methods import Method

INPUTS: dict[str, str] = {
    'phase': 'wrapped phase, one file per echo or one 4-D file (x, y, z, echo)',
    'magnitude': 'magnitude, one file per echo or one 4-D file',
    'unwrapped': 'unwrapped phase in radians, one file per echo or one 4-D file',
    'quality': 'map of phase quality, 0 to 1 (default: from --phase and --magnitude)',
    'field': 'field map in the unit of --field-unit',
    'noise': 'standard deviation of the field, in the same unit',
    'mask': 'mask: voxels above 0 count',
    'r2star': 'R2* in 1/s',
    'r2': 'R2 in 1/s',
    'r2prime': "R2' in 1/s",
    't2': 'T2 in s',
    'chi': 'susceptibility in ppm',
    'region': 'mask of the reference region (default: the whole mask)',
}


@dataclass(frozen=True)
class Output:
    """One image that a verb can write."""

    option: str
    description: str
    units: str = ''  # 'field': that of the field that was given; '': a mask
    derived: bool = False  # made from the others, see `step_outputs`, and not by the function


@dataclass(frozen=True)
class Verb:
    """One sub-command.

    Parameters
    ----------
    name, stage : str
        What a person types, and the stage of the catalogue.
    summary : str
        One line for the help.
    inputs : tuple of str
        Options of the input images, keys of :data:`INPUTS`.
    outputs : tuple of Output
        In the order in which the functions return them; the first one is required.
    several : tuple of str
        Inputs that may be several files.
    first : str
        Argument that stands for the first one of every function, whatever its name is.
    combined : bool
        ``magnitude`` means the root sum of squares over the echoes.
    uses_b0 : bool
        The direction of the main field matters, so it must be known.
    """

    name: str
    stage: str
    summary: str
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    several: tuple[str, ...] = ('phase', 'magnitude', 'unwrapped')
    first: str = ''
    combined: bool = False
    uses_b0: bool = False

    def methods(self) -> tuple[Method, ...]:
        """Return the methods of the stage, the default first."""
        if self.stage in methods.STAGES:
            return tuple(methods.get(self.stage, name) for name in methods.names(self.stage))
        return tuple(method for method in OWN_METHODS if method.stage == self.stage)

    def find(self, name: str) -> Method | None:
        """Return the method of a name, or None."""
        return next((method for method in self.methods() if method.name == name), None)


# of stages that are no choice of a run of the app and therefore not in the catalogue
OWN_METHODS = (
    Method(
        'reference', 'mean', 'Mean of the region',
        'qsmbids.cli.step_reference:reference_to_mean', 'qsmbids.cli.step_reference:Reference',
        'qsmconsensus2024', 'the mean over the region becomes zero',
    ),
    Method(
        'reference', 'median', 'Median of the region',
        'qsmbids.cli.step_reference:reference_to_median', 'qsmbids.cli.step_reference:Reference',
        'qsmconsensus2024', 'the median over the region becomes zero',
    ),
    Method(
        'reference', 'csf', 'Cerebrospinal fluid',
        'qsmbids.cli.step_reference:reference_to_fluid',
        'qsmbids.cli.step_reference:FluidReference',
        'qsmconsensus2024', 'the median of fluid without its rim becomes zero',
    ),
    Method(
        'coils', 'mcpc3ds', 'MCPC-3D-S',
        'qsmbids.qsm.coils:combine_coils', 'qsmbids.qsm.coils:CoilParameters',
        'eckstein2018', 'the phase offset of each coil is removed, then the coils are added',
        bytes_per_voxel=60,
    ),
)  # fmt: skip

_ECHOES = ('phase', 'magnitude', 'mask')

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            'offset', 'offset', 'remove the phase at echo time zero', _ECHOES,
            (
                Output('out', 'Wrapped phase without offset', 'rad'),
                Output('out-offset', 'Phase at echo time zero', 'rad'),
            ),
        ),
        Verb(
            'bipolar', 'bipolar', 'make echoes of alternating readout consistent', _ECHOES,
            (
                Output('out', 'Wrapped phase, corrected for alternating readout', 'rad'),
                Output('out-readout', 'Phase that changes sign from echo to echo', 'rad'),
            ),
        ),
        Verb(
            'coils', 'coils', 'combine uncombined coils: one 4-D file (x, y, z, coil) per echo',
            _ECHOES,
            (
                Output('out', 'Wrapped phase of the combined coils', 'rad'),
                Output('out-magnitude', 'Magnitude of the combined coils', 'arbitrary'),
            ),
        ),
        Verb(
            'unwrap', 'unwrapping', 'unwrap the phase of every echo', _ECHOES,
            (Output('out', 'Unwrapped phase', 'rad'),),
        ),
        Verb(
            'fieldmap', 'fieldmap', 'fit one field to the unwrapped phase of all echoes',
            ('unwrapped', 'magnitude', 'mask'),
            (
                Output('out', 'Field of all sources', 'Hz'),
                Output('out-noise', 'Standard deviation of the field', 'Hz'),
                Output('out-reliability', 'Agreement of the echoes with one field, 0 to 1', '1'),
            ),
        ),
        Verb(
            'mask', 'mask', 'find the brain', ('magnitude', 'phase', 'quality', 'mask'),
            (Output('out', 'Mask'),),
            combined=True,
        ),
        Verb(
            'background', 'background', 'remove the field of sources outside the mask',
            ('field', 'mask', 'noise', 'magnitude'),
            (
                Output('out', 'Field of sources inside the mask', 'field'),
                Output('out-mask', 'Voxels in which the field of inner sources is known'),
            ),
            first='field', combined=True, uses_b0=True,
        ),
        Verb(
            'invert', 'inversion', 'make susceptibility from the field',
            ('field', 'mask', 'noise', 'magnitude', 'r2star'),
            (
                Output('out', 'Magnetic susceptibility, paramagnetic positive', 'ppm'),
                Output('out-mask', 'Voxels that have a susceptibility', derived=True),
            ),
            first='field_ppm', combined=True, uses_b0=True,
        ),
        Verb(
            'cosmos', 'cosmos',
            'make susceptibility from the fields of several head orientations on one grid',
            ('field', 'mask', 'noise'),
            (
                Output('out', 'Magnetic susceptibility, paramagnetic positive', 'ppm'),
                Output('out-mask', 'Voxels in which susceptibility was reconstructed'),
            ),
            several=('field', 'mask', 'noise'), uses_b0=True,
        ),
        Verb(
            'relaxometry', 'relaxometry', 'fit the decay of the magnitude', ('magnitude', 'mask'),
            (
                Output('out', 'Effective transverse relaxation rate', '1/s'),
                Output('out-s0', 'Signal at echo time zero', 'arbitrary'),
                Output('out-t2star', 'Effective transverse relaxation time', 's', derived=True),
            ),
        ),
        Verb(
            'contrast', 'contrast', 'make susceptibility-weighted images',
            ('magnitude', 'phase', 'unwrapped', 'chi', 'mask'),
            (
                Output('out', 'Susceptibility-weighted magnitude', 'arbitrary'),
                Output(
                    'out-projection', 'Minimum over slabs of slices', 'arbitrary', derived=True
                ),
            ),
            uses_b0=True,
        ),
        Verb(
            'separate', 'separation', 'part susceptibility into para- and diamagnetic sources',
            ('field', 'mask', 'r2star', 'r2', 'r2prime', 't2', 'chi', 'noise', 'magnitude'),
            (
                Output('out', 'Susceptibility of paramagnetic sources', 'ppm'),
                Output('out-negative', 'Susceptibility of diamagnetic sources', 'ppm'),
                Output('out-total', 'Sum of both', 'ppm', derived=True),
            ),
            combined=True, uses_b0=True,
        ),
        Verb(
            'reference', 'reference', 'shift susceptibility so that a region is zero',
            ('chi', 'mask', 'region'),
            (Output('out', 'Magnetic susceptibility, referenced', 'ppm'),),
        ),
    )
}  # fmt: skip
