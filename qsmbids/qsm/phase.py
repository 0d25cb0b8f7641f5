"""Phase: radians, wraps and units.

One convention holds everywhere: phase = phase_offset + 2*pi*f*TE, where the field shift f
in Hz is positive for paramagnetic sources. A field in ppm is the field in Hz divided by the
imaging frequency in MHz.
"""

from __future__ import annotations

import numpy as np

GAMMA_MHZ_PER_T = 42.577478  # gyromagnetic ratio of the proton / 2 pi, MHz/T (CODATA)
TWO_PI = 2 * np.pi


def wrap(phase: np.ndarray) -> np.ndarray:
    """Wrap phase into [-pi, pi].

    Parameters
    ----------
    phase : (...) float, rad
        Any phase. Values within the range come back unchanged, to the last bit.

    Returns
    -------
    (...) float32, rad
        phase - 2*pi*round(phase / 2*pi).

    Examples
    --------
    >>> wrap(np.array([0.5, 2 * np.pi + 0.5, -4.0])).astype(float).round(3).tolist()
    [0.5, 0.5, 2.283]
    """
    phase = np.asarray(phase, dtype=np.float32)
    turns = np.rint(phase / np.float32(TWO_PI))
    return phase - np.float32(TWO_PI) * turns


def scale_phase(values: np.ndarray, slope: float, intercept: float, sign: int = 1) -> np.ndarray:
    """Convert stored phase values to radians with one linear map.

    The same slope and intercept must be used for all echoes: a map made from the minimum
    and maximum of each echo would give every echo its own unit of phase.

    Parameters
    ----------
    values : (...) float
        Stored values, after the NIfTI scl_slope and scl_inter.
    slope : float, rad per stored unit
        For example pi/4096 for values of -4096...4094.
    intercept : float, rad
        Added after the slope.
    sign : {1, -1}
        -1 for files in which paramagnetic sources have negative phase.

    Returns
    -------
    (...) float32, rad
        wrap(sign * (slope * values + intercept)); 0 where values are not finite.

    Raises
    ------
    ValueError
        If the slope is zero or not finite, or the sign is neither 1 nor -1.

    Examples
    --------
    >>> stored = np.array([-4096, 0, 2048])
    >>> scale_phase(stored, np.pi / 4096, 0.0).astype(float).round(4).tolist()
    [-3.1416, 0.0, 1.5708]
    """
    if not (np.isfinite(slope) and slope != 0 and np.isfinite(intercept)):
        raise ValueError(
            f'The phase scaling {slope} * value + {intercept} is no usable linear map.\n'
            'Without it the phase has no unit.\n'
            'Give a finite slope other than zero and a finite intercept.'
        )
    if sign not in (1, -1):
        raise ValueError(
            f'The phase sign must be 1 or -1, got {sign}.\n'
            'It decides whether iron comes out positive.\n'
            'Give 1 if paramagnetic sources have positive phase in the file, else -1.'
        )
    values = np.asarray(values, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        values = np.where(finite, values, 0)
    phase = wrap(np.float32(sign * slope) * values + np.float32(sign * intercept))
    if not finite.all():
        phase[~finite] = 0
    return phase


def complex_to_polar(real: np.ndarray, imag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitude and phase of an image stored as real and imaginary part.

    Parameters
    ----------
    real, imag : (...) float
        Both in the same unit. Values that are not finite count as 0.

    Returns
    -------
    magnitude : (...) float32, unit of the input
    phase : (...) float32, rad
        In [-pi, pi].

    Raises
    ------
    ValueError
        If the parts differ in shape.
    """
    real = np.asarray(real, dtype=np.float32)
    imag = np.asarray(imag, dtype=np.float32)
    if real.shape != imag.shape:
        raise ValueError(
            f'Real part {real.shape} and imaginary part {imag.shape} differ in shape.\n'
            'Together they are one complex image.\n'
            'Check that both files belong to the same echo of the same scan.'
        )
    finite = np.isfinite(real) & np.isfinite(imag)
    if not finite.all():
        real, imag = np.where(finite, real, 0), np.where(finite, imag, 0)
    return np.hypot(real, imag), np.arctan2(imag, real)


def hz_to_ppm(hz: np.ndarray, imaging_frequency_mhz: float) -> np.ndarray:
    """Convert a field shift from Hz to ppm of the main field.

    Parameters
    ----------
    hz : (...) float, Hz
    imaging_frequency_mhz : float, MHz
        Resonance frequency, which is also the number of Hz in one ppm; 127.73 at 3.0 T but
        123.05 on scanners of 2.89 T. Equals GAMMA_MHZ_PER_T times the field strength in T.

    Returns
    -------
    (...) float32, ppm
    """
    return np.asarray(hz, dtype=np.float32) / _frequency(imaging_frequency_mhz)


def ppm_to_hz(ppm: np.ndarray, imaging_frequency_mhz: float) -> np.ndarray:
    """Convert a field shift from ppm of the main field to Hz; see :func:`hz_to_ppm`."""
    return np.asarray(ppm, dtype=np.float32) * _frequency(imaging_frequency_mhz)


def _frequency(imaging_frequency_mhz: float) -> np.float32:
    if not (np.isfinite(imaging_frequency_mhz) and imaging_frequency_mhz > 0):
        raise ValueError(
            f'The imaging frequency must be positive, got {imaging_frequency_mhz} MHz.\n'
            'It converts between Hz and ppm.\n'
            'Give ImagingFrequency in MHz, or 42.577478 times the field strength in tesla.'
        )
    return np.float32(imaging_frequency_mhz)
