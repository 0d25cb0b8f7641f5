"""Bringing the age-specific atlas to the scan, and maps to the atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, isdefined, traits

from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec


class _RegisterInputSpec(StepInputSpec):
    magnitude = File(exists=True, mandatory=True, desc='root sum of squares magnitude')
    chi = File(exists=True, mandatory=True, desc='ppm, any reference')
    brain_mask = File(exists=True, mandatory=True)
    qsm_mask = File(exists=True, mandatory=True, desc='where chi is valid')
    t1w = traits.Str('', usedefault=True, desc='T1w image of the session; empty: none')
    template = traits.Dict(mandatory=True, desc='files of the cohort')
    preset = traits.Str(mandatory=True)
    seed = traits.Int(mandatory=True)


class _RegisterOutputSpec(StepOutputSpec):
    xfm_forward = File(desc='resamples the scan onto the atlas')
    xfm_inverse = File(desc='resamples the atlas onto the scan')


class Register(Step):
    """Register a scan to the cohort of the atlas."""

    title = 'registration to the atlas'
    input_spec = _RegisterInputSpec
    output_spec = _RegisterOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Register; keep both transforms and the quality numbers."""
        from qsmbids.atlas.register import register_to_template

        i = self.inputs
        registration = register_to_template(
            magnitude=Path(i.magnitude), chi=Path(i.chi), mask=Path(i.brain_mask),
            chi_mask=Path(i.qsm_mask), t1w=Path(i.t1w) if i.t1w else None,
            template=template_files(i.template), out_dir=folder / 'ants',
            preset=i.preset, seed=i.seed, threads=1,
        )  # fmt: skip
        return {
            'xfm_forward': registration.forward[0],
            'xfm_inverse': registration.inverse[0],
            'record': {'registration': dict(registration.quality)},
        }


class _WarpAtlasInputSpec(StepInputSpec):
    xfm_inverse = File(exists=True, mandatory=True)
    reference = File(exists=True, mandatory=True, desc='image of the scan: the grid')
    brain_mask = File(exists=True, mandatory=True, desc='the atlas is shown inside it')
    template = traits.Dict(mandatory=True)


class _WarpAtlasOutputSpec(StepOutputSpec):
    dseg = File(desc='labels in the space of the scan')
    template_chi = File(desc='expected susceptibility in the space of the scan, ppm')


class WarpAtlas(Step):
    """Bring labels and expected susceptibility into the space of the scan."""

    title = 'atlas in the space of the scan'
    input_spec = _WarpAtlasInputSpec
    output_spec = _WarpAtlasOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Warp with one interpolation each."""
        from qsmbids.atlas.transforms import labels_to_native, map_to_native

        i = self.inputs
        template, reference = template_files(i.template), Path(i.reference)
        inverse = [i.xfm_inverse]
        dseg, chi = folder / 'dseg.nii', folder / 'template_chi.nii'
        labels_to_native(inverse, template.dseg, reference, dseg)
        map_to_native(inverse, template.chi, reference, chi, mask=Path(i.brain_mask))
        return {'dseg': str(dseg), 'template_chi': str(chi)}


class _MapsToAtlasInputSpec(StepInputSpec):
    xfm_forward = File(exists=True, mandatory=True)
    template = traits.Dict(mandatory=True)
    chi = File(exists=True, desc='ppm')
    rss = File(exists=True)
    r2star = File(exists=True, desc='1/s')


class _MapsToAtlasOutputSpec(StepOutputSpec):
    norm_chi = File(desc='ppm')
    norm_rss = File()
    norm_r2star = File(desc='1/s')


class MapsToAtlas(Step):
    """Bring the maps into the space of the atlas."""

    title = 'maps in atlas space'
    input_spec = _MapsToAtlasInputSpec
    output_spec = _MapsToAtlasOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Warp each map that there is with one interpolation."""
        from qsmbids.atlas.transforms import map_to_template

        i = self.inputs
        template, outputs = template_files(i.template), {}
        for key in ('chi', 'rss', 'r2star'):
            source = getattr(i, key)
            if isdefined(source):
                path = folder / f'norm_{key}.nii'
                map_to_template([i.xfm_forward], Path(source), template.chi, path)
                outputs[f'norm_{key}'] = str(path)
        return outputs


def template_files(files: dict[str, str]) -> AtlasFiles:
    """Return the files of a cohort from what a node was given."""
    return AtlasFiles(**{key: Path(path) for key, path in files.items()})
