"""Quality numbers that need several maps of an acquisition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, isdefined, traits

from qsmbids import qsm
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    grid_of,
    load,
    load_mask,
)

HIGH_R2STAR_PERCENTILE = 99.0  # globus pallidus, substantia nigra, veins


class _QualityInputSpec(StepInputSpec):
    unwrapped_last = File(exists=True, mandatory=True, desc='rad')
    local_field = File(exists=True, mandatory=True, desc='Hz')
    field_noise = File(exists=True, mandatory=True, desc='Hz')
    brain_mask = File(exists=True, mandatory=True)
    qsm_mask = File(exists=True, mandatory=True)
    local_mask = File(exists=True, mandatory=True, desc='where the local field is known')
    chi = File(exists=True, mandatory=True, desc='ppm, any reference')
    r2star = File(exists=True, desc='1/s')
    b0_direction = traits.List(traits.Float, mandatory=True)


class Quality(Step):
    """Compute the quality numbers of a reconstruction."""

    title = 'quality numbers'
    input_spec = _QualityInputSpec
    output_spec = StepOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the functions of the engine; what cannot be computed is left out."""
        i = self.inputs
        grid = grid_of(i.qsm_mask, i.b0_direction)
        brain, mask = load_mask(i.brain_mask), load_mask(i.qsm_mask)
        chi, field = load(i.chi), load(i.local_field)
        local = load_mask(i.local_mask)
        numbers = {
            'residual_wrap_fraction': qsm.residual_wrap_fraction(load(i.unwrapped_last), brain),
            'chi_sd_ppb': 1000 * float(chi[mask].std(dtype=float)),
            'streak_score': qsm.streak_score(chi, mask, grid),
            'rim_sd_ratio': qsm.rim_sd_ratio(field, local, grid),
            'field_snr': qsm.field_snr(field, load(i.field_noise), local),
        }
        if isdefined(i.r2star):
            r2star = load(i.r2star)
            high = mask & (r2star > np.percentile(r2star[mask], HIGH_R2STAR_PERCENTILE))
            shift = float(np.median(chi[mask]))
            numbers['sign_check_ppb'] = 1000 * (float(np.median(chi[high])) - shift)
        return {'record': {k: float(v) for k, v in numbers.items()}}
