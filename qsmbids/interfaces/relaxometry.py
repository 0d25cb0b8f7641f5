"""R2*, T2* and S0 from the magnitudes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, traits

from qsmbids import methods
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    load_echoes,
    load_mask,
    save,
)


class _RelaxometryInputSpec(StepInputSpec):
    magnitude = File(exists=True, mandatory=True, desc='(x, y, z, echo)')
    mask = File(exists=True, mandatory=True)
    echo_times_s = traits.List(traits.Float, mandatory=True, desc='s')
    method = traits.Str(mandatory=True)
    parameters = traits.Dict


class _RelaxometryOutputSpec(StepOutputSpec):
    r2star = File(desc='1/s')
    t2star = File(desc='s')
    s0 = File(desc='arbitrary')


class Relaxometry(Step):
    """Fit the decay of the magnitude."""

    title = 'R2* and T2*'
    input_spec = _RelaxometryInputSpec
    output_spec = _RelaxometryOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the chosen method; T2* is 0 where R2* is 0."""
        i = self.inputs
        affine, mask = nib.load(i.mask).affine, load_mask(i.mask)
        method = methods.get('relaxometry', i.method)
        r2star, s0 = method.load()(
            load_echoes(i.magnitude), tuple(i.echo_times_s), mask,
            parameters=method.make_parameters(i.parameters),
        )  # fmt: skip
        t2star = np.divide(1, r2star, out=np.zeros_like(r2star), where=r2star > 0)
        return {
            'r2star': save(r2star, affine, folder / 'r2star.nii'),
            't2star': save(t2star, affine, folder / 't2star.nii'),
            's0': save(s0, affine, folder / 's0.nii'),
            'record': {'r2star_median': float(np.median(r2star[mask]))},
        }
