"""The brain mask of the atlas in the space of the scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
from nipype.interfaces.base import File, traits

from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec, grid_of, load, save
from qsmbids.qsm.bet import extract_brain


class _AtlasMaskInputSpec(StepInputSpec):
    rss = File(exists=True, mandatory=True, desc='root sum of squares magnitude, with skull')
    template = traits.Dict(mandatory=True, desc='files of the cohort')
    seed = traits.Int(mandatory=True)


class _AtlasMaskOutputSpec(StepOutputSpec):
    atlas_mask = File(desc='1 in the brain')


class AtlasMask(Step):
    """Bring the brain of the atlas to a scan."""

    title = 'brain mask of the atlas'
    input_spec = _AtlasMaskInputSpec
    output_spec = _AtlasMaskOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Find roughly where the brain is, and register the template to it."""
        from qsmbids.atlas.brain_mask import propagate_brain_mask

        i = self.inputs
        rough = extract_brain(load(i.rss), grid_of(i.rss, [0.0, 0.0, 1.0]))
        propagated = propagate_brain_mask(
            magnitude=Path(i.rss),
            rough_mask=Path(save(rough, nib.load(i.rss).affine, folder / 'rough_mask.nii')),
            template=AtlasFiles(**{key: Path(path) for key, path in i.template.items()}),
            out=folder / 'atlas_mask.nii', seed=i.seed, threads=1,
        )  # fmt: skip
        return {
            'atlas_mask': str(propagated.mask),
            'record': {'atlas_mask': dict(propagated.quality)},
        }
