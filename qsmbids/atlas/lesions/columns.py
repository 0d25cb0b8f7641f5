"""What the columns of the lesion and vein tables mean, and the settings behind the numbers."""

from __future__ import annotations

from typing import Any

from qsmbids.atlas.lesions.components import (
    CORRELATED_VOXELS,
    MIN_COVERAGE,
    MIN_RING_VOXELS,
    RING_SHELLS,
)
from qsmbids.atlas.lesions.focal import (
    HALF_MAXIMUM,
    HEIGHT_FRACTION,
    LOBE_NOISES,
    MIN_LOBE_SHARE,
    MIXED_RATIO,
    TINY_VOXELS,
    WIDE_SHELLS,
)
from qsmbids.atlas.lesions.rim import (
    MIN_COMPLETENESS,
    MIN_CORE_VOXELS,
    MIN_EXCESS,
    MIN_RATIO,
    MIN_Z,
    N_DIRECTIONS,
    SHELLS,
)
from qsmbids.atlas.lesions.veins import (
    CHI_DEOXY_PPM,
    CHI_OXY_PPM,
    INNER_FRACTION,
    THIN_VOXELS,
    THINNEST_VOXELS,
    TOP_FRACTION,
)

Columns = tuple[tuple[str, str, str], ...]

_PLACE: Columns = (
    ('id', '', 'Row number; another marking gives another numbering'),
    ('label', '', 'Value in the marking'),
    ('x_mm', 'mm', 'Centre in scanner coordinates, to the right'),
    ('y_mm', 'mm', 'Centre in scanner coordinates, to the front'),
    ('z_mm', 'mm', 'Centre in scanner coordinates, to the top'),
    ('i', '', 'Voxel nearest to the centre, first axis, counted from 0'),
    ('j', '', 'Voxel nearest to the centre, second axis'),
    ('k', '', 'Voxel nearest to the centre, third axis'),
)
_COVERAGE = (
    'coverage', '',
    'Share of the voxels in which susceptibility was reconstructed; below '
    f'{MIN_COVERAGE:g} the statistics are n/a',
)  # fmt: skip
_RING = f'median of the ring {RING_SHELLS[0]:g} to {RING_SHELLS[1]:g} shells from the edge'
_SHELLS: Columns = tuple(
    (
        f'shell_{name}',
        'ppm',
        f'Mean over background in shell {name[-1]} {"inside" if name[:2] == "in" else "outside"} '
        'the drawn edge (1 touches it)',
    )
    for name in SHELLS
)

LESION_COLUMNS: Columns = (
    *_PLACE,
    ('region', '', 'Atlas region of the voxel i, j, k; n/a without an atlas or outside regions'),
    ('n_voxels', '', 'Voxels of the marking'),
    ('volume_mm3', 'mm^3', 'Their volume'),
    ('size', '', f'tiny below {TINY_VOXELS} voxels: partial volume then rules every number'),
    ('longest_axis_mm', 'mm', 'Longest extent between two voxel centres, and one voxel'),
    _COVERAGE,
    ('mean', 'ppm', 'Mean of the referenced map'),
    ('median', 'ppm', 'Median of the referenced map'),
    ('sd', 'ppm', 'Standard deviation between voxels (n - 1)'),
    ('min', 'ppm', 'Smallest value of the referenced map'),
    ('p95', 'ppm', '95th percentile of the referenced map'),
    ('max', 'ppm', 'Largest value of the referenced map (QSMmax)'),
    (
        'mean_uncertainty',
        'ppm',
        'Noise of the mean: background_sd over the root of the number of independent values, '
        f'one for every {CORRELATED_VOXELS} voxels',
    ),
    ('background', 'ppm', f'Local background: {_RING}, other markings left out; n/a below '
     f'{MIN_RING_VOXELS} voxels'),
    ('background_sd', 'ppm', '1.4826 times the median absolute deviation in that ring'),
    ('contrast', 'ppm', 'Mean minus background'),
    ('total_susceptibility', 'ppm*mm^3', 'Contrast times volume'),
    (
        'total_susceptibility_wide',
        'ppm*mm^3',
        f'Sum over background up to {WIDE_SHELLS:g} shells beyond the drawn edge: what blurring '
        'has moved out of the drawing is counted',
    ),
    (
        'half_max_volume_mm3',
        'mm^3',
        f'Volume above {HALF_MAXIMUM:g} of the height over background (mean of the highest '
        f'{HEIGHT_FRACTION:g} of the voxels), with what it encloses',
    ),
    (
        'sign',
        '',
        'paramagnetic, diamagnetic, mixed (the smaller lobe has at least '
        f'{MIXED_RATIO:g} of the total of the larger), or indeterminate (no lobe holds '
        f'{MIN_LOBE_SHARE:g} of the voxels)',
    ),
    ('positive_volume_mm3', 'mm^3', f'Voxels more than {LOBE_NOISES:g} times background_sd above '
     'the background'),
    ('positive_total', 'ppm*mm^3', 'Sum over background in these voxels'),
    ('negative_volume_mm3', 'mm^3', 'The same, below the background'),
    ('negative_total', 'ppm*mm^3', 'Sum over background in these voxels, negative'),
    *_SHELLS,
    ('rim_shell', '', 'The highest shell of in2, in1 and out1, which is tested'),
    ('rim_mean', 'ppm', 'Mean over background in that shell'),
    ('core_mean', 'ppm', 'Mean over background more than two shells inside the edge'),
    ('rim_minus_core', 'ppm', 'Rim mean minus core mean'),
    ('rim_minus_outside', 'ppm', 'Rim mean minus the mean of the shells out2 and out3'),
    ('rim_positive_fraction', '', 'Share of the voxels of that shell above the background'),
    (
        'rim_completeness',
        '',
        f'Share of {N_DIRECTIONS} directions in which the rim is above the core and the outside '
        f'by at least {MIN_EXCESS:g} of the mean differences',
    ),
    ('rim_ratio', '', 'The smaller of the two differences over the larger'),
    ('rim_z', '', 'The smaller of the two differences over its noise'),
    (
        'rim_flag',
        '',
        f'yes: z at least {MIN_Z:g}, ratio at least {MIN_RATIO:g}, completeness at least '
        f'{MIN_COMPLETENESS:.2f}; no; n/a with fewer than {MIN_CORE_VOXELS} voxels of core',
    ),
)  # fmt: skip

