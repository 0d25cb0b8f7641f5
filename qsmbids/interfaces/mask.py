"""The brain mask: an expression over masks that are made here or were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, isdefined, traits

from qsmbids import methods, qsm
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    grid_of,
    load,
    load_echoes,
    load_mask,
    save,
)
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.mask_grammar import parse_mask

MIN_VOXELS = 1000  # fewer cannot be a brain at any resolution in use


class _BrainMaskInputSpec(StepInputSpec):
    rss = File(exists=True, mandatory=True, desc='root sum of squares magnitude')
    expression = traits.Str(mandatory=True, desc='see qsmbids.qsm.mask_grammar')
    parameters = traits.Dict(desc='parameters of each method: {name: {parameter: value}}')
    given_mask = File(desc='the mask "user"')
    atlas_mask = File(exists=True, desc='the mask "atlas"')
    magnitude = File(exists=True, desc='(x, y, z, echo), for the mask "quality"')
    phase = File(exists=True, desc='(x, y, z, echo), rad, for the mask "quality"')
    echo_times_s = traits.List(traits.Float, desc='s')


class _BrainMaskOutputSpec(StepOutputSpec):
    brain_mask = File(desc='1 in the brain')


class BrainMask(Step):
    """Find the brain."""

    title = 'brain mask'
    input_spec = _BrainMaskInputSpec
    output_spec = _BrainMaskOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Make the masks that the expression names, and combine them."""
        i = self.inputs
        grid = grid_of(i.rss, [0.0, 0.0, 1.0])
        expression = parse_mask(i.expression)
        masks = {name: self._mask(name, grid) for name in expression.names()}
        mask = expression.evaluate(masks, grid)
        n = int(mask.sum())
        if n < MIN_VOXELS:
            sizes = ', '.join(f'{name} {int(m.sum())}' for name, m in masks.items())
            raise ValueError(
                f'The brain mask "{i.expression}" holds only {n} voxels ({sizes}).\n'
                'No brain could be told apart, so nothing can be reconstructed.\n'
                'Look at the magnitude; try another --mask, or give one of your own with '
                '--derivatives masks=FOLDER.'
            )
        return {
            'brain_mask': save(mask, nib.load(i.rss).affine, folder / 'brain_mask.nii'),
            'record': {'brain_volume_ml': n * grid.voxel_volume / 1000},
        }

    def _mask(self, name: str, grid: Grid) -> np.ndarray:
        """Return one leaf of the expression."""
        i = self.inputs
        if name == 'user':
            if not isdefined(i.given_mask):
                raise ValueError(
                    f'The expression "{i.expression}" asks for a mask of yours, and there is none '
                    'for this scan.\nThe brain cannot be marked without it.\n'
                    'Give its folder with --derivatives masks=FOLDER, or leave "user" out.'
                )
            return load_mask(i.given_mask)
        if name == 'atlas':
            return load_mask(i.atlas_mask)
        method = methods.get('mask', name)
        if 'quality' in method.takes:
            if not isdefined(i.phase):
                raise ValueError(
                    f'The mask {name!r} is made from the phase, and this scan has none.\n'
                    'The brain cannot be marked with it.\n'
                    'Use --mask bet for such scans.'
                )
            everywhere = np.ones(grid.shape, bool)
            image = qsm.phase_quality(
                load_echoes(i.phase), load_echoes(i.magnitude), tuple(i.echo_times_s), everywhere
            )
        else:
            image = load(i.rss)
        parameters = method.make_parameters(i.parameters.get(name))
        return method.load()(image, grid, parameters=parameters)
