"""The reconstruction engine: arrays in, arrays out, in stated units.

Phase in rad, echo times in s, fields in Hz (ppm for the inversion), susceptibility in ppm,
R2* in 1/s, lengths in mm. Arrays are (nx, ny, nz) or (n_echo, nx, ny, nz), and a
:class:`Grid` tells their voxel size and the direction of B0.
"""

from .bet import BetParameters, extract_brain
from .combine import combine_echoes
from .fft import get_workers, set_workers
from .grid import Grid
from .kernels import dipole_kernel, sphere_kernel
from .laplacian import LaplacianParameters, unwrap_laplacian
from .masks import dilate, erode, fill_holes, largest_component, otsu_threshold
from .offset import McpcParameters, remove_phase_offset
from .phase import (
    GAMMA_MHZ_PER_T,
    complex_to_polar,
    hz_to_ppm,
    ppm_to_hz,
    scale_phase,
    wrap,
)
from .quality import (
    correlation,
    field_snr,
    hfen,
    nrmse,
    nrmse_detrended,
    residual_wrap_fraction,
    rim_sd,
    rim_sd_ratio,
    streak_score,
    xsim,
)
from .reference import reference_to
from .relaxometry import ArloParameters, fit_r2star
from .reliable import ReliabilityParameters, quality_mask
from .resharp import ResharpParameters, remove_background_resharp
from .romeo import RomeoParameters, phase_quality, unwrap_romeo
from .rts import RtsParameters, invert_rts
from .tkd import TkdParameters, invert_tkd
from .tv import TvParameters, invert_tv
from .vsharp import VsharpParameters, remove_background_vsharp

__all__ = [
    'GAMMA_MHZ_PER_T',
    'ArloParameters',
    'BetParameters',
    'Grid',
    'LaplacianParameters',
    'McpcParameters',
    'ReliabilityParameters',
    'ResharpParameters',
    'RomeoParameters',
    'RtsParameters',
    'TkdParameters',
    'TvParameters',
    'VsharpParameters',
    'combine_echoes',
    'complex_to_polar',
    'correlation',
    'dilate',
    'dipole_kernel',
    'erode',
    'extract_brain',
    'field_snr',
    'fill_holes',
    'fit_r2star',
    'get_workers',
    'hfen',
    'hz_to_ppm',
    'invert_rts',
    'invert_tkd',
    'invert_tv',
    'largest_component',
    'nrmse',
    'nrmse_detrended',
    'otsu_threshold',
    'phase_quality',
    'ppm_to_hz',
    'quality_mask',
    'reference_to',
    'remove_background_resharp',
    'remove_background_vsharp',
    'remove_phase_offset',
    'residual_wrap_fraction',
    'rim_sd',
    'rim_sd_ratio',
    'scale_phase',
    'set_workers',
    'sphere_kernel',
    'streak_score',
    'unwrap_laplacian',
    'unwrap_romeo',
    'wrap',
    'xsim',
]