VEIN_COLUMNS: Columns = (
    *_PLACE,
    ('n_voxels', '', 'Voxels of the marking'),
    ('volume_mm3', 'mm^3', 'Their volume'),
    _COVERAGE,
    ('diameter_mm', 'mm', 'Largest inscribed sphere, less half a voxel'),
    ('diameter_voxels', '', 'The same in voxels'),
    ('mean', 'ppm', 'Mean of the referenced map'),
    ('max', 'ppm', 'Largest value of the referenced map'),
    ('top_mean', 'ppm', f'Mean of the highest {TOP_FRACTION:g} of the voxels'),
    (
        'inner_mean',
        'ppm',
        f'Mean of the voxels at least {INNER_FRACTION:g} of the inscribed radius from the edge',
    ),
    ('tissue', 'ppm', f'Tissue: {_RING}, other markings left out'),
    ('tissue_sd', 'ppm', '1.4826 times the median absolute deviation in that ring'),
    ('difference', 'ppm', 'inner_mean minus tissue'),
    ('difference_uncertainty', 'ppm', 'Noise of the difference'),
    ('top_difference', 'ppm', 'top_mean minus tissue'),
    (
        'oxygen_saturation',
        '',
        'Fraction, from difference; n/a below a diameter of '
        f'{THINNEST_VOXELS:g} voxels, and only meaningful in veins',
    ),
    ('oxygen_saturation_top', '', 'The same from top_difference'),
    (
        'remark',
        '',
        f'ok; thin (diameter below {THIN_VOXELS:g} voxels: partial volume makes the saturation '
        'too high); too thin; fits no blood (saturation outside 0 to 1); no tissue around; '
        'outside the map',
    ),
)


def lesion_settings(region_atlas: str = '') -> dict[str, Any]:
    """Return what the data dictionary of a lesion table says beside its columns."""
    found: dict[str, Any] = {
        'Disclaimer': 'Measurements for research; no diagnosis is made or implied',
        'ShellWidth': 'Cube root of the volume of a voxel',
        'Connectivity': 26,
    }
    return found | ({'RegionAtlas': region_atlas} if region_atlas else {})


def vein_settings(haematocrit: float) -> dict[str, Any]:
    """Return what the data dictionary of a vein table says beside its columns."""
    return {
        'Disclaimer': 'Measurements for research; no diagnosis is made or implied',
        'Haematocrit': haematocrit,
        'DeoxygenationSusceptibility': CHI_DEOXY_PPM,
        'OxygenatedSusceptibility': CHI_OXY_PPM,
        'SaturationFormula': (
            'Y = 1 - (dchi - Haematocrit * OxygenatedSusceptibility) / '
            '(Haematocrit * DeoxygenationSusceptibility), SI ppm'
        ),
        'SaturationReference': 'https://doi.org/10.1002/mrm.23282',
        'ShellWidth': 'Cube root of the volume of a voxel',
    }
