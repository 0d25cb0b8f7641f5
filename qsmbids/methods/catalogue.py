"""Every method of every stage, and which one is the default."""

from __future__ import annotations

from qsmbids.methods.method import Method

STAGES: dict[str, str] = {
    'offset': 'Phase offset removal',
    'bipolar': 'Correction of alternating readout',
    'unwrapping': 'Phase unwrapping',
    'fieldmap': 'Field map from all echoes',
    'mask': 'Brain mask',
    'background': 'Background field removal',
    'inversion': 'Dipole inversion',
    'cosmos': 'Inversion of several head orientations',
    'relaxometry': 'R2* and T2*',
    'contrast': 'Susceptibility-weighted contrast',
    'separation': 'Separation into para- and diamagnetic parts',
}

CATALOGUE: tuple[Method, ...] = (
    Method(
        'offset', 'mcpc3ds', 'MCPC-3D-S',
        'qsmbids.qsm.offset:remove_phase_offset', 'qsmbids.qsm.offset:McpcParameters',
        'eckstein2018', 'offset from the first two echoes, smoothed and subtracted',
        bytes_per_voxel=60,
    ),
    Method(
        'unwrapping', 'romeo', 'ROMEO',
        'qsmbids.qsm.romeo:unwrap_romeo', 'qsmbids.qsm.romeo:RomeoParameters',
        'dymerska2021', 'quality-guided region growing, exact, consistent over echoes',
        bytes_per_voxel=60,
    ),
    Method(
        'unwrapping', 'laplacian', 'Laplacian',
        'qsmbids.qsm.laplacian:unwrap_laplacian', 'qsmbids.qsm.laplacian:LaplacianParameters',
        'schofield2003', 'smooth and fast; not a whole number of wraps from the data',
        bytes_per_voxel=60,
    ),
    Method(
        'mask', 'bet', 'BET-like surface',
        'qsmbids.qsm.bet:extract_brain', 'qsmbids.qsm.bet:BetParameters',
        'smith2002', 'a surface grown from inside the brain outwards', bytes_per_voxel=24,
    ),
    Method(
        'background', 'vsharp', 'V-SHARP',
        'qsmbids.qsm.vsharp:remove_background_vsharp', 'qsmbids.qsm.vsharp:VsharpParameters',
        'li2011,wu2012', 'spherical mean values of shrinking radius: fast, keeps the cortex',
        bytes_per_voxel=60,
    ),
    Method(
        'background', 'resharp', 'RESHARP',
        'qsmbids.qsm.resharp:remove_background_resharp',
        'qsmbids.qsm.resharp:ResharpParameters',
        'sun2014', 'regularised SHARP: robust to a poor rim, loses its radius at the edge',
        bytes_per_voxel=80,
    ),
    Method(
        'inversion', 'rts', 'RTS',
        'qsmbids.qsm.rts:invert_rts', 'qsmbids.qsm.rts:RtsParameters',
        'kames2018', 'direct where well posed, total variation in the cone of zeros',
        bytes_per_voxel=140,
    ),
    Method(
        'inversion', 'tv', 'TV',
        'qsmbids.qsm.tv:invert_tv', 'qsmbids.qsm.tv:TvParameters',
        'bilgic2014', 'least total variation that explains the field inside the mask',
        bytes_per_voxel=140,
    ),
    Method(
        'inversion', 'tkd', 'TKD',
        'qsmbids.qsm.tkd:invert_tkd', 'qsmbids.qsm.tkd:TkdParameters',
        'shmueli2009,schweser2013', 'truncated division: seconds, streaks; for a quick look',
        bytes_per_voxel=40,
    ),
    Method(
        'relaxometry', 'arlo', 'ARLO',
        'qsmbids.qsm.relaxometry:fit_r2star', 'qsmbids.qsm.relaxometry:ArloParameters',
        'pei2015', 'closed form for even echo spacing, weighted log-linear fit otherwise',
        bytes_per_voxel=24,
    ),
)  # fmt: skip

DEFAULT_METHODS: dict[str, str] = {
    'offset': 'mcpc3ds',
    'unwrapping': 'romeo',
    'mask': 'bet',
    'background': 'vsharp',
    'inversion': 'rts',
    'relaxometry': 'arlo',
}
