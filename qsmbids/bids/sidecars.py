"""What stands in the JSON beside each output: units, parents, and how it was made.

The keys follow BIDS where BIDS has one; ours are in CamelCase and explained in
``docs/outputs.md``. The consensus on reporting (10.1002/mrm.30006) asks for the parameters of
every step and for the reference region; both stand in the sidecar of the map itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from qsmbids import methods
from qsmbids.bids.names import contrast_keys
from qsmbids.plan.models import Acquisition

# acquisition fields passed on when all echoes agree
_PASSED_ON = (
    'Manufacturer', 'ManufacturersModelName', 'DeviceSerialNumber', 'SoftwareVersions',
    'MagneticFieldStrength', 'ImagingFrequency', 'MRAcquisitionType', 'ScanningSequence',
    'SequenceVariant', 'PulseSequenceType', 'PulseSequenceName', 'RepetitionTime', 'FlipAngle',
    'PixelBandwidth', 'ReceiveCoilName', 'CoilCombinationMethod', 'ParallelAcquisitionTechnique',
    'ParallelReductionFactorInPlane', 'PartialFourier', 'SliceThickness',
)  # fmt: skip

DESCRIPTIONS = {
    'atlas': 'Susceptibility that the atlas expects at the age, in the space of the scan',
    'brain': 'Brain mask',
    'cosmos': 'Susceptibility from several orientations of the head, and where it is known',
    'clearswi': 'CLEAR-SWI: all echoes, weighted by unwrapped phase',
    'diamagnetic': 'Susceptibility of the diamagnetic sources of each voxel, at most 0',
    'local': 'Field of sources inside the brain, after background removal',
    'noise': 'Standard deviation of the total field that the magnitude implies',
    'paramagnetic': 'Susceptibility of the paramagnetic sources of each voxel, at least 0',
    'preproc': 'Root sum of squares of the echo magnitudes, resampled to the atlas',
    'qc': 'Quality numbers of one acquisition',
    'qsm': 'Voxels in which susceptibility was reconstructed',
    'regions': 'One row of statistics for each atlas region',
    'rss': 'Root sum of squares of the echo magnitudes',
    'smwi': 'Magnitude weighted by susceptibility (SMWI)',
    'total': 'Field of all sources, from the unwrapped and combined phase',
    'tswi': 'Magnitude weighted by susceptibility (tSWI)',
}


def sidecars(
    acquisition: Acquisition,
    names: Mapping[str, str],
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    bids_dir: str,
) -> dict[str, dict[str, Any]]:
    """Return the sidecar of each output that has one.

    Parameters
    ----------
    acquisition : Acquisition
        What was measured.
    names : mapping
        Key to output path, from :func:`qsmbids.bids.names.output_names`.
    settings : mapping
        ``steps``: the methods with their parameters, as in the methods text.
    facts : mapping
        ``reference`` and ``atlas``: what the run found out.
    bids_dir : str
        The raw dataset, to which raw sources are relative.
    """
    scan = _acquisition_fields(acquisition)
    magnitude = _raw(acquisition, bids_dir, ('magnitude', 'real', 'imag'))
    everything = _raw(acquisition, bids_dir, ('magnitude', 'phase', 'real', 'imag'))
    steps = {step['stage']: step for step in settings.get('steps', ())}
    atlas = facts.get('atlas') or {}
    space = _space(atlas)

    def parents(*keys: str) -> list[str]:
        return [f'bids::{names[key]}' for key in keys if key in names]

    def one(description: str, units: str, sources: Sequence[str], **more: Any) -> dict[str, Any]:
        return {
            'Description': description, 'Units': units, 'Sources': list(sources),
            'SkullStripped': True, **scan, **more,
        }  # fmt: skip

    chi = _chi_fields(acquisition, steps, facts)
    inversion = steps.get('inversion', {}).get('method', '')
    single_step = bool(inversion) and methods.get('inversion', inversion).field == 'total'
    field = parents('total_field' if single_step else 'local_field')
    signs = _step_fields(steps, 'separation') | _reference_fields(facts)
    found = {
        'chi': one('Magnetic susceptibility, paramagnetic positive', 'ppm',
                   field + parents('qsm_mask'), **chi),
        'chi_positive': one(DESCRIPTIONS['paramagnetic'], 'ppm', parents('chi', 'r2star'),
                            **signs),
        'chi_negative': one(DESCRIPTIONS['diamagnetic'], 'ppm', parents('chi', 'r2star'),
                            **signs),
        'rss': one(DESCRIPTIONS['rss'], 'arbitrary', magnitude, SkullStripped=False),
        'brain_mask': {'Type': 'Brain', 'Sources': _mask_sources(acquisition, names)},
        'qsm_mask': {'Type': 'ROI', 'Description': DESCRIPTIONS['qsm'],
                     'Sources': parents('brain_mask', 'total_field')},
        'total_field': one(DESCRIPTIONS['total'], 'Hz', everything,
                           **_step_fields(steps, 'offset', 'bipolar', 'unwrapping', 'fieldmap')),
        'local_field': one(DESCRIPTIONS['local'], 'Hz', parents('total_field', 'brain_mask'),
                           **_step_fields(steps, 'background')),
        'field_noise': one(DESCRIPTIONS['noise'], 'Hz', everything),
        'fmap_magnitude': one(DESCRIPTIONS['rss'], 'arbitrary', magnitude, SkullStripped=False),
        'r2star': one('Effective transverse relaxation rate', '1/s', magnitude,
                      **_step_fields(steps, 'relaxometry')),
        't2star': one('Effective transverse relaxation time', 's', magnitude,
                      **_step_fields(steps, 'relaxometry')),
        's0': one('Signal at echo time zero', 'arbitrary', magnitude),
        'dseg': {'Description': f'Regions of {atlas.get("name")} in the space of the scan',
                 'Sources': parents('rss', 'chi'), **_atlas_fields(atlas)},
        'template_chi': {'Description': DESCRIPTIONS['atlas'], 'Units': 'ppm',
                         'SkullStripped': True, **_atlas_fields(atlas)},
        'norm_chi': one('Magnetic susceptibility in atlas space', 'ppm', parents('chi'),
                        **space, **_reference_fields(facts)),
        'norm_r2star': one('R2* in atlas space', '1/s', parents('r2star'), **space),
        'norm_rss': one(DESCRIPTIONS['preproc'], 'arbitrary', parents('rss'), **space,
                        SkullStripped=False),
        'xfm_forward': _transform('the scan', 'the atlas', atlas),
        'xfm_inverse': _transform('the atlas', 'the scan', atlas),
    }  # fmt: skip
    for step in settings.get('steps', ()):
        if step['stage'] == 'contrast':
            found |= _contrast_sidecars(step, partial(one, sources=everything))
    return {key: content for key, content in found.items() if key in names}


def _contrast_sidecars(
    step: Mapping[str, Any], one: Callable[..., dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the sidecars of a weighted image and of its projection."""
    image, projection = contrast_keys(step['method'])
    made = {'Contrast': step['label'], 'ContrastParameters': step['parameters']}
    return {
        image: one(f'{step["label"]}: {step["summary"]}', 'arbitrary', **made),
        projection: one(f'Minimum intensity projection of {step["label"]}', 'arbitrary', **made),
    }


