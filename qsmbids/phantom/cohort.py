"""A cohort of finished maps, written as the output folder of a run.

For what comes after reconstruction (atlas building, group statistics) the scan itself need not
be simulated: the true susceptibility of a warped head plus noise is the map, and the steady
state of a gradient echo times exp(-TE R2*) plus noise, under a smooth bias, is the magnitude.
That takes seconds per head, where fields and inversion take minutes. True labels lie beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids import __version__
from qsmbids.bids.names import output_names
from qsmbids.phantom import tissues
from qsmbids.phantom.anatomy import Anatomy, draw_anatomy
from qsmbids.phantom.files import BIDS_VERSION, write_image, write_json
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.signal import block_mean
from qsmbids.phantom.truth import data_labels

ECHO_TIME_S = 0.015
CHI_NOISE_PPM = 0.010  # as of a 3 T scan with voxels of 1 mm
MAGNITUDE_NOISE = 0.03  # of the mean brain signal
R2STAR_NOISE = 1.5  # 1/s
BIAS_SIGMA_MM = 45.0  # smoothness of the receive bias
TRUTH_NAME = 'desc-truth_dseg'


def write_cohort(
    root: Path, ages: Sequence[float], *, parameters: PhantomParameters | None = None
) -> Path:
    """Write the maps of one simulated person per age.

    Parameters
    ----------
    root : Path
        The output folder to make.
    ages : sequence of float, years
        ``sub-01`` has the first age, and so on; person number n (from 0) has the seed
        ``parameters.seed + n``.
    parameters : PhantomParameters, optional
        The grid and how people differ; noise of the scan is not taken from it.

    Returns
    -------
    Path
        ``root``. Beside the maps of each person lie the true labels, ``_desc-truth_dseg``.
    """
    parameters = parameters or PhantomParameters()
    root = Path(root)
    write_json(
        root / 'dataset_description.json',
        {
            'Name': 'Maps of simulated heads',
            'BIDSVersion': BIDS_VERSION,
            'DatasetType': 'derivative',
            'License': 'CC0',
            'GeneratedBy': [{'Name': 'qsmbids phantom', 'Version': __version__}],
        },
    )
    for number, age in enumerate(ages):
        rng = np.random.default_rng([parameters.seed + number, 0])
        anatomy = draw_anatomy(float(age), parameters, rng)
        _write_person(root, f'{number + 1:02d}', anatomy, parameters, rng)
    return root


def _write_person(
    root: Path, label: str, anatomy: Anatomy, parameters: PhantomParameters,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    factor = parameters.oversampling
    names = output_names([('sub', label)])
    brain = block_mean(anatomy.brain.astype(np.float32), factor) >= 0.5
    chi = block_mean(anatomy.chi_ppm, factor)
    chi += CHI_NOISE_PPM * rng.standard_normal(chi.shape, dtype=np.float32)
    known = ndimage.binary_erosion(brain)  # reconstruction loses the outermost voxels
    mean = float(chi[known].mean(dtype=float))
    r2star = block_mean(anatomy.r2star.astype(np.float32), factor)
    r2star += R2STAR_NOISE * rng.standard_normal(r2star.shape, dtype=np.float32)
    magnitude = _magnitude(anatomy, parameters, brain, rng)
    images = {
        'chi': (np.where(known, chi - mean, 0), np.float32),
        'rss': (magnitude, np.float32),
        'r2star': (np.where(brain, np.maximum(r2star, 0), 0), np.float32),
        'brain_mask': (brain, np.uint8),
        'qsm_mask': (known, np.uint8),
    }
    facts = {'AgeYears': anatomy.age, 'SkullStripped': True}
    sidecars = {
        'chi': {
            **facts,
            'Units': 'ppm',
            'SusceptibilityReference': 'whole-brain',
            'SusceptibilityReferenceValue': mean,
        },
        'rss': {**facts, 'Units': 'arbitrary', 'SkullStripped': False},
        'r2star': {**facts, 'Units': '1/s'},
        'brain_mask': {'Type': 'Brain'},
        'qsm_mask': {'Type': 'ROI'},
    }
    for key, (array, kind) in images.items():
        write_image(root / names[key], array, parameters.affine, kind)
        write_json(root / names[key].replace('.nii.gz', '.json'), sidecars[key])
    truth = root / names['chi'].replace('Chimap', TRUTH_NAME)
    write_image(truth, data_labels(anatomy.labels, factor), parameters.affine, np.int16)


def _magnitude(
    anatomy: Anatomy, parameters: PhantomParameters, brain: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the gradient-echo magnitude at `ECHO_TIME_S`, the head's surroundings included."""
    signal = tissues.spoiled_gradient_echo(
        anatomy.proton_density.astype(np.float32),
        anatomy.t1_s.astype(np.float32),
        np.float32(np.radians(parameters.flip_angle_deg)),
        np.float32(parameters.repetition_time_s),
    )
    signal *= np.exp(np.float32(-ECHO_TIME_S) * anatomy.r2star.astype(np.float32))
    signal = block_mean(signal, parameters.oversampling)
    sigma = BIAS_SIGMA_MM / np.asarray(parameters.voxel_size_mm)
    bias = ndimage.gaussian_filter(rng.standard_normal(signal.shape, dtype=np.float32), sigma)
    signal *= np.exp(np.float32(parameters.bias) * bias / bias.std())
    level = np.float32(MAGNITUDE_NOISE * signal[brain].mean())
    noise = rng.standard_normal((2, *signal.shape), dtype=np.float32)
    return 1000 * np.hypot(signal + level * noise[0], level * noise[1])
