"""Reads the input images of a call of ``qsmbids-step`` in the form the engine works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from qsmbids import qsm
from qsmbids.cli.step_messages import note, unusable
from qsmbids.cli.step_physics import Physics
from qsmbids.cli.step_scan import ECHO_INPUTS, Scan
from qsmbids.cli.step_verbs import Verb

LONGEST_T2_S = 5.0  # free water has 2 to 3 s


@dataclass(frozen=True)
class Reader:
    """Images and facts of one call.

    Parameters
    ----------
    verb : Verb
    scan : Scan
        The files.
    physics : Physics
        What was decided about them.
    """

    verb: Verb
    scan: Scan
    physics: Physics

    def volume(self, option: str) -> np.ndarray:
        """Return the only volume of an option, (nx, ny, nz) float32."""
        volumes = self.volumes(option)
        if len(volumes) != 1:
            raise unusable(
                f'--{option} holds {len(volumes)} volumes: {self.scan.files[option][0]}.',
                'One three-dimensional image is needed here.',
                'Save the volume that is meant as a file of its own.',
            )
        return volumes[0]

    def volumes(self, option: str) -> np.ndarray:
        """Return all volumes of all files of an option, (n, nx, ny, nz) float32."""
        return np.concatenate([_read(path) for path in self.scan.files[option]])

    def mask(self, option: str = 'mask') -> np.ndarray:
        """Return a (nx, ny, nz) bool mask: voxels above 0."""
        return self.volume(option) > 0

    def echoes(self, option: str) -> np.ndarray:
        """Return (n_echo, nx, ny, nz) float32, or for coils (n_coil, n_echo, nx, ny, nz)."""
        paths = self.scan.files[option]
        if self.verb.stage == 'coils':
            return np.stack([_read(path) for path in paths], axis=1)
        if len(paths) > 1 and max(self.scan.images[path].n_volumes for path in paths) > 1:
            raise unusable(
                f'--{option} names {len(paths)} files, and some hold several volumes.',
                'It cannot be told whether these are echoes, coils or repetitions.',
                'Give one three-dimensional file per echo, or one file with all echoes; '
                'uncombined coils go through qsmbids-step coils first.',
            )
        return self.volumes(option)

    def phase(self) -> np.ndarray:
        """Return the wrapped phase in radians, paramagnetic sources positive."""
        scaling = self.physics.scaling
        stored = self.echoes('phase')
        return qsm.scale_phase(stored, scaling.slope, scaling.intercept, scaling.sign)

    def magnitude_rss(self) -> np.ndarray:
        """Return the root sum of squares of the echoes, (nx, ny, nz)."""
        echoes = np.nan_to_num(self.echoes('magnitude'), nan=0.0, posinf=0.0, neginf=0.0)
        return np.sqrt(np.einsum('e...,e...->...', echoes, echoes))

    def echo_times_s(self) -> list[float]:
        """Return the echo times of the images."""
        option = next(o for o in ECHO_INPUTS if o in self.scan.files)
        return self.scan.need_echo_times(self.scan.n_echoes(option))

    def quality(self) -> np.ndarray:
        """Return the map of phase quality: as given, or made from phase and magnitude."""
        if 'quality' in self.scan.files:
            return self.volume('quality')
        everywhere = np.ones(self.scan.first.grid_shape, bool)
        return qsm.phase_quality(
            self.phase(), self.echoes('magnitude'), self.echo_times_s(), everywhere
        )

    def region_mask(self) -> np.ndarray:
        """Return the reference region; without one the whole mask."""
        return self.mask('region' if 'region' in self.scan.files else 'mask')

    def r2prime(self) -> np.ndarray:
        """Return R2' in 1/s: as given, or R2* less R2 or 1/T2; zero where T2 is not known."""
        files = self.scan.files
        if 'r2prime' in files:
            return self.volume('r2prime')
        r2star = self.volume('r2star')
        if 'r2' in files:
            return r2star - self.volume('r2')
        t2 = self.volume('t2')
        known = np.isfinite(t2) & (t2 > 0)
        if known.any() and np.median(t2[known]) > LONGEST_T2_S:
            raise unusable(
                f'The median of --t2 is {np.median(t2[known]):g} s.',
                'That is no T2 in seconds, so every rate would be wrong.',
                'Convert it from milliseconds.',
            )
        return np.subtract(r2star, 1 / np.where(known, t2, 1), where=known, out=0 * r2star)

    def grid(self) -> qsm.Grid:
        """Return the grid of all images."""
        return self.physics.grid(needs_b0=self.verb.uses_b0)

    # ------------------------------------------------------------------------------- field
    def field(self) -> np.ndarray:
        """Return the field in its own unit, which must be a known one."""
        self.physics.field_unit()
        return self.volume('field')

    def in_unit(self, option: str, wanted: str) -> np.ndarray:
        """Return field or noise, (nx, ny, nz), in ``'Hz'`` or ``'ppm'``."""
        return self._convert(self.volume(option), option, wanted)

    def fields_ppm(self) -> np.ndarray:
        """Return the fields of several orientations, (n, nx, ny, nz)."""
        return self._convert(self.volumes('field'), 'field', 'ppm')

    def _convert(self, values: np.ndarray, option: str, wanted: str) -> np.ndarray:
        if self.physics.field_unit(option) == wanted:
            return values
        convert = qsm.hz_to_ppm if wanted == 'ppm' else qsm.ppm_to_hz
        return convert(values, self.physics.need_frequency())

    def hz_per_ppm(self) -> float | None:
        """Return the imaging frequency in MHz, None if nothing tells it."""
        frequency = self.physics.frequency
        return None if frequency is None else float(frequency.value)

    def weight(self) -> np.ndarray:
        """Return the inverse of the noise, zero outside the mask."""
        return _inverse(self.volume('noise'), self.mask())

    def masks(self) -> np.ndarray:
        """Return the masks of several orientations, (n, nx, ny, nz); one serves for all."""
        masks, n = self.volumes('mask') > 0, self.scan.n_echoes('field')
        masks = np.repeat(masks, n, axis=0) if len(masks) == 1 else masks
        if len(masks) != n:
            raise unusable(
                f'There are {n} fields but {len(masks)} masks.',
                'Each field is known only inside its own mask.',
                'Give one --mask for each --field in the same order, or one for all.',
            )
        return masks

    def weights(self) -> np.ndarray:
        """Return the inverse noise of several orientations, (n, nx, ny, nz)."""
        noises, masks = self.volumes('noise'), self.masks()
        if len(noises) != len(masks):
            raise unusable(
                f'There are {len(masks)} fields but {len(noises)} noise maps.',
                'Each field is weighted with its own noise.',
                'Give one --noise for each --field in the same order.',
            )
        pairs = zip(noises, masks, strict=True)
        return np.stack([_inverse(noise, mask) for noise, mask in pairs])


def _read(path: Path) -> np.ndarray:
    """Return an image as (n_volume, nx, ny, nz) float32 in C order."""
    data = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    data = data.reshape(*data.shape[:3], -1)
    return np.ascontiguousarray(np.moveaxis(data, -1, 0))


def _inverse(noise: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return 1/noise; zero, which means unknown, where there is no noise value."""
    known = mask & np.isfinite(noise) & (noise > 0)
    missing = int(mask.sum() - known.sum())
    if missing:
        note(
            f'Note: --noise has no positive number in {missing} voxels of the mask.\n'
            'Nothing is known there, so they get the weight 0.'
        )
    return np.divide(1, noise, out=np.zeros_like(noise), where=known)