def _acquisition_fields(acquisition: Acquisition) -> dict[str, Any]:
    fields = {k: acquisition.metadata[k] for k in _PASSED_ON if k in acquisition.metadata}
    times = [round(te, 9) for te in acquisition.echo_times_s]
    fields['EchoTime'] = times[0] if len(times) == 1 else times
    if acquisition.imaging_frequency_mhz.value is not None:  # R2* does not need it
        fields['ImagingFrequency'] = acquisition.imaging_frequency_mhz.value
    fields['B0Direction'] = [round(float(v), 6) for v in acquisition.b0_direction.value]
    if acquisition.age_years is not None:
        fields['AgeYears'] = acquisition.age_years.value
    return fields


def _chi_fields(acquisition: Acquisition, steps: Mapping, facts: Mapping) -> dict[str, Any]:
    scaling = acquisition.phase_scaling
    fields: dict[str, Any] = {
        'EstimationReference': 'QSM consensus recommendations, doi:10.1002/mrm.30006',
        'EstimationAlgorithm': steps.get('inversion', {}).get('label', ''),
        'PhaseSignConvention': 'paramagnetic positive',
    }
    if scaling is not None:
        fields['PhaseScaling'] = {
            'Slope': scaling.slope, 'Intercept': scaling.intercept, 'Sign': scaling.sign,
            'ComplexInput': scaling.complex, 'DecidedFrom': str(scaling.source),
        }  # fmt: skip
    fields |= _step_fields(
        steps, 'offset', 'bipolar', 'unwrapping', 'fieldmap', 'background', 'inversion'
    )
    return fields | _reference_fields(facts)


