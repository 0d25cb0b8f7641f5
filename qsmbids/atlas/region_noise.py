r"""How far the noise of the field carries the mean susceptibility of a region.

Noise of a susceptibility map is not independent between voxels: the inversion divides by the
dipole kernel D, which is near zero on a cone of k-space, and so spreads the noise of each
voxel into streaks. SD / sqrt(n) counts these as independent, and counts anatomy as noise.

To first order an inversion is a filter G on the field. The mean over a region with weights w
(1 / n inside, 0 outside) is then a sum over the field, in which every voxel x has the weight

    u = G * w,        Var(mean) = sum_x sigma(x)^2 u(x)^2,

with sigma the noise of the field, which may differ from voxel to voxel. (For the same noise
everywhere Parseval turns this into sigma^2 sum_k |W(k)|^2 G(k)^2 / N.) The filter is that of an
inversion with a gradient penalty,

    G(k) = D / (D^2 + a |E|^2),       a = 6 mm^2/ppm * median(sigma),

with |E|^2 the spectrum of minus the Laplacian. Total variation, which the default inversion
minimises, is no filter, but acts on noise much like one; its weight follows the noise of the
field, hence so does a. The factor is the one with which predicted and observed SD agree when
the default inversion runs on many realisations of noise (``benchmarks/region_noise.py``).

G is largest at the lowest frequencies, so streaks cross the head, and its whole field counts,
not only that around the region; but little of a mean comes from fine detail. Voxels are
therefore joined up to 2.5 mm, and the transforms are those of the head at this resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.qsm.fft import PaddedFFT
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel, laplacian_spectrum

PENALTY_MM2_PER_PPM = 6.0  # of the squared gradient, per ppm of noise; measured, see above
JOIN_UP_TO_MM = 2.5  # costs the smallest nuclei up to 7 % of their SD

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class FieldNoise:
    """The noise of the field that a susceptibility map was made from.

    Parameters
    ----------
    sd_ppm : (nx, ny, nz) float, ppm
        Standard deviation in each voxel; zero where it is not known, which counts as field
        that was not used.
    grid : Grid
        Voxel size and direction of B0.

    Attributes
    ----------
    penalty_mm2 : float
        a of the filter; NaN if no noise is known at all.
    """

    sd_ppm: np.ndarray
    grid: Grid
    penalty_mm2: float = field(init=False)
    _head: Slices = field(init=False, repr=False)
    _steps: tuple[int, ...] = field(init=False, repr=False)
    _variance: np.ndarray = field(init=False, repr=False)
    _fft: PaddedFFT = field(init=False, repr=False)
    _gain: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = self.sd_ppm > 0
        boxes = ndimage.find_objects(known.view(np.uint8))
        if not boxes:
            object.__setattr__(self, 'penalty_mm2', float('nan'))
            return
        (head,) = boxes
        penalty = PENALTY_MM2_PER_PPM * float(np.median(self.sd_ppm[known]))
        steps = tuple(max(1, int(JOIN_UP_TO_MM / h + 1e-6)) for h in self.grid.voxel_size)
        variance = _join(self.sd_ppm[head], steps)
        size = tuple(h * step for h, step in zip(self.grid.voxel_size, steps, strict=True))
        fft = PaddedFFT(variance.shape, size)
        gain = gain_of_inversion(fft.padded_shape, size, self.grid.b0_direction, penalty)
        for name, value in (('penalty_mm2', penalty), ('_head', head), ('_steps', steps),
                            ('_variance', variance), ('_fft', fft), ('_gain', gain)):  # fmt: skip
            object.__setattr__(self, name, value)

    @classmethod
    def from_hz(cls, sd_hz: np.ndarray, hz_per_ppm: float, grid: Grid) -> FieldNoise:
        """Make it from a noise map in Hz, in which zero and not finite mean: not known.

        Raises
        ------
        AtlasError
            If ``hz_per_ppm`` is not positive.
        """
        if not hz_per_ppm > 0:
            raise AtlasError(
                f'the imaging frequency must be positive, got {hz_per_ppm} MHz.',
                'A field in Hz cannot be turned into ppm without it.',
                'Give the ImagingFrequency of the scan.',
            )
        known = np.isfinite(sd_hz) & (sd_hz > 0)
        return cls(np.where(known, sd_hz, 0).astype(np.float32) / np.float32(hz_per_ppm), grid)

    def sd_of_mean(self, inside: np.ndarray, box: Slices) -> float:
        """Return the standard deviation that field noise gives to the mean over a region.

        Parameters
        ----------
        inside : (bx, by, bz) bool
            Voxels that are averaged, in a box of the image.
        box : 3 slices
            Where the box lies.

        Returns
        -------
        float, ppm
            NaN without voxels, or where no noise is known in the region.

        Notes
        -----
        Two transforms of the joined head, padded as an inversion pads it: 20 ms at 2 mm.
        """
        if not np.isfinite(self.penalty_mm2) or not np.any(self.sd_ppm[box][inside] > 0):
            return float('nan')
        block = np.zeros(inside.sum(), np.intp)
        kept = np.ones(block.size, bool)
        for at, part, head, step, n in zip(
            np.nonzero(inside), box, self._head, self._steps, self._variance.shape, strict=True
        ):
            coarse = (at + part.start - head.start) // step
            kept &= (coarse >= 0) & (coarse < n)
            block = block * n + coarse
        n_blocks = self._variance.size
        counts = np.bincount(block[kept], minlength=n_blocks).reshape(self._variance.shape)
        weights = (counts / kept.sum()).astype(np.float32)
        listens = self._fft.inverse(self._fft.forward(weights) * self._gain)
        return float(np.sqrt(np.sum(self._variance * listens**2, dtype=np.float64)))


def gain_of_inversion(
    shape: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
    b0_direction: tuple[float, float, float],
    penalty_mm2: float,
) -> np.ndarray:
    """Return G = D / (D^2 + a |E|^2) on the half-grid of a transform, 0 at k = 0.

    Parameters
    ----------
    shape : (3,) int
    voxel_size : (3,) float, mm
    b0_direction : (3,) float
        Unit vector in voxel axes.
    penalty_mm2 : float
        a.

    Returns
    -------
    (nx, ny, nz // 2 + 1) float32
    """
    kernel = dipole_kernel(shape, voxel_size, b0_direction)
    power = laplacian_spectrum(shape, voxel_size)
    power *= np.float32(-penalty_mm2)
    power += kernel**2
    return np.divide(kernel, power, out=np.zeros_like(kernel), where=power > 0)


def _join(sd: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """Return the variance of the mean field of each block of voxels (of its own at the end)."""
    padding = [(0, -n % step) for n, step in zip(sd.shape, steps, strict=True)]
    variance = np.pad(sd**2, padding)
    blocks = [m for n, step in zip(variance.shape, steps, strict=True) for m in (n // step, step)]
    return variance.reshape(blocks).mean(axis=(1, 3, 5)) / np.float32(np.prod(steps))
