"""Simulate one subject: anatomy, field, signal and the truth to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbids.atlas.geometry import Label
from qsmbids.phantom.anatomy import Anatomy, draw_anatomy
from qsmbids.phantom.deformation import Deformation, measure_deformation
from qsmbids.phantom.forward import dipole_field, remove_shim, shim_field
from qsmbids.phantom.label_anatomy import LabelAnatomy
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.signal import block_mean, receive, spin_signal
from qsmbids.phantom.tissues import CHI_AIR
from qsmbids.phantom.truth import RegionTruth, data_labels, region_truth
from qsmbids.qsm.grid import Grid

NECK_MM = 60.0  # the neck goes on below the field of view


@dataclass(frozen=True, eq=False)
class Head:
    """A simulated scan and everything that is true about it, on the data grid.

    Susceptibilities are relative to cerebrospinal fluid; to compare with a reconstruction
    that is referenced to the whole brain, subtract ``whole_brain_chi_ppm`` first.
    """

    age: float
    seed: int
    parameters: PhantomParameters
    grid: Grid
    affine: np.ndarray  # (4, 4), voxel indices to scanner mm
    magnitude: np.ndarray  # (n_echo, nx, ny, nz) float32, arbitrary units
    phase: np.ndarray  # (n_echo, nx, ny, nz) float32, rad, wrapped to (-pi, pi]
    noise_sd: float  # of real and imaginary part, in units of magnitude
    phase_offset: np.ndarray  # (nx, ny, nz) float32, rad
    brain_mask: np.ndarray  # (nx, ny, nz) bool, at least half brain
    labels: np.ndarray  # (nx, ny, nz) int16, label of most of the voxel
    lesions: np.ndarray  # (nx, ny, nz) int16, code of a lesion in most of the voxel, or 0
    chi: np.ndarray  # (nx, ny, nz) float32, ppm, mean over the voxel; air is 9.2
    r2star: np.ndarray  # (nx, ny, nz) float32, 1/s, mean over the voxel, without dephasing
    total_field_hz: np.ndarray  # (nx, ny, nz) float32, all sources after shimming
    local_field_hz: np.ndarray  # (nx, ny, nz) float32, sources inside the brain only
    regions: tuple[RegionTruth, ...]  # first the whole brain (index 0)
    label_table: tuple[Label, ...]  # what the labels mean
    deformation: Deformation  # how far the head is from the template

    @property
    def echo_times_s(self) -> tuple[float, ...]:
        """Echo times in seconds."""
        return self.parameters.echo_times_s

    @property
    def whole_brain_chi_ppm(self) -> float:
        """Mean true susceptibility of the brain mask."""
        return self.regions[0].chi_data_ppm


def simulate_head(
    age: float,
    *,
    seed: int | None = None,
    parameters: PhantomParameters | None = None,
    regions: LabelAnatomy | None = None,
) -> Head:
    """Simulate a multi-echo gradient-echo scan of a head.

    Parameters
    ----------
    age : float, years
        Sets head size and, by the prior of ``lifespan.prior``, susceptibility and R2*.
    seed : int, optional
        Another seed is another subject; by default that of the parameters. The anatomy of
        a seed is the same at every resolution.
    parameters : PhantomParameters, optional
    regions : LabelAnatomy, optional
        What the brain is made of; by default the regions of the built-in atlas.

    Returns
    -------
    Head

    Raises
    ------
    ValueError
        If the age is negative or not a number.

    Notes
    -----
    The field is computed on a grid finer than the data by ``parameters.oversampling``, with
    zero padding and with air (9.2 ppm above tissue) filling all space outside the head.
    The scanner's shim, solid harmonics to second order fitted over the brain, is part of the
    true total field. The local field is that of the susceptibility inside the brain alone.
    """
    parameters = parameters or PhantomParameters()
    seed = parameters.seed if seed is None else seed
    if not age >= 0:
        raise ValueError(
            f'age is {age}.\nThe age curves begin at birth.\nGive an age of 0 years or more.'
        )
    anatomy_rng = np.random.default_rng([seed, 0])
    scan_rng = np.random.default_rng([seed, 1, parameters.scan])
    anatomy = draw_anatomy(float(age), parameters, anatomy_rng, regions)
    factor = parameters.oversampling
    brain_mask = block_mean(anatomy.brain.astype(np.float32), factor) >= 0.5
    total_ppm, local_ppm = fields_of(anatomy, brain_mask, parameters)
    hz = np.float32(parameters.imaging_frequency_mhz)
    total_field_hz = hz * block_mean(total_ppm, factor)

    signal = spin_signal(anatomy, total_ppm, parameters)
    del total_ppm
    signal, phase_offset, noise_sd = receive(signal, brain_mask, parameters, scan_rng)

    chi = block_mean(anatomy.chi_ppm, factor)
    labels = data_labels(anatomy.labels, factor)
    return Head(
        age=float(age),
        seed=seed,
        parameters=parameters,
        grid=parameters.grid,
        affine=parameters.affine,
        magnitude=np.abs(signal),
        phase=np.angle(signal),
        noise_sd=noise_sd,
        phase_offset=phase_offset,
        brain_mask=brain_mask,
        labels=labels,
        lesions=data_labels(anatomy.lesions.astype(np.int16), factor),
        chi=chi,
        r2star=block_mean(anatomy.r2star.astype(np.float32), factor),
        total_field_hz=total_field_hz,
        local_field_hz=hz * local_ppm,
        regions=region_truth(anatomy, chi, labels, brain_mask, parameters),
        label_table=anatomy.regions.table,
        deformation=measure_deformation(anatomy.warp, parameters.axes_mm(), brain_mask),
    )


def fields_of(
    anatomy: Anatomy, brain_mask: np.ndarray, parameters: PhantomParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Return the total field on the fine grid and the local one on the data grid, in ppm."""
    factor = parameters.oversampling
    voxel, b0 = parameters.fine_voxel_size_mm, parameters.grid.b0_direction
    local = dipole_field(np.where(anatomy.brain, anatomy.chi_ppm, 0), voxel, b0)
    local = block_mean(local, factor)
    # relative to air, so that the zeros outside the array are air as well
    total = dipole_field(
        anatomy.chi_ppm - np.float32(CHI_AIR), voxel, b0, continue_below_mm=NECK_MM
    )
    _, shim = remove_shim(block_mean(total, factor), parameters.axes_mm(), brain_mask)
    total -= shim_field(shim, parameters.axes_mm(fine=True))
    return total, local
