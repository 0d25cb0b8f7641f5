"""The scan that all benchmarks share: one simulated head with its truth, and the scores.

Acquisition: 3 T, echoes at 4, 12, 20 and 28 ms, SNR 100 in the first echo, slab 8 degrees
oblique, 192 x 224 x 192 mm, with a calcification and a microbleed. The phantom's forward model
works on a grid twice as fine and shares no code with the inversions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids import qsm
from qsmbids.atlas.geometry import label_table
from qsmbids.phantom import Head, PhantomParameters, simulate_head
from qsmbids.phantom.anatomy import draw_anatomy
from qsmbids.phantom.lesions import CALCIFICATION, MICROBLEED
from qsmbids.phantom.signal import spin_signal
from qsmbids.phantom.simulate import fields_of

ECHO_TIMES_S = (0.004, 0.012, 0.020, 0.028)
SNR = 100.0
AGE_YEARS = 35.0
CORE_DEPTH_MM = 5.0
STEP_S = 0.001  # in which the phase of the signal is followed; half a turn is 500 Hz
LARGEST_NOISE_PPM = 0.5  # where there is hardly any signal the linear noise model ends


@dataclass(frozen=True, eq=False)
class Scan:
    """A simulated scan and its truth; all arrays on one grid."""

    grid: qsm.Grid
    echo_times_s: tuple[float, ...]
    hz_per_ppm: float
    phase: np.ndarray  # (n_echo, nx, ny, nz), wrapped, rad
    magnitude: np.ndarray  # (n_echo, nx, ny, nz)
    mask: np.ndarray  # true brain
    labels: np.ndarray
    lesions: np.ndarray
    chi: np.ndarray  # ppm
    r2star: np.ndarray  # 1/s
    total_ppm: np.ndarray
    local_ppm: np.ndarray
    noise_ppm: np.ndarray  # SD of the best field map from these echoes
    last_phase: np.ndarray  # rad, of the noise-free signal at the last echo; empty: not made

    @property
    def core(self) -> np.ndarray:
        """Brain deeper than 5 mm."""
        padded = np.pad(self.mask, 1)
        depth = ndimage.distance_transform_edt(padded, sampling=self.grid.voxel_size)
        return depth[1:-1, 1:-1, 1:-1] > CORE_DEPTH_MM

    @property
    def rss(self) -> np.ndarray:
        """Root sum of squares of the magnitude."""
        return np.sqrt((self.magnitude**2).sum(axis=0))

    @property
    def noisy_local_ppm(self) -> np.ndarray:
        """True local field with the noise that these echoes leave in it."""
        noise = np.random.default_rng(0).standard_normal(self.grid.shape, dtype=np.float32)
        return np.where(self.mask, self.local_ppm + noise * self.noise_ppm, 0)

    @property
    def weight(self) -> np.ndarray:
        """Inverse noise of the field, 1/ppm."""
        return np.where(self.mask, 1 / self.noise_ppm, 0).astype(np.float32)


def simulate(voxel_size_mm: float, path: Path, *, follow_phase: bool = False) -> None:
    """Simulate the scan and keep it as one .npz file.

    Parameters
    ----------
    follow_phase : bool
        Also find the unwrapped phase of the last echo, which takes longer than the rest.
    """
    parameters = PhantomParameters(
        voxel_size_mm=voxel_size_mm, echo_times_s=ECHO_TIMES_S, repetition_time_s=0.040,
        snr=SNR, lesions=True,
    )  # fmt: skip
    head = simulate_head(AGE_YEARS, parameters=parameters)
    hz = parameters.imaging_frequency_mhz
    precision = np.zeros(head.grid.shape, np.float32)
    for magnitude, time in zip(head.magnitude, ECHO_TIMES_S, strict=True):
        precision += (2 * np.pi * time * magnitude) ** 2
    noise = head.noise_sd / np.sqrt(np.maximum(precision, np.finfo(np.float32).tiny)) / hz
    np.savez(
        path, voxel_size=head.grid.voxel_size, b0_direction=head.grid.b0_direction,
        hz_per_ppm=hz, phase=head.phase, magnitude=head.magnitude, mask=head.brain_mask,
        labels=head.labels, lesions=head.lesions, chi=head.chi, r2star=head.r2star,
        total_ppm=head.total_field_hz / hz, local_ppm=head.local_field_hz / hz,
        noise_ppm=np.minimum(noise, LARGEST_NOISE_PPM),
        last_phase=_followed_phase(head, parameters) if follow_phase else np.empty(0),
    )  # fmt: skip


def _followed_phase(head: Head, parameters: PhantomParameters) -> np.ndarray:
    """Return the unwrapped phase (rad) of the noise-free signal at the last echo.

    A voxel's signal is the sum of its parts, and where these come apart its phase is not that
    of the mean field. What a whole number of turns is measured against is therefore the phase
    of the signal itself, followed through echo time in small steps.
    """
    anatomy = draw_anatomy(AGE_YEARS, parameters, np.random.default_rng([head.seed, 0]))
    field, _ = fields_of(anatomy, head.brain_mask, parameters)
    phase = np.zeros(head.grid.shape, np.float32)
    last = np.ones(head.grid.shape, np.complex64)
    for time in np.arange(STEP_S, parameters.echo_times_s[-1] + STEP_S / 2, STEP_S):
        signal = spin_signal(anatomy, field, replace(parameters, echo_times_s=(float(time),)))[0]
        phase += np.angle(signal * last.conj())
        last = signal
    return phase


def load(path: Path) -> Scan:
    """Read what :func:`simulate` wrote."""
    with np.load(path) as found:
        arrays = {name: found[name] for name in found.files}
    voxel, direction = arrays.pop('voxel_size'), arrays.pop('b0_direction')
    grid = qsm.Grid(arrays['mask'].shape, tuple(voxel), tuple(direction))
    frequency = float(arrays.pop('hz_per_ppm'))
    arrays = {k: v.astype(np.float32) if v.dtype == float else v for k, v in arrays.items()}
    return Scan(grid=grid, echo_times_s=ECHO_TIMES_S, hz_per_ppm=frequency, **arrays)


def deep_grey(scan: Scan) -> dict[str, np.ndarray]:
    """Return the true mask of each deep grey nucleus."""
    return {
        label.name: scan.labels == label.index
        for label in label_table()
        if label.group == 'deep grey'
    }


def agreement(
    found: np.ndarray, truth: np.ndarray, kept: np.ndarray, scan: Scan
) -> dict[str, float]:
    """Score a map against the truth in its own mask and in the 5 mm core of the brain.

    Returns
    -------
    dict
        ``kept`` and ``core_kept``: share of the brain and of its core that has a value (%);
        ``nrmse``, ``xsim``, ``core_nrmse``, ``core_xsim``. Voxels that a method lost are not
        scored, which is why their share stands beside it.
    """
    inside, core = kept & scan.mask, kept & scan.core
    result = {
        'kept': 100 * inside.sum() / scan.mask.sum(),
        'core_kept': 100 * core.sum() / scan.core.sum(),
    }
    for prefix, where in (('', inside), ('core_', core)):
        r = np.where(where, found - found[where].mean(), 0).astype(np.float32)
        t = np.where(where, truth - truth[where].mean(), 0).astype(np.float32)
        result[f'{prefix}nrmse'] = qsm.nrmse(r, t, where)
        result[f'{prefix}xsim'] = qsm.xsim(r, t, where)
    return result


def susceptibility_scores(chi: np.ndarray, kept: np.ndarray, scan: Scan) -> dict[str, float]:
    """Add what only susceptibility has: deep grey matter and the two lesions.

    Returns
    -------
    dict
        :func:`agreement` and ``dgm_slope`` (regression of the nuclei's means on the true
        ones), ``dgm_error_ppb`` (their mean absolute error, both maps with mean 0 in the
        mask), ``dgm_nrmse`` (%, voxels of all nuclei), ``dgm_nrmse_detrended`` (%, after the
        best line), ``calcification`` and ``microbleed`` (ppm, relative to the mask's mean).
    """
    result = agreement(chi, scan.chi, kept, scan)
    inside = kept & scan.mask
    found, truth = chi - chi[inside].mean(), scan.chi - scan.chi[inside].mean()
    regions = [region & inside for region in deep_grey(scan).values()]
    regions = [region for region in regions if region.any()]
    means = np.array([[truth[r].mean(), found[r].mean()] for r in regions])
    nuclei = np.any(regions, axis=0)
    result['dgm_slope'] = float(np.polyfit(means[:, 0], means[:, 1], 1)[0])
    result['dgm_error_ppb'] = 1000 * float(np.abs(means[:, 1] - means[:, 0]).mean())
    result['dgm_nrmse'] = qsm.nrmse(found, truth, nuclei)
    result['dgm_nrmse_detrended'] = qsm.nrmse_detrended(found, truth, nuclei)
    for lesion in (CALCIFICATION, MICROBLEED):
        where = (scan.lesions == lesion.code) & inside
        result[lesion.name] = float(found[where].mean()) if where.any() else float('nan')
    return result
