"""The reconstruction engine: arrays in, arrays out, in stated units.

Phase in rad, echo times in s, fields in Hz (ppm for the inversion), susceptibility in ppm,
R2* in 1/s, lengths in mm. Arrays are (nx, ny, nz) or (n_echo, nx, ny, nz), and a
:class:`Grid` tells their voxel size and the direction of B0.

Names are imported at their first use: a program that needs the defaults of the methods, or one
method, does not wait for all of them.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    'bestpath': 'BestpathParameters unwrap_bestpath',
    'bet': 'BetParameters extract_brain',
    'bipolar': 'BipolarParameters correct_bipolar',
    'chisep': 'ChiSeparationParameters separate_chi separate_chi_jointly',
    'clear_swi': 'ClearSwiParameters make_clear_swi',
    'coils': 'CoilParameters combine_coils',
    'combine': 'WeightedFieldParameters combine_echoes',
    'cosmos': 'CosmosParameters invert_cosmos',
    'csf': 'CsfParameters find_csf',
    'fansi': 'FansiParameters FansiTgvParameters invert_fansi invert_fansi_tgv',
    'fft': 'get_workers set_workers',
    'forward': 'field_of',
    'grid': 'Grid',
    'harperella': 'HarperellaParameters remove_background_harperella unwrap_harperella',
    'hdqsm': 'HdqsmParameters invert_hdqsm',
    'ilsqr': 'IlsqrParameters invert_ilsqr',
    'ismv': 'IsmvParameters remove_background_ismv',
    'kernels': 'dipole_kernel sphere_kernel',
    'l2': 'L2Parameters invert_l2',
    'laplacian': 'LaplacianParameters unwrap_laplacian',
    'lbv': 'LbvParameters remove_background_lbv',
    'loglinear': 'LoglinearParameters fit_r2star_loglinear',
    'mask_grammar': 'parse_mask',
    'masks': 'dilate erode fill_holes largest_component otsu_threshold',
    'medi': 'MediParameters invert_medi',
    'medi0': 'Medi0Parameters invert_medi0',
    'ndi': 'NdiParameters invert_ndi',
    'nonlinear_field': 'NonlinearFieldParameters fit_field_nonlinear',
    'nonlinear_r2star': 'NonlinearR2starParameters fit_r2star_nonlinear',
    'offset': 'McpcParameters remove_phase_offset',
    'pdf': 'PdfParameters remove_background_pdf',
    'phase': 'GAMMA_MHZ_PER_T complex_to_polar hz_to_ppm ppm_to_hz scale_phase wrap',
    'projection': 'ProjectionParameters project_minimum',
    'quality': (
        'correlation field_snr hfen nrmse nrmse_detrended residual_wrap_fraction rim_sd '
        'rim_sd_ratio streak_score xsim'
    ),
    'quality_brain_mask': 'QualityMaskParameters mask_by_quality',
    'reference': 'reference_to reference_to_csf',
    'relaxometry': 'ArloParameters fit_r2star',
    'reliable': 'ReliabilityParameters quality_mask trusted_mask',
    'resharp': 'ResharpParameters remove_background_resharp',
    'romeo': 'RomeoParameters phase_quality unwrap_romeo',
    'rts': 'RtsParameters invert_rts',
    'sharp': 'SharpParameters remove_background_sharp',
    'smwi': 'SmwiParameters make_smwi',
    'sstv': 'SstvParameters invert_sstv',
    'swi': 'SwiParameters make_swi',
    'tgv': 'TgvParameters invert_tgv tgv_laplacian_of_wrapped',
    'threshold_mask': 'ThresholdMaskParameters mask_by_threshold',
    'tikhonov': 'TikhonovParameters invert_tikhonov',
    'tkd': 'TkdParameters invert_tkd',
    'tsvd': 'TsvdParameters invert_tsvd',
    'tswi': 'TswiParameters make_tswi',
    'tv': 'TvParameters invert_tv',
    'twopass': 'invert_two_pass',
    'vsharp': 'VsharpParameters remove_background_vsharp',
    'whqsm': 'WhqsmParameters invert_whqsm',
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a name from its module."""
    if name not in _MODULE_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    found = getattr(import_module(f'.{_MODULE_OF[name]}', __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List what there is."""
    return sorted({*globals(), *_MODULE_OF})
