"""Reading the echoes of an acquisition: magnitude, and phase in radians on one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, traits

from qsmbids import qsm
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec, save
from qsmbids.interfaces.coils import combine_stored_coils
from qsmbids.qsm.grid import Grid


class _LoadGreInputSpec(StepInputSpec):
    echoes = traits.List(
        traits.Dict, mandatory=True, desc='magnitude, phase, real, imag and volume of each echo'
    )
    affine = traits.List(traits.List(traits.Float), mandatory=True, desc='to scanner mm')
    scaling = traits.Dict(desc='slope, intercept, complex and sign of the phase; empty: none')
    n_coils = traits.Int(1, usedefault=True, desc='along the fourth axis of the files; 1: none')
    echo_times_s = traits.List(traits.Float, desc='s, to combine coils')
    sources = traits.List(
        File(), mandatory=True, desc='the same files: their times decide re-running'
    )


class _LoadGreOutputSpec(StepOutputSpec):
    magnitude = File(desc='(x, y, z, echo), arbitrary units')
    phase = File(desc='(x, y, z, echo), rad')
    phase_first = File(desc='wrapped phase of the first echo, rad')
    phase_last = File(desc='wrapped phase of the last echo, rad')
    rss = File(desc='root sum of squares of the magnitudes')


class LoadGre(Step):
    """Read all echoes of an acquisition and bring their phase to radians."""

    title = 'reading the echoes'
    input_spec = _LoadGreInputSpec
    output_spec = _LoadGreOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Read, scale and save; NaN becomes 0 in both."""
        echoes, scaling = self.inputs.echoes, self.inputs.scaling
        first = nib.load(next(f for f in (echoes[0]['magnitude'], echoes[0]['real']) if f))
        affine, shape = np.array(self.inputs.affine), first.shape[:3]
        files = _Files()
        images = (_magnitude_and_phase(echo, scaling, files) for echo in echoes)
        if self.inputs.n_coils > 1:
            magnitude, phase = combine_stored_coils(
                images, self.inputs.n_coils, self.inputs.echo_times_s,
                Grid.from_affine(shape, affine), folder,
            )  # fmt: skip
        else:
            magnitude = np.empty((*shape, len(echoes)), np.float32, order='F')
            phase = np.empty_like(magnitude) if scaling else None
            for e, (one_magnitude, one_phase) in enumerate(images):
                magnitude[..., e] = one_magnitude
                if phase is not None:
                    phase[..., e] = one_phase
        rss = np.sqrt(np.einsum('...e,...e->...', magnitude, magnitude))
        outputs = {
            'magnitude': save(magnitude, affine, folder / 'magnitude.nii'),
            'rss': save(rss, affine, folder / 'rss.nii'),
        }
        if phase is not None:
            outputs['phase'] = save(phase, affine, folder / 'phase.nii')
            outputs['phase_first'] = save(phase[..., 0], affine, folder / 'phase_first.nii')
            outputs['phase_last'] = save(phase[..., -1], affine, folder / 'phase_last.nii')
        return outputs


class _Files:
    """The files of a scan, each opened once.

    Echoes that lie one after the other in a compressed file are then unpacked in one pass, and
    not each from the beginning of the file.
    """

    def __init__(self) -> None:
        self._opened: dict[str, nib.arrayproxy.ArrayProxy] = {}

    def read(self, echo: dict[str, Any], kind: str) -> np.ndarray:
        """Return one echo's image as float32 with NaN and infinity set to 0."""
        path, volume = echo[kind], echo['volume']
        if volume is None:
            values = np.asarray(nib.load(path).dataobj, dtype=np.float32)
        else:
            if path not in self._opened:
                self._opened[path] = nib.load(path, keep_file_open=True).dataobj
            values = np.asarray(self._opened[path][..., volume], dtype=np.float32)
        if values.ndim == 4 and values.shape[3] == 1:
            values = values[..., 0]
        return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _magnitude_and_phase(
    echo: dict[str, Any], scaling: dict[str, Any], files: _Files
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return magnitude and phase (rad) of one echo; no phase without a scaling."""
    if echo['real']:
        magnitude, phase = qsm.complex_to_polar(files.read(echo, 'real'), files.read(echo, 'imag'))
        if echo['magnitude']:
            magnitude = files.read(echo, 'magnitude')
        return magnitude, phase * scaling['sign'] if scaling else None
    magnitude = files.read(echo, 'magnitude')
    if not scaling:
        return magnitude, None
    values = files.read(echo, 'phase')
    return magnitude, qsm.scale_phase(
        values, scaling['slope'], scaling['intercept'], scaling['sign']
    )
