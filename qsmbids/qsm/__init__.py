"""The reconstruction engine: arrays in, arrays out, in stated units.

Phase in rad, echo times in s, fields in Hz (ppm for the inversion), susceptibility in ppm,
R2* in 1/s, lengths in mm. Arrays are (nx, ny, nz) or (n_echo, nx, ny, nz), and a
:class:`Grid` tells their voxel size and the direction of B0.
"""

from .bestpath import BestpathParameters, unwrap_bestpath
from .bet import BetParameters, extract_brain
from .bipolar import BipolarParameters, correct_bipolar
from .chisep import ChiSeparationParameters, separate_chi, separate_chi_jointly
from .clear_swi import ClearSwiParameters, make_clear_swi
from .coils import CoilParameters, combine_coils
from .combine import WeightedFieldParameters, combine_echoes
from .cosmos import CosmosParameters, invert_cosmos
from .csf import CsfParameters, find_csf
from .fansi import FansiParameters, FansiTgvParameters, invert_fansi, invert_fansi_tgv
from .fft import get_workers, set_workers
from .forward import field_of
from .grid import Grid
from .harperella import HarperellaParameters, remove_background_harperella, unwrap_harperella
from .hdqsm import HdqsmParameters, invert_hdqsm
from .ilsqr import IlsqrParameters, invert_ilsqr
from .ismv import IsmvParameters, remove_background_ismv
from .kernels import dipole_kernel, sphere_kernel
from .l2 import L2Parameters, invert_l2
from .laplacian import LaplacianParameters, unwrap_laplacian
from .lbv import LbvParameters, remove_background_lbv
from .loglinear import LoglinearParameters, fit_r2star_loglinear
from .mask_grammar import parse_mask
from .masks import dilate, erode, fill_holes, largest_component, otsu_threshold
from .medi import MediParameters, invert_medi
from .medi0 import Medi0Parameters, invert_medi0
from .ndi import NdiParameters, invert_ndi
from .nonlinear_field import NonlinearFieldParameters, fit_field_nonlinear
from .nonlinear_r2star import NonlinearR2starParameters, fit_r2star_nonlinear
from .offset import McpcParameters, remove_phase_offset
from .pdf import PdfParameters, remove_background_pdf
from .phase import (
    GAMMA_MHZ_PER_T,
    complex_to_polar,
    hz_to_ppm,
    ppm_to_hz,
    scale_phase,
    wrap,
)
from .projection import ProjectionParameters, project_minimum
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
from .quality_brain_mask import QualityMaskParameters, mask_by_quality
from .reference import reference_to, reference_to_csf
from .relaxometry import ArloParameters, fit_r2star
from .reliable import ReliabilityParameters, quality_mask, trusted_mask
from .resharp import ResharpParameters, remove_background_resharp
from .romeo import RomeoParameters, phase_quality, unwrap_romeo
from .rts import RtsParameters, invert_rts
from .sharp import SharpParameters, remove_background_sharp
from .smwi import SmwiParameters, make_smwi
from .sstv import SstvParameters, invert_sstv
from .swi import SwiParameters, make_swi
from .tgv import TgvParameters, invert_tgv, tgv_laplacian_of_wrapped
from .threshold_mask import ThresholdMaskParameters, mask_by_threshold
from .tikhonov import TikhonovParameters, invert_tikhonov
from .tkd import TkdParameters, invert_tkd
from .tsvd import TsvdParameters, invert_tsvd
from .tswi import TswiParameters, make_tswi
from .tv import TvParameters, invert_tv
from .twopass import invert_two_pass
from .vsharp import VsharpParameters, remove_background_vsharp
from .whqsm import WhqsmParameters, invert_whqsm

__all__ = [
    'GAMMA_MHZ_PER_T',
    'ArloParameters',
    'BestpathParameters',
    'BetParameters',
    'BipolarParameters',
    'ChiSeparationParameters',
    'ClearSwiParameters',
    'CoilParameters',
    'CosmosParameters',
    'CsfParameters',
    'FansiParameters',
    'FansiTgvParameters',
    'Grid',
    'HarperellaParameters',
    'HdqsmParameters',
    'IlsqrParameters',
    'IsmvParameters',
    'L2Parameters',
    'LaplacianParameters',
    'LbvParameters',
    'LoglinearParameters',
    'McpcParameters',
    'Medi0Parameters',
    'MediParameters',
    'NdiParameters',
    'NonlinearFieldParameters',
    'NonlinearR2starParameters',
    'PdfParameters',
    'ProjectionParameters',
    'QualityMaskParameters',
    'ReliabilityParameters',
    'ResharpParameters',
    'RomeoParameters',
    'RtsParameters',
    'SharpParameters',
    'SmwiParameters',
    'SstvParameters',
    'SwiParameters',
    'TgvParameters',
    'ThresholdMaskParameters',
    'TikhonovParameters',
    'TkdParameters',
    'TsvdParameters',
    'TswiParameters',
    'TvParameters',
    'VsharpParameters',
    'WeightedFieldParameters',
    'WhqsmParameters',
    'combine_coils',
    'combine_echoes',
    'complex_to_polar',
    'correct_bipolar',
    'correlation',
    'dilate',
    'dipole_kernel',
    'erode',
    'extract_brain',
    'field_of',
    'field_snr',
    'fill_holes',
    'find_csf',
    'fit_field_nonlinear',
    'fit_r2star',
    'fit_r2star_loglinear',
    'fit_r2star_nonlinear',
    'get_workers',
    'hfen',
    'hz_to_ppm',
    'invert_cosmos',
    'invert_fansi',
    'invert_fansi_tgv',
    'invert_hdqsm',
    'invert_ilsqr',
    'invert_l2',
    'invert_medi',
    'invert_medi0',
    'invert_ndi',
    'invert_rts',
    'invert_sstv',
    'invert_tgv',
    'invert_tikhonov',
    'invert_tkd',
    'invert_tsvd',
    'invert_tv',
    'invert_two_pass',
    'invert_whqsm',
    'largest_component',
    'make_clear_swi',
    'make_smwi',
    'make_swi',
    'make_tswi',
    'mask_by_quality',
    'mask_by_threshold',
    'nrmse',
    'nrmse_detrended',
    'otsu_threshold',
    'parse_mask',
    'phase_quality',
    'ppm_to_hz',
    'project_minimum',
    'quality_mask',
    'reference_to',
    'reference_to_csf',
    'remove_background_harperella',
    'remove_background_ismv',
    'remove_background_lbv',
    'remove_background_pdf',
    'remove_background_resharp',
    'remove_background_sharp',
    'remove_background_vsharp',
    'remove_phase_offset',
    'residual_wrap_fraction',
    'rim_sd',
    'rim_sd_ratio',
    'scale_phase',
    'separate_chi',
    'separate_chi_jointly',
    'set_workers',
    'sphere_kernel',
    'streak_score',
    'tgv_laplacian_of_wrapped',
    'trusted_mask',
    'unwrap_bestpath',
    'unwrap_harperella',
    'unwrap_laplacian',
    'unwrap_romeo',
    'wrap',
    'xsim',
]