_STEP_KEYS = {
    'offset': 'PhaseOffsetRemoval',
    'bipolar': 'ReadoutPhaseCorrection',
    'unwrapping': 'PhaseUnwrapping',
    'fieldmap': 'EchoCombination',
    'background': 'BackgroundFieldRemoval',
    'inversion': 'DipoleInversion',
    'relaxometry': 'RelaxometryMethod',
    'separation': 'SourceSeparation',
}


def _step_fields(steps: Mapping[str, Mapping], *stages: str) -> dict[str, Any]:
    """Name each method and its parameters."""
    fields: dict[str, Any] = {}
    for stage in stages:
        if stage in steps:
            key = _STEP_KEYS[stage]
            fields[key] = steps[stage]['label']
            fields[f'{key}Parameters'] = steps[stage].get('parameters', {})
    return fields


def _reference_fields(facts: Mapping) -> dict[str, Any]:
    reference = facts.get('reference') or {}
    if not reference:
        return {}
    return {
        'SusceptibilityReference': reference['region'],
        'SusceptibilityReferenceValue': reference['value_ppm'],
        'SusceptibilityReferenceVoxels': reference['n_voxels'],
        'WholeBrainMean': reference['whole_brain_mean_ppm'],
        'WholeBrainSD': reference['whole_brain_sd_ppm'],
    }


def _atlas_fields(atlas: Mapping) -> dict[str, Any]:
    if not atlas:
        return {}
    return {
        'Atlas': atlas['name'],
        'AtlasCohort': atlas['cohort'],
        'AtlasCohortAgeRange': atlas['age_range'],
        'AtlasNote': atlas.get('note', ''),
    }


def _space(atlas: Mapping) -> dict[str, Any]:
    if not atlas:
        return {}
    where = f'{atlas["name"]} atlas, cohort {atlas["cohort"]}'
    return {
        'SpatialReference': atlas.get('spatial_reference', where),
        'Resolution': atlas.get('resolution', '1 mm isotropic'),
        **_atlas_fields(atlas),
    }


def _transform(start: str, end: str, atlas: Mapping) -> dict[str, Any]:
    return {
        'Description': f'Resamples images from the space of {start} to that of {end}',
        'Format': 'ITK composite transform (HDF5), LPS millimetres',
        'Convention': (
            f'Maps points of {end} to points of {start}, as resampling an image needs; '
            'give it to antsApplyTransforms -t as it is'
        ),
        **_atlas_fields(atlas),
    }


def _mask_sources(acquisition: Acquisition, names: Mapping[str, str]) -> list[str]:
    if acquisition.brain_mask:
        return [acquisition.brain_mask]
    return [f'bids::{names["rss"]}'] if 'rss' in names else []


def _raw(acquisition: Acquisition, bids_dir: str, kinds: Sequence[str]) -> list[str]:
    files = dict.fromkeys(  # once each, in order
        getattr(echo, kind) for kind in kinds for echo in acquisition.echoes
    )
    return [f'bids:raw:{os.path.relpath(f, bids_dir)}' for f in files if f]
